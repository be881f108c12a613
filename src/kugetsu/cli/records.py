"""What is kept of tasks, opened to be read: nothing is made, and no worker is needed."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from kugetsu.app.desk import some_serve
from kugetsu.config import state_home
from kugetsu.engine import Presences, reap
from kugetsu.errors import RecordError
from kugetsu.protocols import Store, WorkerInfo
from kugetsu.sessions import Session
from kugetsu.storage import SqlStore
from kugetsu.tasks import TaskRecord


@asynccontextmanager
async def open_records() -> AsyncIterator[Store]:
    """The records of this user. Tasks of workers that are dead are freed first, where that can be written down.

    Raises:
        RecordError: they cannot be read.
    """
    store = await SqlStore.open(state_home(os.environ), create=False)
    try:
        await free_tasks_of_the_dead(store)
        yield store
    finally:
        await store.close()


async def free_tasks_of_the_dead(store: Store) -> None:
    """Take the tasks of workers that are gone, where that can be written down: they are running no longer."""
    with suppress(RecordError):
        await reap(store, _presences(), time.time())


async def find_current(store: Store, prefix: str) -> TaskRecord:
    """A task as it is at this moment: its report is that of its last run that came to an end, so its session may say more.

    Raises:
        TaskNotFoundError: there is none, or several.
        RecordError: it cannot be read.
    """
    record = await store.find(prefix)
    if record.final and not (record.outcome and record.outcome.kind == "poisonous"):
        return record
    report = record.report
    if record.place:
        report = msgspec.structs.replace(report, base=record.place.base, branch=record.place.branch)
    with suppress(ValueError, RecordError):  # a damaged session is for `logs --full` and the doctor
        report = Session(line.entry for line in await store.session(record.id)).tally.on(report)
    return msgspec.structs.replace(record, report=report)


async def workers_by_id(store: Store) -> dict[str, WorkerInfo]:
    """Who works, by id."""
    return {state.info.id: state.info for state in await store.workers()}


async def is_served(store: Store) -> bool:
    """Whether a worker lives that takes tasks from the queue."""
    return some_serve(await store.workers(), _presences(), time.time())


def _presences() -> Presences:
    return Presences(state_home(os.environ))
