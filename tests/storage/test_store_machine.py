"""Stores under everything that can happen to them, in any order, against a model.

`KUGETSU_STORE_EXAMPLES=2000` makes it a long run: so many examples, each of 100 steps.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from kugetsu.errors import KugetsuError, LeaseLostError, QueueFullError, StateConflictError
from kugetsu.messages import user
from kugetsu.protocols import Clock, Concurrency, Store, Submitted
from kugetsu.sessions import Heard
from kugetsu.storage import SqlStore
from kugetsu.tasks import (
    Answer,
    Cancel,
    Control,
    Pause,
    Prioritise,
    Resume,
    Retry,
    Say,
    Spent,
    Task,
    TaskReport,
    TaskState,
    day_of,
)
from kugetsu.testing import MemoryStore
from storage.store_lab import LEASE_SECONDS, a_finish
from storage.store_machine import MachineLab, some
from storage.store_model import BUDGETS, ModelTask, texts
from tasks.task_lab import PLACE, a_task, an_ending

T = TypeVar("T")

EXAMPLES: Final = int(os.environ.get("KUGETSU_STORE_EXAMPLES", "50"))
LONG: Final = EXAMPLES > 50

CONTROLS: Final[dict[str, Callable[[str], Control]]] = {
    "cancel": lambda _: Cancel(),
    "pause": lambda _: Pause(),
    "resume": lambda _: Resume(),
    "retry": lambda _: Retry(),
    "answer": Answer,
}

endings = st.sampled_from(["completed", "completed", "failed", "cancelled", "waiting", "waiting", "pending", "paused"])
amounts = st.sampled_from([0.0, 0.25, 1.0, 3.5])


class StoreMachine(MachineLab):
    """Does what workers and users do, those that should be dead included, and looks whether the store still agrees."""

    # Workers.

    @initialize(tasks=st.integers(1, 5))
    def begin(self, tasks: int) -> None:
        self.register()
        for number in range(tasks):
            self._submit(a_task(f"t{number}", prompt="do it", repo="/x"))

    @rule(which=some, what=st.sampled_from(["register", "renew", "renew", "retire"]))
    def serve(self, which: int, what: str) -> None:
        worker = self.worker(which)
        if what == "register":
            self.register()
        elif what == "retire":
            expected = [task.task.id for task in self.model.running(worker)]
            assert sorted(self.do(self.store.retire(worker))) == sorted(expected)
            self.model.lose(worker, died=False, now=self.clock.now())
        elif worker in self.model.workers:
            self.do(self.store.renew(worker, LEASE_SECONDS))
            self.model.workers[worker] = self.now + LEASE_SECONDS
        else:
            self.refused(self.store.renew(worker, LEASE_SECONDS), LeaseLostError)

    @rule(seconds=st.sampled_from([*range(1, 41), 7_000]))  # the longest leads to another day
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(killed=st.none() | some)
    def reap(self, killed: int | None) -> None:
        known = () if killed is None else (self.worker(killed),)
        expired = {worker for worker, end in self.model.workers.items() if end <= self.now}
        self._reap({*expired, *known}, known)

    def _reap(self, gone: set[str], known: tuple[str, ...]) -> None:
        expected = {task.task.id for worker in gone for task in self.model.running(worker)}
        taken = self.do(self.store.reap(known))
        assert {record.id for record in taken} == expected
        for worker in sorted(gone):
            self.model.lose(worker, died=worker in known, now=self.clock.now())

    # The queue.

    @rule(
        priority=st.integers(-2, 2),
        delay=st.sampled_from([0, 0, 0, 25]),
        deadline=st.sampled_from([0, 0, 35]),
        repo=st.sampled_from(["/x", "/y"]),
        after=st.lists(some, max_size=2),
        key=st.sampled_from(["", "", "", "k"]),
        most_pending=st.sampled_from([0, 0, 3]),
        by=st.none() | st.none() | some,
    )
    def submit(
        self,
        *,
        priority: int,
        delay: int,
        deadline: int,
        repo: str,
        after: list[int],
        key: str,
        most_pending: int,
        by: int | None,
    ) -> None:
        known = self.model.tasks
        task = a_task(
            f"t{len(known)}",
            prompt="do it",
            repo=repo,
            priority=priority,
            start_at=self.now + delay if delay else 0.0,
            deadline_at=self.now + deadline if deadline else 0.0,
            after=tuple(self.task(number).task.id for number in after) if known else (),
        )
        self._submit(task, key=key, most_pending=most_pending, worker="" if by is None else self.worker(by))

    def _submit(self, task: Task, *, key: str = "", most_pending: int = 0, worker: str = "") -> None:
        submission = self.store.submit(task, key=key, most_pending=most_pending, worker=worker)
        if key in self.model.keys:
            self._submit_again(submission, task, self.model.tasks[self.model.keys[key]].task)
        elif error := self._refusal(task, most_pending, worker):
            self.refused(submission, error)
        else:
            submitted = self.do(submission)
            assert submitted.created
            assert bool(submitted.claim) == bool(worker)
            self.model.submit(task, submitted.record.number, self.now, key)
            if submitted.claim:
                self.claimed(submitted.claim, worker)

    def _submit_again(self, submission: Coroutine[Any, Any, Submitted], task: Task, there: Task) -> None:
        if (there.repo, there.priority, there.after) != (task.repo, task.priority, task.after):
            self.refused(submission, StateConflictError)
        else:
            submitted = self.do(submission)
            assert (submitted.created, submitted.record.id, submitted.claim) == (False, there.id, None)

    def _refusal(self, task: Task, most_pending: int, worker: str) -> type[KugetsuError] | None:
        """Why a submission is not taken."""
        states = [self.model.tasks[name].state for name in task.after]
        if {"failed", "cancelled"} & set(states):
            return StateConflictError
        if worker and worker not in self.model.workers:
            return LeaseLostError
        if worker and set(states) - {"completed"}:
            return StateConflictError
        pending = sum(other.state == "pending" for other in self.model.tasks.values())
        return QueueFullError if not worker and 0 < most_pending <= pending else None

    @rule(
        by=some,
        most=st.integers(1, 3),
        limit=st.sampled_from([0, 0, 1, 2]),
        closed=st.sampled_from([False] * 4 + [True]),
    )
    def claim(self, by: int, most: int, limit: int, *, closed: bool) -> None:
        worker = self.worker(by)
        if worker not in self.model.workers:
            self.refused(self.store.claim(worker, most), LeaseLostError)
            return
        limits = Concurrency(repository=limit, closed=frozenset({"some/model"} if closed else ()))
        claims = self.do(self.store.claim(worker, most, limits))
        self.model.expire(self.now)
        assert [claim.record.id for claim in claims] == self.model.next(self.now, most, limit, closed=closed)
        for claim in claims:
            self.claimed(claim, worker)

    @precondition(lambda self: self.model.tasks)
    @rule(by=some, which=some, rewind=st.sampled_from([False, False, True]))
    def claim_task(self, by: int, which: int, *, rewind: bool) -> None:
        worker, task = self.worker(by), self.task(which)
        claiming = self.store.claim_task(worker, task.task.id, "rewind" if rewind else "name")
        if worker not in self.model.workers:
            self.refused(claiming, LeaseLostError)
        elif (
            task.waits_for
            or (task.state == "running" if rewind else not task.starts_by_itself)
            or (rewind and task.wanted == "cancel")
        ):
            self.refused(claiming, StateConflictError)
        else:
            self.claimed(self.do(claiming), worker, rewind=rewind)

    # Runs, those of zombies included.

    @precondition(lambda self: self.leases)
    @rule(which=some, headway=st.booleans(), take=st.booleans(), usd=st.none() | amounts)
    def append(self, which: int, *, headway: bool, take: bool, usd: float | None) -> None:
        lease, task, good = self.held(which)
        self.words += 1
        entries = [Heard(user(f"{self.words}.{part}")) for part in range(self.words % 3)]
        notes = self._waiting(task) if take else []
        spent = None if usd is None else Spent(usd)
        append = self.store.append(lease, entries, taken=notes, headway=headway, spent=spent)
        if not good:
            self.refused(append, LeaseLostError)
            return
        self.do(append)
        task.entries += entries
        task.crashes = 0 if headway else task.crashes
        task.notes = [] if take else task.notes
        if usd is not None:
            self.model.spend(task, usd, self.now)

    @precondition(lambda self: self.leases)
    @rule(which=some, least=amounts, more=amounts)
    def reserve(self, which: int, least: float, more: float) -> None:
        lease, task, good = self.held(which)
        reserve = self.store.reserve(lease, Spent(least), Spent(least + more), BUDGETS)
        if not good:
            self.refused(reserve, LeaseLostError)
            return
        reserved = self.do(reserve)
        granted, hit = self.model.reserve(task, least, least + more, self.now)
        assert (reserved.granted, bool(reserved.hit)) == (None if granted is None else Spent(granted), hit)
        assert not reserved.hit or day_of(reserved.until) > day_of(self.now)

    def _waiting(self, task: ModelTask) -> list[int]:
        told = {found.task: found for found in self.do(self.store.attention(task.worker))} if task.worker else {}
        notes = told[task.task.id].notes if task.task.id in told else ()
        if task.worker:
            assert texts((note.kind, note.text) for note in notes) == task.notes
            assert (told[task.task.id].wanted if task.task.id in told else "") == task.wanted
        return [note.id for note in notes]

    @precondition(lambda self: self.leases)
    @rule(which=some)
    def place(self, which: int) -> None:
        lease, task, good = self.held(which)
        if good:
            self.do(self.store.place(lease, PLACE))
            task.placed = True
        else:
            self.refused(self.store.place(lease, PLACE), LeaseLostError)

    @precondition(lambda self: self.leases)
    @rule(
        which=some,
        state=endings,
        question=st.booleans(),
        delay=st.sampled_from([0, 15]),
        usd=amounts,
        tell=st.booleans(),
    )
    def settle(self, which: int, state: TaskState, *, question: bool, delay: int, usd: float, tell: bool) -> None:
        lease, task, good = self.held(which)
        if not good:
            self.refused(self.store.settle(lease, an_ending(state), entries=[Heard(user("undead"))]), LeaseLostError)
            return
        if not task.placed:
            self.place(which)
        asks = question and state == "waiting"
        rests = state == "pending" or (state == "waiting" and not asks)
        available_at = self.now + delay if rests and delay else 0.0
        self.words += 1
        last = Heard(user(f"{self.words}"))
        report = TaskReport.of(task.task)
        ending = an_ending(state, report=report, question="which?" if asks else "", available_at=available_at)
        events = [a_finish(lease.task, task.events + 1, state)] if tell else []
        record = self.do(self.store.settle(lease, ending, entries=[last], events=events, spent=Spent(usd)))
        self.model.spend(task, usd, self.now)
        task.entries.append(last)
        self.model.settle(task, state, question=asks, available_at=available_at)
        assert (record.state, record.wanted) == (task.state, task.wanted)

    # Users.

    @precondition(lambda self: self.model.tasks)
    @rule(which=some, name=st.sampled_from(sorted(CONTROLS)), text=st.sampled_from(["yes", "no"]))
    def control(self, which: int, name: str, text: str) -> None:
        task = self.task(which)
        control = self.store.control(task.task.id, CONTROLS[name](text))
        if self.model.control(task, name, text, self.now):
            record = self.do(control)
            assert (record.state, record.wanted) == (task.state, task.wanted)
        else:
            self.refused(control, StateConflictError)

    @precondition(lambda self: self.model.tasks)
    @rule(which=some, kind=st.sampled_from(["steering", "follow_up"]), key=st.sampled_from(["", "once"]))
    def say(self, which: int, kind: Any, key: str) -> None:
        task = self.task(which)
        self.words += 1
        text = f"said {self.words}"
        if task.final or task.wanted == "cancel":
            self.refused(self.store.control(task.task.id, Say(text, kind, key)), StateConflictError)
        else:
            self.do(self.store.control(task.task.id, Say(text, kind, key)))
            self.model.hear(task, kind, text, key)

    @precondition(lambda self: self.model.tasks)
    @rule(which=some, priority=st.integers(-2, 2))
    def prioritise(self, which: int, priority: int) -> None:
        task = self.task(which)
        if task.final:
            self.refused(self.store.control(task.task.id, Prioritise(priority)), StateConflictError)
        else:
            self.do(self.store.control(task.task.id, Prioritise(priority)))
            task.priority = priority

    # What holds at all times.

    @invariant()
    def no_task_is_lost_and_each_is_where_it_should_be(self) -> None:
        reports = self.do(self.store.reports())
        tasks = reversed(self.model.tasks.values())
        assert [
            (report.id, report.state, report.runs, report.priority, bool(report.question)) for report in reports
        ] == [(task.task.id, task.state, len(task.runs), task.priority, task.question) for task in tasks]

    @invariant()
    def every_change_is_told_once(self) -> None:
        self.told_once()

    def teardown(self) -> None:
        try:
            self._compare()
        finally:
            self.do(self.store.close())
            self.runner.close()

    def _compare(self) -> None:
        """Look at all there is, once."""
        assert {state.info.id: state.expires_at for state in self.do(self.store.workers())} == self.model.workers
        counts = self.do(self.store.counts())
        assert sum(counts.values()) == len(self.model.tasks)
        for day in {day for day, _ in self.model.used}:
            found = {(day, spending.repo): spending.spent for spending in self.do(self.store.spending(day))}
            assert found == {(d, repo): Spent(usd) for (d, repo), usd in self.model.used.items() if d == day}
        for name, task in self.model.tasks.items():
            record = self.do(self.store.find(name))
            assert (record.state, record.wanted, record.worker) == (task.state, task.wanted, task.worker)
            assert (record.crashes, record.blockers) == (task.crashes, len(task.waits_for))
            assert task.final or (record.available_at, record.queued_at) == (task.available_at, task.queued_at)
            assert (record.place is not None) == task.placed
            assert len(self.do(self.store.events(name))) == task.events
            lines = self.do(self.store.session(name))
            assert [line.entry for line in lines] == task.entries, "not exactly what was accepted"
            assert [line.seq for line in lines] == list(range(1, len(lines) + 1))
            runs = self.do(self.store.runs(name))
            assert [run.worker for run in runs] == task.runs
            assert {run.generation for run in runs} <= set(task.generations)
            live = [run.generation for run in runs if run.ended_at is None]
            assert live == [task.lease] or not live, "more than one live run"


class MemoryStoreMachine(StoreMachine):
    async def open(self, clock: Clock) -> Store:
        return MemoryStore(clock)


class SqlStoreMachine(StoreMachine):
    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="kugetsu-machine-"))
        super().__init__()

    async def open(self, clock: Clock) -> Store:
        return await SqlStore.open(self.home, clock)

    def teardown(self) -> None:
        try:
            super().teardown()
        finally:
            shutil.rmtree(self.home)


SETTINGS: Final = settings(
    max_examples=EXAMPLES,
    stateful_step_count=100 if LONG else 40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)

# A failure takes its time to be made small.
pytestmark = pytest.mark.timeout(0 if LONG else 300)

TestMemoryStoreMachine = MemoryStoreMachine.TestCase
TestMemoryStoreMachine.settings = SETTINGS
TestSqlStoreMachine = SqlStoreMachine.TestCase
TestSqlStoreMachine.settings = SETTINGS
