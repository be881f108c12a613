"""The seams of the house. Whatever stands behind one can be exchanged without its users knowing."""

from kugetsu.protocols.claims import Attention, Claim, Concurrency, Lease, WorkerInfo, WorkerState
from kugetsu.protocols.clock import Clock, SystemClock
from kugetsu.protocols.commands import CommandRoom, Commands, NoLimits, Unlimited, no_limits
from kugetsu.protocols.journal import Journal
from kugetsu.protocols.model import Model, ModelInfo, ModelRequest, ToolSpec
from kugetsu.protocols.runtime import Reserve, Runtime, Seat
from kugetsu.protocols.store import (
    Desk,
    Effect,
    EffectState,
    Queue,
    Reserved,
    Runs,
    Spending,
    Store,
    Submitted,
)
from kugetsu.protocols.tool import FileLocks, Tool, ToolContext, ToolKind, ToolOutput
from kugetsu.protocols.workspace import Workspace, Workspaces

__all__ = [
    "Attention",
    "Claim",
    "Clock",
    "CommandRoom",
    "Commands",
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
    "NoLimits",
    "Queue",
    "Reserve",
    "Reserved",
    "Runs",
    "Runtime",
    "Seat",
    "Spending",
    "Store",
    "Submitted",
    "SystemClock",
    "Tool",
    "ToolContext",
    "ToolKind",
    "ToolOutput",
    "ToolSpec",
    "Unlimited",
    "WorkerInfo",
    "WorkerState",
    "Workspace",
    "Workspaces",
    "no_limits",
]
