"""The seams of the house. Whatever stands behind one can be exchanged without its users knowing."""

from kugetsu.protocols.clock import Clock, SystemClock
from kugetsu.protocols.model import Model, ModelInfo, ModelRequest, ToolSpec
from kugetsu.protocols.runtime import Runtime, Seat, Tally
from kugetsu.protocols.store import Journal, TaskLog, TaskStore
from kugetsu.protocols.tool import FileLocks, Tool, ToolContext, ToolKind, ToolOutput
from kugetsu.protocols.workspace import Workspace, Workspaces

__all__ = [
    "Clock",
    "FileLocks",
    "Journal",
    "Model",
    "ModelInfo",
    "ModelRequest",
    "Runtime",
    "Seat",
    "SystemClock",
    "Tally",
    "TaskLog",
    "TaskStore",
    "Tool",
    "ToolContext",
    "ToolKind",
    "ToolOutput",
    "ToolSpec",
    "Workspace",
    "Workspaces",
]
