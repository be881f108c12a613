"""A store with a clock that stands still, and workers and tasks in any situation."""

from collections.abc import Awaitable, Callable
from typing import Any

from kugetsu.errors import TaskNotFoundError
from kugetsu.events import TaskFinished, TaskMoved
from kugetsu.messages import AssistantMessage, Text, ToolCall, ToolResult, user
from kugetsu.protocols import Claim, Concurrency, Store, WorkerInfo
from kugetsu.sessions import Entry, Finished, Heard, Replied, Started
from kugetsu.tasks import Answer, Cancel, Note, Outcome, Pause, TaskRecord, TaskState
from kugetsu.testing import FakeClock
from tasks.task_lab import PLACE, a_task, an_ending

HEARD: Entry = Heard(user("hello"))

LEASE_SECONDS = 30.0


def a_worker(name: str = "w") -> WorkerInfo:
    return WorkerInfo(name, "host:boot", 4711, "kugetsu serve")


def a_call(turn: int = 1, *, done: bool = False) -> list[Entry]:
    """A turn in which a command was started, and perhaps came to its end."""
    call = ToolCall(f"c{turn}", "bash", "{}")
    entries: list[Entry] = [Replied(turn, AssistantMessage((call,), "tool_calls")), Started(turn, (call.id,))]
    return [*entries, Finished(turn, ToolResult(call.id, "bash", (Text("ok"),)))] if done else entries


def a_finish(task: str, seq: int, state: TaskState) -> TaskFinished:
    """What a run says at its end."""
    return TaskFinished(task=task, seq=seq, state=state, outcome=Outcome("completed", "so it ended"), summary="")


class Lab:
    """What the tests of every store need.

    Attributes:
        clock: the store's; time passes by `advance` alone.
    """

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self.store = store
        self.clock = clock

    @property
    def now(self) -> float:
        return self.clock.now()

    async def worker(self, name: str = "w") -> str:
        """Register a worker; of one that has a lease, renew it."""
        await self.store.register(a_worker(name), LEASE_SECONDS)
        return name

    async def submit(self, name: str = "a", **fields: Any) -> TaskRecord:
        return (await self.store.submit(a_task(name, **fields))).record

    async def running(self, name: str = "a", *, worker: str = "w", place: bool = False, **fields: Any) -> Claim:
        """A task that a worker has, whether it came in before or not."""
        await self.worker(worker)
        try:
            await self.find(name)
        except TaskNotFoundError:
            await self.submit(name, **fields)
        claim = await self.store.claim_task(worker, name)
        if place:
            await self.store.place(claim.lease, PLACE)
        return claim

    async def find(self, name: str = "a") -> TaskRecord:
        return await self.store.find(name)

    async def claim(self, most: int = 100, *, worker: str = "w", limits: Concurrency | None = None) -> list[str]:
        """The ids of the tasks that a worker gets, in order."""
        await self.worker(worker)
        return [claim.record.id for claim in await self.store.claim(worker, most, limits)]

    async def moves(self, name: str = "a") -> list[str]:
        """The states that the store itself has told in the events of a task."""
        return [event.state for event in await self.store.events(name) if isinstance(event, TaskMoved)]

    async def changes(self, name: str = "") -> list[str]:
        """The states in the outbox, of one task or of all; all of them in order."""
        changes = await self.store.changes(tasks=[name] if name else [])
        assert [change.id for change in changes] == sorted({change.id for change in changes})
        return [change.state for change in changes]

    async def settle(self, claim: Claim, state: TaskState, **fields: Any) -> TaskRecord:
        fields.setdefault("report", claim.record.report)
        return await self.store.settle(claim.lease, an_ending(state, **fields))

    async def finish(self, name: str, state: TaskState, **fields: Any) -> TaskRecord:
        """Run a task, and end it so."""
        return await self.settle(await self.running(name, **fields), state)

    async def die(self, worker: str = "w") -> list[TaskRecord]:
        """Let a worker's process be gone, and somebody notice."""
        return await self.store.reap([worker])

    async def expire(self, worker: str = "w") -> list[TaskRecord]:
        """Let a worker's lease expire, and somebody notice."""
        self.clock.advance(LEASE_SECONDS + 1)
        await self._keep_others(worker)
        return await self.store.reap()

    async def _keep_others(self, dead: str) -> None:
        for state in await self.store.workers():
            if state.info.id != dead:
                await self.store.renew(state.info.id, LEASE_SECONDS)

    async def notes(self, name: str = "a") -> list[Note]:
        """What no run of a task that can be claimed, or is running, has taken."""
        record = await self.find(name)
        if record.state != "running":
            return list((await self.running(name, worker="reader")).notes)
        attention = [found for found in await self.store.attention(record.worker) if found.task == name]
        return list(attention[0].notes) if attention else []

    async def outcome(self, name: str = "a") -> Outcome:
        outcome = (await self.find(name)).outcome
        assert outcome is not None
        return outcome

    async def enter(self, situation: str) -> None:
        """Bring the task `a` into a situation of the table of controls."""
        await _SITUATIONS[situation](self)


async def _fresh(lab: Lab) -> None:
    await lab.submit()


async def _delayed(lab: Lab) -> None:
    await lab.submit(start_at=lab.now + 60)


async def _blocked(lab: Lab) -> None:
    await lab.submit("before")
    await lab.submit(after=("before",))


async def _begun(lab: Lab) -> None:
    await lab.running(place=True)
    await lab.store.retire("w")


async def _answered(lab: Lab) -> None:
    await _asking(lab)
    await lab.store.control("a", Answer("the red one"))


async def _cancelling(lab: Lab) -> None:
    await _begun(lab)
    await lab.store.control("a", Cancel("no need"))


async def _running(lab: Lab) -> None:
    await lab.running(place=True)


async def _pausing(lab: Lab) -> None:
    await _running(lab)
    await lab.store.control("a", Pause("wait"))


async def _aborting(lab: Lab) -> None:
    await _running(lab)
    await lab.store.control("a", Cancel("no need"))


async def _asking(lab: Lab) -> None:
    await lab.settle(await lab.running(place=True), "waiting", question="which?")


async def _resting(lab: Lab) -> None:
    await lab.settle(await lab.running(place=True), "waiting")


async def _paused(lab: Lab) -> None:
    await lab.submit()
    await lab.store.control("a", Pause("wait"))


async def _halted(lab: Lab) -> None:
    await lab.settle(await lab.running(place=True), "paused")


async def _paused_asking(lab: Lab) -> None:
    await _asking(lab)
    await lab.store.control("a", Pause("wait"))


async def _paused_answered(lab: Lab) -> None:
    await _paused_asking(lab)
    await lab.store.control("a", Answer("the red one"))


async def _completed(lab: Lab) -> None:
    await lab.settle(await lab.running(place=True), "completed")


async def _failed(lab: Lab) -> None:
    await lab.settle(await lab.running(place=True), "failed")


async def _cancelled(lab: Lab) -> None:
    await lab.settle(await lab.running(place=True), "cancelled")


_SITUATIONS: dict[str, Callable[[Lab], Awaitable[None]]] = {
    "fresh": _fresh,
    "delayed": _delayed,
    "blocked": _blocked,
    "begun": _begun,
    "answered": _answered,
    "cancelling": _cancelling,
    "running": _running,
    "pausing": _pausing,
    "aborting": _aborting,
    "asking": _asking,
    "resting": _resting,
    "paused": _paused,
    "halted": _halted,
    "paused_asking": _paused_asking,
    "paused_answered": _paused_answered,
    "completed": _completed,
    "failed": _failed,
    "cancelled": _cancelled,
}
