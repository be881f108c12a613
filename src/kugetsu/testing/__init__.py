"""Fakes and servers for tests, of this project and of others."""

from typing import TYPE_CHECKING, Any

from kugetsu.testing.clock import FakeClock
from kugetsu.testing.faults import Fault, FaultKind
from kugetsu.testing.journal import MemoryJournal
from kugetsu.testing.model import CannedModel, CannedReply, says
from kugetsu.testing.store import MemoryStore
from kugetsu.testing.tools import FunctionTool
from kugetsu.testing.workspace import DirectoryWorkspace, DirectoryWorkspaces

if TYPE_CHECKING:
    from kugetsu.testing.server import RecordedRequest, ScriptedServer

__all__ = [
    "CannedModel",
    "CannedReply",
    "DirectoryWorkspace",
    "DirectoryWorkspaces",
    "FakeClock",
    "Fault",
    "FaultKind",
    "FunctionTool",
    "MemoryJournal",
    "MemoryStore",
    "RecordedRequest",
    "ScriptedServer",
    "says",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - what a module holds
    """Import the server when it is asked for: its library for HTTP is slow to import, and fakes do without."""
    if name not in {"RecordedRequest", "ScriptedServer"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kugetsu.testing import server  # noqa: PLC0415 - see above

    return getattr(server, name)
