"""What is known of a task at the end of a run: computed from its session, its worktree and what became of its work."""

import msgspec

from kugetsu.protocols import Workspace
from kugetsu.sessions import Session
from kugetsu.shadows.delivery import Delivery
from kugetsu.tasks import CheckResult, TaskRecord, TaskReport


def report_of(
    record: TaskRecord,
    session: Session,
    workspace: Workspace | None,
    delivery: Delivery | None,
    check: CheckResult | None,
    *,
    seconds: float,
) -> TaskReport:
    """The report of a task after a run.

    Args:
        record: the task as its worker got it.
        session: as it stands now.
        workspace: None when the run had none; then what earlier runs computed stays.
        delivery: what became of the work; None for a run that ended before, so that what earlier runs computed stays.
        check: None when the task has none, or it was not its turn.
        seconds: wall time of the run.
    """
    before, place = record.report, record.place
    report, notes = before, before.notes
    if delivery is not None:
        report = TaskReport.of(record.task).with_changes(delivery.changes) if workspace else before
        notes = (*record.task.notices, *(workspace.notes if workspace else ()), *delivery.notes, *delivery.problems)
        report = msgspec.structs.replace(report, check=check)
    if workspace:
        report = msgspec.structs.replace(report, base=workspace.base, branch=workspace.branch)
    elif place:
        report = msgspec.structs.replace(report, base=place.base, branch=place.branch)
    return msgspec.structs.replace(
        session.tally.on(report),
        seconds=round(before.seconds + seconds, 3),
        notes=tuple(dict.fromkeys(notes)),
    )
