"""How tasks change: one pure function for each thing that can happen to one. Every store applies these, and nothing else."""

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any, Final, Literal, assert_never

import msgspec

from kugetsu.errors import StateConflictError
from kugetsu.tasks.queueing import MOST_CRASHES
from kugetsu.tasks.record import (
    Answer,
    Cancel,
    Control,
    Ending,
    NoteKind,
    Pause,
    Place,
    Prioritise,
    Resume,
    Retry,
    Say,
    TaskRecord,
)
from kugetsu.tasks.task import MOST_PRIORITY, Limits, Outcome, Task, TaskReport, TaskState

TRANSITIONS: Final[dict[TaskState, frozenset[TaskState]]] = {
    "pending": frozenset({"running", "paused", "failed", "cancelled"}),
    "running": frozenset({"pending", "waiting", "paused", "completed", "failed", "cancelled"}),
    "waiting": frozenset({"pending", "running", "paused", "cancelled"}),
    "paused": frozenset({"pending", "running", "waiting", "failed", "cancelled"}),
    "completed": frozenset({"running"}),
    "failed": frozenset({"running", "pending"}),
    "cancelled": frozenset({"running", "pending"}),
}
"""Every change of state there is. A final state is left only when a user asks: by a retry, or by a rewind (`running`)."""

Claiming = Literal["queue", "name", "rewind"]
"""Who claims: a worker what is next; somebody this task, though its time has not come; or somebody who puts it back."""

_CLAIMABLE: Final[dict[Claiming, frozenset[TaskState]]] = {
    "queue": frozenset({"pending", "waiting"}),
    "name": frozenset({"pending", "waiting"}),
    "rewind": frozenset({"pending", "waiting", "paused", "completed", "failed", "cancelled"}),
}


class Changed(msgspec.Struct, frozen=True):
    """What a control does.

    Attributes:
        record: the task afterwards; the same object when nothing changes.
        note: what is to be kept for the next run, None for nothing.
        key: name under which the note is kept once only; empty for none.
    """

    record: TaskRecord
    note: tuple[NoteKind, str] | None = None
    key: str = ""


def submitted(task: Task, *, number: int, now: float, blockers: int = 0, key: str = "") -> TaskRecord:
    """The record of a task that has just come in."""
    return TaskRecord(
        task=task,
        number=number,
        report=TaskReport.of(task),
        priority=task.priority,
        queued_at=max(now, task.start_at),
        available_at=task.start_at,
        blockers=blockers,
        key=key,
    )


def claimed(record: TaskRecord, worker: str, *, claiming: Claiming = "queue") -> TaskRecord:
    """A worker got the task.

    Raises:
        StateConflictError: it cannot be had.
    """
    if record.state not in _CLAIMABLE[claiming] or (record.waits_for_answer and claiming != "rewind"):
        raise _refusal(record, "be run")
    if claiming == "rewind" and record.wanted == "cancel":
        raise _refusal(record, "be put back")
    if record.blockers:
        raise StateConflictError(f"task {record.id} waits for {record.blockers} other tasks to be completed")
    return _to(
        record,
        "running",
        worker=worker,
        generation=record.generation + 1,
        runs=record.runs + (claiming != "rewind"),
        available_at=0.0,
        question=record.question if claiming == "rewind" else "",
        wanted="pause" if claiming == "rewind" else record.wanted,
    )


def settled(record: TaskRecord, ending: Ending) -> TaskRecord:
    """A run ended. What a user wanted meanwhile is respected: a pause keeps it from starting again.

    Raises:
        StateConflictError: no run can end so.
    """
    state = ending.state
    if state == "running":
        raise StateConflictError(f"task {record.id} cannot be left running by a run that ended")
    if state in {"pending", "waiting"} and record.wanted == "pause":
        state = "paused"
    keep = record.wanted == "cancel" and state in {"pending", "waiting", "paused"}
    return _to(
        record,
        "pending" if keep else state,
        worker="",
        generation=record.generation + 1,
        outcome=ending.outcome,
        report=ending.report,
        available_at=0.0 if keep else ending.available_at,
        attempts=ending.attempts,
        crashes=0,
        question="" if keep else ending.question,
        wanted="cancel" if keep else "",
        reason=record.reason if keep else "",
    )


def placed(record: TaskRecord, place: Place) -> TaskRecord:
    """The task has a workspace from now on."""
    return msgspec.structs.replace(record, place=place)


