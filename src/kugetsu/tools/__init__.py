"""What agents can do: read, write, edit, bash, grep, ls, find and ask."""

from kugetsu.config import ToolSettings
from kugetsu.protocols import Tool
from kugetsu.tools.ask import AskTool
from kugetsu.tools.bash import BashTool
from kugetsu.tools.edit import EditTool
from kugetsu.tools.find import FindTool
from kugetsu.tools.grep import GrepTool
from kugetsu.tools.ls import LsTool
from kugetsu.tools.read import ReadTool
from kugetsu.tools.write import WriteTool

__all__ = ["default_tools"]


def default_tools(settings: ToolSettings = ToolSettings()) -> tuple[Tool, ...]:  # noqa: B008 - frozen
    """Make the tools. They keep no state, so one tuple serves any number of shadows."""
    confine = settings.confine
    tools: tuple[Tool, ...] = (
        ReadTool(confine=confine),
        WriteTool(confine=confine),
        EditTool(confine=confine),
        BashTool(settings),
        GrepTool(confine=confine),
        LsTool(confine=confine),
        FindTool(confine=confine),
    )
    return (*tools, AskTool()) if settings.ask else tools
