"""What the state machine of stores has at hand."""

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from kugetsu.errors import KugetsuError
from kugetsu.events import TaskFinished, TaskMoved
from kugetsu.protocols import Claim, Clock, Lease, Store
from kugetsu.testing import FakeClock
from storage.store_lab import LEASE_SECONDS, a_worker
from storage.store_model import Model, ModelTask, texts

T = TypeVar("T")

# Which of those that there are: by number, so that any number means something. High ones mean those that are gone.
some = st.integers(0, 30)
_GONE: Final = 24


class MachineLab(RuleBasedStateMachine):
    """A store, a model of it, and who ever had anything of it."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = FakeClock(auto=False)
        self.model = Model()
        self.leases: list[Lease] = []
        self.names = 0
        self.words = 0
        self.last_change = 0
        self.last_number = 0
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
        assert claim.last_event >= task.events
        self.model.claim(claim.record.id, worker, claim.lease.generation, rewind=rewind)
        self.leases.append(claim.lease)

    def told_once(self) -> None:
        """Look whether every change of a state is in the outbox once, and in the events as well unless a run told it."""
        changed = {name: task for name, task in self.model.tasks.items() if task.state != task.told}
        changes = [change for change in self.do(self.store.changes(most=10_000)) if change.id > self.last_change]
        assert {change.task: change.state for change in changes} == {name: task.state for name, task in changed.items()}
        assert len(changes) == len(changed), "told more than once"
        feed = self.do(self.store.feed(after=self.last_number))
        moves = {one.event.task: one.event.state for one in feed if isinstance(one.event, TaskMoved)}
        ended = {one.event.task: one.event.state for one in feed if isinstance(one.event, TaskFinished)}
        told = {name: state for name, state in ended.items() if name in changed and changed[name].state == state}
        assert moves == {
            name: task.state for name, task in changed.items() if task.state != "running" and name not in told
        }
        for numbered in feed:
            task = self.model.tasks[numbered.event.task]
            task.events += 1
            assert numbered.event.seq == task.events, "a number left out, or given twice"
        for task in changed.values():
            task.told = task.state
        self.last_change = max([self.last_change, *(change.id for change in changes)])
        self.last_number = self.do(self.store.last_event())

    def register(self) -> None:
        name = f"w{self.names}"
        self.names += 1
        self.do(self.store.register(a_worker(name), LEASE_SECONDS))
        self.model.workers[name] = self.now + LEASE_SECONDS