def orphaned(records: Sequence[TaskRecord], *, now: float, evidence: Mapping[str, str]) -> list[TaskRecord]:
    """What becomes of the tasks of one worker that died.

    Nobody knows which of them killed it, if one did, so they share the blame. One that makes headway afterwards is cleared.
    Those that were not since the last death start one after the other from then on, so that each shows by itself whether
    it makes headway or kills again. One to blame for `MOST_CRASHES` deaths is set aside: for three if it was alone, for
    sixty if it was one of twenty every time, so that whoever kills the program from outside makes no task poisonous.

    Args:
        records: all that the worker had.
        now: seconds since the epoch.
        evidence: by id, what tasks were doing, for those that are set aside.
    """
    share = 1 / max(1, len(records))
    turn = count()
    after = []
    for record in records:
        guilty = record.crashes + share >= MOST_CRASHES - _ROUNDING
        orphan = abandoned(record, blame=share, evidence=evidence[record.id] if guilty else "")
        if record.crashes and orphan.state == "pending" and not orphan.wanted:
            place = min(next(turn) * _SUSPECT_SECONDS, _MOST_SUSPECT_SECONDS)
            orphan = msgspec.structs.replace(orphan, available_at=now + place if place else 0.0)
        after.append(orphan)
    return after


def abandoned(record: TaskRecord, *, blame: float = 1.0, evidence: str = "") -> TaskRecord:
    """Its worker died.

    Args:
        record: the task.
        blame: how much of the death is put down to it.
        evidence: what the task was doing, for the case that it is set aside.
    """
    crashes = record.crashes + blame
    if crashes >= MOST_CRASHES - _ROUNDING:
        message = f"its worker died {MOST_CRASHES} times in a row without any headway{evidence and f': {evidence}'}"
        poisonous = Outcome("poisonous", message)
        unwanted = Outcome("cancelled", f"{record.reason}; {message}")
        return _to(
            record,
            "cancelled" if record.wanted == "cancel" else "failed",
            **_FREE,
            generation=record.generation + 1,
            crashes=crashes,
            outcome=unwanted if record.wanted == "cancel" else poisonous,
        )
    return _left(msgspec.structs.replace(record, crashes=crashes), "its worker died")


def given_back(record: TaskRecord) -> TaskRecord:
    """Its worker stopped in good order without having begun with it, or in the middle."""
    return _left(record, "its worker stopped")


def overdue(record: TaskRecord) -> TaskRecord:
    """Its worker's lease expired. It may live all the same: hung, suspended, cut off. So nobody is to blame for it."""
    return _left(record, "its worker was not heard of in time")


def _left(record: TaskRecord, why: str) -> TaskRecord:
    state: TaskState = "paused" if record.wanted == "pause" else "pending"
    return _to(
        record,
        state,
        worker="",
        generation=record.generation + 1,
        outcome=Outcome("interrupted", why),
        wanted="" if state == "paused" else record.wanted,
    )


def expired(record: TaskRecord) -> TaskRecord:
    """Its deadline passed before it was started. It counts for the first try alone, not for a retry: that stays as it is."""
    if record.outcome is not None:
        return record
    return _to(record, "failed", **_FREE, outcome=Outcome("expired", "its deadline passed before it could be started"))


def blocked_for_good(record: TaskRecord, after: TaskRecord) -> TaskRecord:
    """A task that had to be completed before never will be."""
    message = f"task {after.id}, which had to be completed before, is {after.state}"
    return _to(record, "failed", **_FREE, outcome=Outcome("dependency", message))


def unblocked(record: TaskRecord) -> TaskRecord:
    """A task that had to be completed before is."""
    return msgspec.structs.replace(record, blockers=max(0, record.blockers - 1))


def controlled(record: TaskRecord, control: Control, *, answered: Sequence[str] = (), now: float = 0.0) -> Changed:
    """What a user's control does.

    Args:
        record: the task.
        control: what the user asks for.
        answered: answers that wait to be taken already.
        now: seconds since the epoch; what was over or at rest waits its turn from now on.

    Raises:
        StateConflictError: it makes no sense now; the message says what does.
    """
    match control:
        case Cancel():
            return Changed(_cancelled(record, control.reason))
        case Pause():
            return Changed(_paused(record, control.reason))
        case Resume():
            return Changed(_resumed(record, control.limits, answered=bool(answered), now=now))
        case Retry():
            return _retried(record, now)
        case Say():
            if record.final or record.wanted == "cancel":
                raise _refusal(record, "be told anything")
            return Changed(record, (control.kind, control.text), control.key)
        case Answer():
            return _answered(record, control.text, answered)
        case Prioritise():
            return Changed(_prioritised(record, control.priority))
        case _:
            assert_never(control)


def _cancelled(record: TaskRecord, reason: str) -> TaskRecord:
    if record.state == "cancelled" or record.wanted == "cancel":
        return record
    if record.final:
        raise _refusal(record, "be cancelled")
    if record.state == "running":
        return msgspec.structs.replace(record, wanted="cancel", reason=reason)
    if record.place is None:
        return _to(record, "cancelled", **_FREE, outcome=Outcome("cancelled", reason))
    # It has work, which a worker must bring home.
    return _to(record, "pending", wanted="cancel", reason=reason, available_at=0.0, blockers=0, question="")


