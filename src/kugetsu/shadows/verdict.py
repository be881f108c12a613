"""How a run ended: "completed" is computed, not believed."""

from collections.abc import Mapping
from typing import Final

import msgspec

from kugetsu.shadows.delivery import Delivery
from kugetsu.tasks import CheckResult, Note, Outcome, OutcomeClass, TaskReport, TaskState

HALTS: Final[Mapping[OutcomeClass, TaskState]] = {
    "interrupted": "pending",
    "question": "waiting",
    "budget": "waiting",
    **dict.fromkeys(("paused", "turn_limit", "token_limit", "money_limit", "wall_time", "loop"), "paused"),
}
"""Outcomes that end a run but not its task, and the state they leave it in."""


def judge(outcome: Outcome, delivery: Delivery, check: CheckResult | None) -> Outcome:
    """A run is completed only if its work is delivered and its check passes."""
    if outcome.kind != "completed":
        return outcome
    if delivery.problems:
        return Outcome("workspace", " ".join(delivery.problems))
    if check and not check.passed:
        how = check.output_tail.rpartition("\n")[2] if check.exit_code is None else f"exited with {check.exit_code}"
        return Outcome("check_failed", f"the check `{check.command}`: {how}")
    return outcome


def state_of(outcome: Outcome) -> TaskState:
    """The state that the end of a task leaves it in."""
    match outcome.kind:
        case "completed":
            return "completed"
        case "cancelled":
            return "cancelled"
        case _:
            return "failed"


def retold(note: Note, report: TaskReport) -> Note:
    """What the model is told of a note: of the word that a task is tried again, what was tried before.

    Args:
        note: as it was written down.
        report: of the last run.
    """
    if note.kind != "retry":
        return note
    told = [
        "An earlier attempt at this task ended without success, and the user asks for another one. It ended so:",
        note.text,
        f"It took {report.turns} turns and changed {report.files_changed} files; all of that is still here.",
    ]
    if report.check and not report.check.passed and report.check.output_tail:
        told += [f"The end of what `{report.check.command}` printed:", report.check.output_tail]
    told.append("Look at what is there, find out what went wrong, and go on from there.")
    return msgspec.structs.replace(note, text="\n\n".join(told))
