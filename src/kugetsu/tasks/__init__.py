"""Tasks: what was asked for, how it ended, what was computed about it. Pure rules and data."""

from kugetsu.tasks.names import BRANCH_PREFIX, branch_name, new_task_id, slug
from kugetsu.tasks.redaction import redacted
from kugetsu.tasks.task import (
    Changes,
    CheckResult,
    Commit,
    Limits,
    Outcome,
    OutcomeClass,
    Task,
    TaskReport,
    TaskState,
)

__all__ = [
    "BRANCH_PREFIX",
    "Changes",
    "CheckResult",
    "Commit",
    "Limits",
    "Outcome",
    "OutcomeClass",
    "Task",
    "TaskReport",
    "TaskState",
    "branch_name",
    "new_task_id",
    "redacted",
    "slug",
]
