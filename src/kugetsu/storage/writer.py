"""The one thread that writes: it takes all jobs that wait, runs them in one transaction, and answers when it is durable."""

import asyncio
import contextlib
import logging
import queue
import threading
import time
from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from sqlalchemy import Connection

from kugetsu.errors import KugetsuError, RecordError
from kugetsu.failpoints import reach
from kugetsu.storage.appending import Append, append_all
from kugetsu.storage.connecting import writing
from kugetsu.storage.failures import DATABASE_ERRORS, cannot, is_fatal, is_unknown

T = TypeVar("T")

_log = logging.getLogger(__name__)

_MOST_JOBS: Final = 256
"""Jobs of one group, so that none waits long for the others."""

_PACE_SECONDS: Final = 0.005
"""After a group of several jobs the thread lets more of them gather for so long.

A commit costs about as much however many jobs are in it. One caller alone never waits.
"""

Work = Callable[[Connection], Any] | Append


class _Job:
    """A piece of work, and who waits for it.

    Attributes:
        result, error: what became of it.
    """

    __slots__ = ("answer", "error", "loop", "result", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: Exception | None = None

    def resolve(self) -> None:
        """Tell who waits; on its own event loop."""
        if self.answer.done():  # its caller was cancelled
            return
        if self.error is None:
            self.answer.set_result(self.result)
        else:
            self.answer.set_exception(self.error)


class Writer:
    """Runs jobs in the order in which they come. Its methods are for event loops, and never block them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._engine = writing(path)
        self._connection: Connection | None = None
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="kugetsu-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do a piece of work in a transaction; it is durable when this returns, and nothing of it is there when it raises.

        A cancelled caller does not cancel the work: it is done or not, as a whole.

        Raises:
            KugetsuError: what the work raises.
            RecordError: it could not be written.
        """
        return cast("T", await self._answer(work))

    async def append(self, work: Append) -> None:
        """Do the same for an append; neighbours are done together."""
        await self._answer(work)

    async def close(self) -> None:
        """Do what waits, and end the thread. May be called twice."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _answer(self, work: Work) -> "asyncio.Future[Any]":
        if self._closed:
            raise RecordError(f"{self._path} is closed")
        job = _Job(work)
        self._jobs.put(job)
        return job.answer

    def _run(self) -> None:
        more = True
        while more:
            group, more = self._next_group()
            if not group:
                continue
            try:
                self._commit(group)
            except DATABASE_ERRORS as error:
                _fail(group, cannot("write", self._path, error))
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody may wait for ever
                _log.exception("a write failed in an unforeseen way")
                _fail(group, error)
            _resolve(group)
            if more and len(group) > 1 and self._jobs.qsize() < _MOST_JOBS:
                time.sleep(_PACE_SECONDS)
        self._disconnect()
        self._engine.dispose()

    def _next_group(self) -> tuple[list[_Job], bool]:
        """All jobs that wait, at least one; and whether there may be more."""
        group: list[_Job] = []
        job = self._jobs.get()
        while job is not None:
            group.append(job)
            if len(group) == _MOST_JOBS:
                return group, True
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _commit(self, group: list[_Job]) -> None:
        """Run a group in one transaction.

        Raises:
            RecordError: nothing of it is there, or that is unknown.
        """
        try:
            self._transact(group, self._work)
        except RecordError:
            raise
        except Exception:  # noqa: BLE001 - of one of the appends that were done together: which one, shows now
            self._transact(group, self._work_apart)

    def _transact(self, group: list[_Job], work: Callable[[Connection, list[_Job]], None]) -> None:
        """Do the work of a group.

        Raises:
            RecordError: the database failed; nothing is there, or that is unknown.
            Exception: one of the jobs failed in a way that undid the others.
        """
        committing = False
        try:
            connection = self._connect()
            transaction = connection.begin()
            reach("group.begun")
            work(connection, group)
            reach("group.before_commit")
            committing = True
            transaction.commit()
        except BaseException as error:
            self._disconnect()
            if isinstance(error, DATABASE_ERRORS) and (committing or is_fatal(error)):
                unknown = committing and is_unknown(error)
                raise cannot("write", self._path, error, unknown=unknown) from error
            raise
        reach("group.after_commit")

    def _work(self, connection: Connection, group: list[_Job]) -> None:
        """Do the jobs of a group in order, and neighbouring appends together."""
        for appends, jobs in groupby(group, key=lambda job: isinstance(job.work, Append)):
            neighbours = list(jobs)
            if appends:
                # These look before they write, so that none needs a savepoint.
                errors = append_all(connection, [cast("Append", job.work) for job in neighbours])
                for job, error in zip(neighbours, errors, strict=True):
                    job.error = error
            else:
                self._work_apart(connection, neighbours)

    def _work_apart(self, connection: Connection, jobs: list[_Job]) -> None:
        for job in jobs:
            self._work_alone(connection, job)

    def _work_alone(self, connection: Connection, job: _Job) -> None:
        """Do one job without harm to the others.

        Raises:
            SQLAlchemyError: the transaction as a whole cannot go on; it may be undone already, with its savepoints.
        """
        savepoint = connection.begin_nested()
        job.result, job.error = None, None
        try:
            if isinstance(job.work, Append):
                job.error = append_all(connection, [job.work])[0]
            else:
                job.result = job.work(connection)
        except DATABASE_ERRORS as error:
            if is_fatal(error):
                raise
            job.error = cannot("write", self._path, error)
        except Exception as error:  # noqa: BLE001 - it is the caller's, and the thread must go on
            job.error = error
        if job.error is None:
            savepoint.commit()
        else:
            savepoint.rollback()

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        """Let go of a connection whose state is not known; what is not committed is undone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*DATABASE_ERRORS):
                connection.invalidate()
            with contextlib.suppress(*DATABASE_ERRORS):
                connection.close()


def _fail(group: list[_Job], error: Exception) -> None:
    """A group that was not committed: each job has an error of its own, as they are raised in different places."""
    for job in group:
        if isinstance(error, RecordError):
            job.error = RecordError(error.message, fix=error.fix, unknown=error.unknown)
            job.error.__cause__ = error.__cause__
        elif not isinstance(job.error, KugetsuError):
            job.error = error


def _resolve(group: list[_Job]) -> None:
    """Tell everybody who waits, with one call for each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in group:
        loops.setdefault(job.loop, []).append(job)
    for loop, jobs in loops.items():
        with contextlib.suppress(RuntimeError):  # a closed loop: nobody waits there any more
            loop.call_soon_threadsafe(_resolve_here, jobs)


def _resolve_here(jobs: list[_Job]) -> None:
    for job in jobs:
        job.resolve()
