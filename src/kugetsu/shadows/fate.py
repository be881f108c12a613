"""Whether a task whose run failed is tried again."""

from kugetsu.protocols import Desk
from kugetsu.shadows.parts import Parts
from kugetsu.shadows.verdict import HALTS
from kugetsu.tasks import Fate, Outcome, TaskRecord, retry_class, spread


async def fate_of(record: TaskRecord, outcome: Outcome, parts: Parts) -> Fate:
    """What becomes of a task if this is how its run ended.

    Raises:
        RecordError: its earlier runs could not be read.
    """
    now = parts.clock.now()
    if outcome.kind in HALTS or outcome.kind in {"completed", "cancelled"}:
        return Fate(record.attempts, spread(outcome.until - now) if outcome.until > now else None)
    waited = await _waited_for_capacity(record, parts.store, now) if retry_class(outcome.kind) == "capacity" else 0.0
    return parts.requeueing.fate(
        record.task, outcome, attempts=record.attempts, runs=record.runs, waited=waited, now=now
    )


async def _waited_for_capacity(record: TaskRecord, store: Desk, now: float) -> float:
    """Seconds that a task lay still, before the runs one after the other until now that ended for want of capacity."""
    waited, follows = 0.0, None
    for run in reversed(await store.runs(record.id)):
        if run.outcome and retry_class(run.outcome.kind) != "capacity":
            break
        if follows is not None:
            waited += follows - (run.ended_at or now)
        follows = run.started_at
    return max(0.0, waited)
