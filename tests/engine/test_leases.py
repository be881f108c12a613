import asyncio
from collections.abc import Collection
from pathlib import Path

from kugetsu.concurrency import first_error
from kugetsu.engine import Presences, reap, this_host
from kugetsu.engine.leases import Lessee
from kugetsu.errors import LeaseLostError, RecordError
from kugetsu.protocols import SystemClock, WorkerInfo
from kugetsu.tasks import Task, TaskRecord
from kugetsu.testing import FakeClock, MemoryStore

ELSEWHERE = WorkerInfo("far", "another machine/boot", 1)
GONE = WorkerInfo("gone", this_host(), 1)


class Moody(MemoryStore):
    """A store that can be out of order."""

    broken: bool = False
    renewals: int = 0

    async def renew(self, worker: str, seconds: float) -> None:
        if self.broken:
            raise RecordError("out of order")
        self.renewals += 1
        await super().renew(worker, seconds)

    async def reap(self, dead: Collection[str] = ()) -> list[TaskRecord]:
        if self.broken:
            raise RecordError("out of order")
        return await super().reap(dead)


def task(name: str = "t1") -> Task:
    return Task(id=name, prompt="x", repo="r", model="m")


async def keep_for(lessee: Lessee, clock: FakeClock, seconds: float) -> None:
    async def stop(keeping: "asyncio.Task[None]") -> None:
        await clock.sleep(seconds)
        keeping.cancel()

    with first_error():
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(lessee.keep())
            group.create_task(stop(keeping))


def lessee(store: MemoryStore, clock: FakeClock, home: Path, lost: list[LeaseLostError]) -> Lessee:
    worker = WorkerInfo("me", "here/now", 1)
    return Lessee(store, Presences(home), worker, clock=clock, seconds=30.0, on_lost=lost.append)


async def test_a_heartbeat_keeps_the_lease_for_ever(tmp_path: Path) -> None:
    clock, lost = FakeClock(), list[LeaseLostError]()
    store = Moody(clock)
    mine = lessee(store, clock, tmp_path, lost)
    await mine.take()
    await store.submit(task(), worker="me")
    await keep_for(mine, clock, 301.0)
    assert (await store.find("t1")).state == "running"
    assert store.renewals == 40
    assert lost == []


async def test_a_worker_that_misses_its_lease_says_so_and_begins_anew(tmp_path: Path) -> None:
    clock, lost = FakeClock(auto=False), list[LeaseLostError]()
    store = Moody(clock)
    mine = lessee(store, clock, tmp_path, lost)
    await mine.take()
    await store.submit(task(), worker="me")
    keeping = asyncio.create_task(mine.keep())
    await asyncio.sleep(0.01)
    clock.advance(31.0)  # as if the process had been stopped
    await asyncio.sleep(0.05)
    assert len(lost) == 1
    assert (await store.find("t1")).state == "pending"
    assert len(await store.claim("me", 5)) == 1
    keeping.cancel()
    await asyncio.wait({keeping})


async def test_a_store_that_is_out_of_order_for_a_while_costs_no_lease(tmp_path: Path) -> None:
    clock, lost = FakeClock(auto=False), list[LeaseLostError]()
    store = Moody(clock)
    mine = lessee(store, clock, tmp_path, lost)
    await mine.take()
    keeping = asyncio.create_task(mine.keep())
    for seconds, broken in ((8.0, True), (8.0, True), (8.0, False), (8.0, False), (8.0, False)):
        await asyncio.sleep(0.02)
        store.broken = broken
        clock.advance(seconds)
    await asyncio.sleep(0.02)
    assert lost == []
    keeping.cancel()
    await asyncio.wait({keeping})


async def test_the_dead_of_this_machine_lose_their_tasks_at_once_and_others_when_their_time_is_over(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    store = MemoryStore(clock)
    for worker, name in ((GONE, "t1"), (ELSEWHERE, "t2")):
        await store.register(worker, 30.0)
        await store.submit(task(name), worker=worker.id)
    assert [record.id for record in await reap(store, Presences(tmp_path), clock.now())] == ["t1"]
    await clock.sleep(31.0)
    assert [record.id for record in await reap(store, Presences(tmp_path), clock.now())] == ["t2"]


async def test_a_worker_that_missed_its_own_lease_is_no_death_that_its_tasks_are_blamed_for(tmp_path: Path) -> None:
    clock, lost = FakeClock(auto=False), list[LeaseLostError]()
    store = Moody(clock)
    mine = lessee(store, clock, tmp_path, lost)
    await mine.take()
    await store.submit(task(), worker="me")
    keeping = asyncio.create_task(mine.keep())
    for _ in range(5):
        await asyncio.sleep(0.02)
        clock.advance(31.0)
        await asyncio.sleep(0.05)
        await store.claim("me", 1)
    record = await store.find("t1")
    assert (record.state, record.crashes) == ("running", 0)
    assert len(lost) == 5
    keeping.cancel()
    await asyncio.wait({keeping})


async def test_a_store_that_hangs_does_not_keep_a_worker_from_losing_its_lease(tmp_path: Path) -> None:
    class Hanging(Moody):
        async def reap(self, dead: Collection[str] = ()) -> list[TaskRecord]:
            del dead
            await asyncio.Event().wait()
            return []

        async def renew(self, worker: str, seconds: float) -> None:
            del worker, seconds
            await asyncio.Event().wait()

    lost: list[LeaseLostError] = []
    store = Hanging()
    worker = WorkerInfo("me", "here/now", 1)
    mine = Lessee(store, Presences(tmp_path), worker, clock=SystemClock(), seconds=1.0, on_lost=lost.append)
    await mine.take()
    keeping = asyncio.create_task(mine.keep())
    async with asyncio.timeout(10):
        while not lost:
            await asyncio.sleep(0.02)
    assert "does not answer" in str(lost[0])
    keeping.cancel()
    await asyncio.wait({keeping})
