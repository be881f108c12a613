"""Named points at which a crash drill kills the process. Nothing happens at one unless a drill armed it.

A point is named after what has just been done or is about to be: `PART.MOMENT`. All of them are listed here, so that a drill
can visit each.
"""

import os
import signal
from typing import Final

POINTS: Final = (
    "submit.before",
    "submit.after",
    "claim.before",
    "claim.after",
    "workspace.before",
    "workspace.made",
    "workspace.placed",
    "reply.received",
    "reply.committed",
    "call.started",
    "call.running",
    "call.done",
    "call.committed",
    "snapshot.before",
    "snapshot.after",
    "checkpoint.committed",
    "pruning.committed",
    "summary.received",
    "compaction.committed",
    "group.begun",
    "group.before_commit",
    "group.after_commit",
    "agent.finished",
    "effect.begun",
    "effect.acted",
    "effect.ended",
    "check.done",
    "close.before",
    "close.after",
    "settle.before",
    "settle.after",
    "reap.before",
    "reap.after",
    "restore.before",
    "restore.after",
)

_armed: dict[str, int] = {}


def reach(point: str) -> None:
    """Say that a point is reached."""
    if _armed:
        _hit(point)


def arm(point: str, *, visit: int = 1) -> None:
    """Let this process be killed (SIGKILL) when a point is reached for the `visit`-th time from now. For drills alone.

    Raises:
        ValueError: there is no such point.
    """
    if point not in POINTS:
        raise ValueError(f"there is no point {point!r}; there are: {', '.join(POINTS)}")
    _armed[point] = visit


def _hit(point: str) -> None:
    if point in _armed:
        _armed[point] -= 1
        if _armed[point] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
