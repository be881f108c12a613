"""The seams of the house. Whatever stands behind one can be exchanged without its users knowing."""

from kugetsu.protocols.clock import Clock, SystemClock
from kugetsu.protocols.journal import Journal
from kugetsu.protocols.model import Model, ModelInfo, ModelRequest, ToolSpec
from kugetsu.protocols.runtime import Runtime, Seat
from kugetsu.protocols.store import (
    Attention,
    Claim,
    Concurrency,
    Desk,
    Effect,
    EffectState,
    Lease,
    Queue,
    Runs,
    Store,
    Submitted,
    WorkerInfo,
    WorkerState,
)
from kugetsu.protocols.tool import FileLocks, Tool, ToolContext, ToolKind, ToolOutput
from kugetsu.protocols.workspace import Workspace, Workspaces

__all__ = [
    "Attention",
    "Claim",
    "Clock",
    "Concurrency",
    "Desk",
    "Effect",
    "EffectState",
    "FileLocks",
    "Journal",
    "Lease",
    "Model",
    "ModelInfo",
    "ModelRequest",
    "Queue",
    "Runs",
    "Runtime",
    "Seat",
    "Store",
    "Submitted",
    "SystemClock",
    "Tool",
    "ToolContext",
    "ToolKind",
    "ToolOutput",
    "ToolSpec",
    "WorkerInfo",
    "WorkerState",
    "Workspace",
    "Workspaces",
]
