"""Stores under everything that can happen to them, in any order, against a model.

`KUGETSU_STORE_EXAMPLES=2000` makes it a long run: so many examples, each of 100 steps.
"""

import asyncio
import os
import shutil
import tempfile
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kugetsu.errors import KugetsuError, LeaseLostError, QueueFullError, StateConflictError
from kugetsu.messages import user
from kugetsu.protocols import Claim, Clock, Concurrency, Lease, Store, Submitted
from kugetsu.sessions import Heard
from kugetsu.storage import SqlStore
from kugetsu.tasks import Answer, Cancel, Control, Pause, Prioritise, Resume, Retry, Say, Task, TaskReport, TaskState
from kugetsu.testing import FakeClock, MemoryStore
from storage.store_lab import LEASE_SECONDS, a_worker
from storage.store_model import Model, ModelTask, texts
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

# Which of those that there are: by number, so that any number means something. High ones mean those that are gone.
some = st.integers(0, 30)
_GONE: Final = 24
endings = st.sampled_from(["completed", "completed", "failed", "cancelled", "waiting", "pending", "paused"])


class StoreMachine(RuleBasedStateMachine):
    """Does what workers and users do, those that should be dead included, and looks whether the store still agrees."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock(auto=False)
        self.model = Model()
        self.leases: list[Lease] = []
        self.names = 0
        self.words = 0
        self.store = self.do(self.open(self.clock))

    @abstractmethod
    async def open(self, clock: Clock) -> Store:
        """Open an empty store."""

    def do(self, action: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(action)

    def refused(self, action: Coroutine[Any, Any, object], error: type[KugetsuError]) -> None:
        with pytest.raises(error):
            self.do(action)

    @property
    def now(self) -> float:
        return self.clock.now()

    def worker(self, number: int) -> str:
        """One of the workers that there ever were; mostly one that has a lease, a new one if none has."""
        if number > _GONE:
            return f"w{number % self.names}"
        if not self.model.workers:
            self.register()
        return list(self.model.workers)[number % len(self.model.workers)]

    def task(self, number: int) -> ModelTask:
        return list(self.model.tasks.values())[number % len(self.model.tasks)]

    def held(self, number: int) -> tuple[Lease, ModelTask, bool]:
        """One of the leases that there ever were, mostly a good one; whether it is."""
        good = [lease for lease in self.leases if self.model.tasks[lease.task].lease == lease.generation]
        leases = self.leases if number > _GONE or not good else good
        lease = leases[-1 - number % len(leases)]
        task = self.model.tasks[lease.task]
        return lease, task, task.lease == lease.generation

    def claimed(self, claim: Claim, worker: str, *, rewind: bool = False) -> None:
        task = self.model.tasks[claim.record.id]
        assert claim.lease.generation > max(task.generations, default=0), "an old token was given again"
        assert task.lease == 0, "two live leases"
        assert texts((note.kind, note.text) for note in claim.notes) == task.notes
        self.model.claim(claim.record.id, worker, claim.lease.generation, rewind=rewind)
        self.leases.append(claim.lease)

    # Workers.

    @initialize(tasks=st.integers(1, 5))
    def begin(self, tasks: int) -> None:
        self.register()
        for number in range(tasks):
            self._submit(a_task(f"t{number}", prompt="do it", repo="/x"))

    def register(self) -> None:
        name = f"w{self.names}"
        self.names += 1
        self.do(self.store.register(a_worker(name), LEASE_SECONDS))
        self.model.workers[name] = self.now + LEASE_SECONDS

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

    @rule(seconds=st.integers(1, 40))
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

    @rule(by=some, most=st.integers(1, 3), limit=st.sampled_from([0, 0, 1, 2]))
    def claim(self, by: int, most: int, limit: int) -> None:
        worker = self.worker(by)
        if worker not in self.model.workers:
            self.refused(self.store.claim(worker, most), LeaseLostError)
            return
        claims = self.do(self.store.claim(worker, most, Concurrency(repository=limit)))
        self.model.expire(self.now)
        assert [claim.record.id for claim in claims] == self.model.next(self.now, most, limit)
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
            or (task.state == "running" if rewind else task.state != "pending")
            or (rewind and task.wanted == "cancel")
        ):
            self.refused(claiming, StateConflictError)
        else:
            self.claimed(self.do(claiming), worker, rewind=rewind)

    # Runs, those of zombies included.

    @precondition(lambda self: self.leases)
    @rule(which=some, headway=st.booleans(), take=st.booleans())
    def append(self, which: int, *, headway: bool, take: bool) -> None:
        lease, task, good = self.held(which)
        self.words += 1
        entries = [Heard(user(f"{self.words}.{part}")) for part in range(self.words % 3)]
        notes = self._waiting(task) if take else []
        append = self.store.append(lease, entries, taken=notes, headway=headway)
        if not good:
            self.refused(append, LeaseLostError)
            return
        self.do(append)
        task.entries += entries
        task.crashes = 0 if headway else task.crashes
        task.notes = [] if take else task.notes

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
    @rule(which=some, state=endings, question=st.booleans(), delay=st.sampled_from([0, 15]))
    def settle(self, which: int, state: TaskState, *, question: bool, delay: int) -> None:
        lease, task, good = self.held(which)
        if not good:
            self.refused(self.store.settle(lease, an_ending(state), entries=[Heard(user("undead"))]), LeaseLostError)
            return
        if not task.placed:
            self.place(which)
        asks = question and state == "waiting"
        available_at = self.now + delay if state == "pending" else 0.0
        self.words += 1
        last = Heard(user(f"{self.words}"))
        report = TaskReport.of(task.task)
        ending = an_ending(state, report=report, question="which?" if asks else "", available_at=available_at)
        record = self.do(self.store.settle(lease, ending, entries=[last]))
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
        for name, task in self.model.tasks.items():
            record = self.do(self.store.find(name))
            assert (record.state, record.wanted, record.worker) == (task.state, task.wanted, task.worker)
            assert (record.crashes, record.blockers) == (task.crashes, len(task.waits_for))
            assert task.final or (record.available_at, record.queued_at) == (task.available_at, task.queued_at)
            assert (record.place is not None) == task.placed
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
