"""Who goes first when the machine has no memory left: commands of agents, not this program. See proc_pid_oom_score_adj(5)."""

import contextlib
from pathlib import Path
from typing import Final

_OWN: Final = Path("/proc/self/oom_score_adj")

_PROTECTED: Final = -500
"""Of this program: as if it used half the machine's memory less."""

_COMMAND: Final = 500
"""Of commands of agents: as if they used half the machine's memory more."""


class _Before:
    """What the program had when it was started."""

    score: int | None = None


def protect_self(score: int = _PROTECTED) -> bool:
    """Have the kernel kill others before this program. May be called twice. Never raises.

    Processes that the program starts are not protected (`start_command` sees to it).

    Args:
        score: what the program gets, from -1,000 (never killed) to 1,000.

    Returns:
        Whether that is allowed; it takes the right CAP_SYS_RESOURCE, which root often has.
    """
    before = _score()
    if before is None:
        return False
    if before <= score:
        return True
    try:
        _OWN.write_text(str(score))
    except OSError:
        return False
    _Before.score = before
    return True


def unprotect(pid: int) -> None:
    """Take from a process that this program has just started what it inherited. Never raises."""
    if _Before.score is not None:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/oom_score_adj").write_text(str(_Before.score))


def command_score() -> int:
    """What commands of agents get."""
    before = _score() if _Before.score is None else _Before.score
    return max(before or 0, _COMMAND)


def _score() -> int | None:
    try:
        return int(_OWN.read_text())
    except (OSError, ValueError):
        return None
