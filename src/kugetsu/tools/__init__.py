"""What agents can do: read, write, edit, bash, grep, ls, find, recall and ask."""

from kugetsu.config import ContextSettings, ToolSettings
from kugetsu.protocols import Tool
from kugetsu.tools.ask import AskTool
from kugetsu.tools.bash import BashTool
from kugetsu.tools.edit import EditTool
from kugetsu.tools.find import FindTool
from kugetsu.tools.grep import GrepTool
from kugetsu.tools.ls import LsTool
from kugetsu.tools.read import ReadTool
from kugetsu.tools.recall import RecallTool
from kugetsu.tools.write import WriteTool

__all__ = ["default_tools"]


def default_tools(settings: ToolSettings = ToolSettings(), context: ContextSettings | None = None) -> tuple[Tool, ...]:  # noqa: B008 - frozen
    """Make the tools. They keep no state, so one tuple serves any number of shadows.

    Args:
        settings: of the tools.
        context: what becomes of old outputs; None where nothing does.
    """
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
    tools = (*tools, RecallTool()) if context and context.prune_at and context.recall else tools
    return (*tools, AskTool()) if settings.ask else tools
