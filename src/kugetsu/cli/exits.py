"""Exit codes: the contract with scripts."""

from enum import IntEnum

from kugetsu.tasks import TaskState


class Exit(IntEnum):
    """What a command's exit code says."""

    COMPLETED = 0
    FAILED = 1
    USAGE = 2
    CANCELLED = 3
    NO_CAPACITY = 4
    WAITING = 5


def exit_code(state: TaskState) -> Exit:
    """The exit code for a task that a command ran to this state."""
    match state:
        case "completed":
            return Exit.COMPLETED
        case "cancelled":
            return Exit.CANCELLED
        case "waiting" | "paused" | "pending":
            return Exit.WAITING
        case _:
            return Exit.FAILED
