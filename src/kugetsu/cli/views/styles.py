"""The few colours there are."""

from typing import Final

from kugetsu.tasks import CheckResult, TaskState

STATE_STYLES: Final[dict[TaskState, str]] = {
    "pending": "dim",
    "running": "cyan",
    "waiting": "yellow",
    "paused": "yellow",
    "completed": "green",
    "failed": "red",
    "cancelled": "yellow",
}


def check_word(result: CheckResult | None) -> tuple[str, str]:
    """What the check said in one or two words, and their style."""
    if result is None:
        return "-", "dim"
    return {True: ("passed", "green"), False: ("failed", "red"), None: ("not run", "yellow")}[result.passed]
