import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kugetsu.errors import LeaseLostError
from kugetsu.messages import Delta, TextDelta
from kugetsu.protocols import SystemClock
from kugetsu.shadows import Shadow, ShadowManager
from kugetsu.testing import says
from support.agent_bench import call
from support.shadow_bench import ShadowBench


@pytest.fixture
def shadows(tmp_path: Path) -> ShadowBench:
    return ShadowBench(tmp_path)


async def hang(_request: object) -> AsyncIterator[Delta]:
    yield TextDelta("thinking ...")
    await asyncio.Event().wait()


class Failures:
    def __init__(self) -> None:
        self.seen: list[Exception] = []

    async def take(self, error: Exception) -> None:
        self.seen.append(error)


async def until_doing(manager: ShadowManager, what: str, number: int = 1) -> None:
    async with asyncio.timeout(20):
        while [info.doing for info in manager.list()].count(what) < number:
            await asyncio.sleep(0.005)


async def state_of(shadows: ShadowBench, shadow: Shadow) -> str:
    return (await shadows.store.find(shadow.task.id)).state


async def test_what_is_spawned_is_listed_with_what_it_does_until_it_is_gone(shadows: ShadowBench) -> None:
    failures = Failures()
    thinker = shadows.shadow(hang)
    worker = shadows.shadow(says("", call("bash", command="sleep 99")))
    async with ShadowManager(SystemClock()).open() as manager:
        for shadow in (thinker, worker):
            manager.spawn(lambda shadow=shadow: shadow, failures.take)  # type: ignore[misc]  # bound here
        await until_doing(manager, "thinking")
        await until_doing(manager, "bash")
        infos = {info.task: info for info in manager.list()}
        assert infos[worker.task.id].turn == 1
        assert infos[worker.task.id].run == 1
        assert manager.find(thinker.task.id) is thinker
        assert manager.terminate(thinker.task.id)
        assert not manager.terminate("nobody")
        async with asyncio.timeout(20):
            while manager.spawned > 1:
                await asyncio.sleep(0.005)
        assert [info.task for info in manager.list()] == [worker.task.id]
        assert await state_of(shadows, thinker) == "cancelled"
    assert manager.list() == []
    assert await state_of(shadows, worker) == "pending"
    assert failures.seen == []


async def test_one_that_cannot_be_made_or_fails_harms_no_other(shadows: ShadowBench) -> None:
    failures = Failures()
    good = shadows.shadow(says("fine"))

    def broken() -> Shadow:
        raise ZeroDivisionError("cannot be made")

    used = shadows.shadow(says("fine"))
    await used.run()
    async with ShadowManager(SystemClock()).open() as manager:
        manager.spawn(broken, failures.take)
        manager.spawn(lambda: used, failures.take)
        manager.spawn(lambda: good, failures.take)
        await manager.drained()
    assert await state_of(shadows, good) == "completed"
    assert sorted(type(error).__name__ for error in failures.seen) == ["UsageError", "ZeroDivisionError"]


async def test_leaving_leaves_nothing_behind(shadows: ShadowBench) -> None:
    before = asyncio.all_tasks()
    made = [shadows.shadow(says("", call("bash", command="sleep 98 & sleep 99"))) for _ in range(5)]
    manager = ShadowManager(SystemClock())
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is what is left
        async with manager.open():
            for shadow in made:
                manager.spawn(lambda shadow=shadow: shadow, Failures().take)  # type: ignore[misc]  # bound here
            await until_doing(manager, "bash", 5)
            raise ZeroDivisionError
    assert asyncio.all_tasks() == before
    assert [await state_of(shadows, shadow) for shadow in made] == ["pending"] * 5
    ids = {f"KUGETSU_TASK={shadow.task.id}".encode() for shadow in made}
    assert not [path for path in Path("/proc").glob("[0-9]*/environ") if ids & set(_read(path).split(b"\0"))]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


async def test_shadows_that_come_after_a_stop_end_at_once(shadows: ShadowBench) -> None:
    late = shadows.shadow(hang)
    async with ShadowManager(SystemClock()).open() as manager:
        manager.interrupt("stopped")
        report = await manager.run(late)
    assert (report.state, report.outcome and report.outcome.message) == ("pending", "stopped")


async def test_what_is_lost_writes_nothing_more_and_its_successor_waits(shadows: ShadowBench) -> None:
    failures = Failures()
    first = shadows.shadow(hang)
    async with ShadowManager(SystemClock()).open() as manager:
        manager.spawn(lambda: first, failures.take)
        await until_doing(manager, "thinking")
        await shadows.crash()
        second = await shadows.again(first, says("done"))
        assert manager.find(first.task.id) is first
        manager.lose(LeaseLostError("gone"))
        manager.spawn(lambda: second, failures.take)
        await manager.drained()
    assert [type(error) for error in failures.seen] == [LeaseLostError]
    assert await state_of(shadows, second) == "completed"


async def test_whoever_fails_to_deal_with_a_failure_harms_no_other(shadows: ShadowBench) -> None:
    async def fails_too(_error: Exception) -> None:
        raise ZeroDivisionError

    def broken() -> Shadow:
        raise ValueError("cannot be made")

    good = shadows.shadow(says("fine"))
    async with ShadowManager(SystemClock()).open() as manager:
        manager.spawn(broken, fails_too)
        manager.spawn(lambda: good, fails_too)
        await manager.drained()
    assert await state_of(shadows, good) == "completed"
    with pytest.raises(RuntimeError, match="the manager is not open"):
        manager.spawn(broken, fails_too)