def _paused(record: TaskRecord, reason: str) -> TaskRecord:
    if record.wanted == "cancel" or record.final:
        raise _refusal(record, "be paused")
    if record.state == "paused" or record.wanted == "pause":
        return record
    if record.state == "running":
        return msgspec.structs.replace(record, wanted="pause", reason=reason)
    return _to(record, "paused", reason=reason)


def _resumed(record: TaskRecord, limits: Limits | None, *, answered: bool, now: float) -> TaskRecord:
    if record.wanted == "cancel":
        raise _refusal(record, "be resumed")
    if limits is not None and limits != record.task.limits and not record.final:
        if record.state == "running":
            raise _refusal(record, "get other limits before it is paused")
        record = msgspec.structs.replace(record, task=msgspec.structs.replace(record.task, limits=limits))
    if record.state == "running":
        return msgspec.structs.replace(record, wanted="", reason="") if record.wanted == "pause" else record
    if record.state == "paused":
        state: TaskState = "waiting" if record.question and not answered else "pending"
        return _to(record, state, available_at=0.0, queued_at=max(now, record.queued_at), reason="")
    if record.state == "pending":
        return msgspec.structs.replace(record, available_at=0.0) if record.available_at else record
    if record.state == "waiting" and not record.question:
        return _to(record, "pending", available_at=0.0)
    raise _refusal(record, "be resumed")


def _retried(record: TaskRecord, now: float) -> Changed:
    if record.state == "pending" and record.wanted != "cancel":
        return Changed(msgspec.structs.replace(record, available_at=0.0) if record.available_at else record)
    if record.state not in {"failed", "cancelled"}:
        raise _refusal(record, "be tried again")
    why = f"{record.outcome.kind}: {record.outcome.message}" if record.outcome else record.state
    again = _to(
        record,
        "pending",
        queued_at=max(now, record.queued_at),
        available_at=0.0,
        attempts=0,
        crashes=0,
        blockers=0,
        wanted="",
        reason="",
        question="",
    )
    return Changed(again, ("retry", why))


def _answered(record: TaskRecord, text: str, answered: Sequence[str]) -> Changed:
    if text in answered:
        return Changed(record)
    if not record.question or answered or record.state not in {"waiting", "paused"}:
        raise StateConflictError(
            f"task {record.id} is {record.state} and asks nothing",
            fix=_what_next(record),
        )
    state: TaskState = "pending" if record.state == "waiting" else "paused"
    return Changed(_to(record, state, available_at=0.0, question=""), ("answer", text))


def _prioritised(record: TaskRecord, priority: int) -> TaskRecord:
    if not -MOST_PRIORITY <= priority <= MOST_PRIORITY:
        raise StateConflictError(f"a priority is a number from -{MOST_PRIORITY} to {MOST_PRIORITY}, not {priority}")
    if record.final:
        raise _refusal(record, "get another priority")
    if priority == record.priority:
        return record
    return msgspec.structs.replace(record, priority=priority)


_ROUNDING: Final = 1e-6
"""Three thirds may be a little less than one."""

_SUSPECT_SECONDS: Final = 1.0
"""How long one suspect has for itself before the next one starts."""

_MOST_SUSPECT_SECONDS: Final = 60.0
"""The longest that a suspect waits for those before it."""

_FREE: Final[dict[str, Any]] = {"worker": "", "wanted": "", "reason": "", "question": "", "blockers": 0}

# `{id}` stands for the task's.
_WHAT_NEXT: Final[dict[TaskState, str]] = {
    "pending": "it waits for its turn",
    "running": "it is being worked on: `kugetsu steer`, `pause` and `cancel` reach it",
    "waiting": "it waits for an answer: `kugetsu answer {id} TEXT`",
    "paused": "`kugetsu resume {id}` lets it go on",
    "completed": "`kugetsu fork {id} --turn N PROMPT` goes on from any of its turns",
    "failed": "`kugetsu retry {id}` tries it again",
    "cancelled": "`kugetsu retry {id}` tries it again",
}

_WAITS_FOR_TIME: Final = "it waits for its time: `kugetsu resume {id}` lets it go on now"


def _what_next(record: TaskRecord) -> str:
    """What can be done with a task instead."""
    timed = record.state == "waiting" and not record.waits_for_answer
    return (_WAITS_FOR_TIME if timed else _WHAT_NEXT[record.state]).format(id=record.id)


def _refusal(record: TaskRecord, what: str) -> StateConflictError:
    if record.wanted == "cancel":
        return StateConflictError(
            f"task {record.id} is being cancelled and cannot {what}",
            fix=f"once it is, `kugetsu retry {record.id}` tries it again",
        )
    return StateConflictError(f"task {record.id} is {record.state} and cannot {what}", fix=_what_next(record))


def _to(record: TaskRecord, state: TaskState, **changes: Any) -> TaskRecord:  # noqa: ANN401 - fields of the record
    if state != record.state and state not in TRANSITIONS[record.state]:
        raise StateConflictError(f"task {record.id} cannot go from {record.state} to {state}")
    return msgspec.structs.replace(record, state=state, **changes)
