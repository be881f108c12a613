import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.http.stream_lab import Lab, Running, Sent, open_lab, shown, take, until
from kugetsu.protocols import Store, SystemClock
from kugetsu.storage import SqlStore
from kugetsu.tasks import Cancel, Pause
from kugetsu.testing import MemoryStore


@pytest.fixture(params=["sqlite", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store: Store = await SqlStore.open(tmp_path) if request.param == "sqlite" else MemoryStore(SystemClock())
    yield store
    await store.close()


async def test_a_task_is_followed_from_its_first_event_until_it_is_over(store: Store) -> None:
    async with open_lab(store) as lab:
        task = await lab.works.start()
        async with lab.client.open(f"/v1/tasks/{task.id}/events") as events:
            [submitted] = await take(events, 1)
            assert (submitted.id, submitted.name, submitted.json["state"]) == ("1", "task_moved", "pending")
            said = await task.say("one", "two")
            heard = await take(events, 2)
            assert [event.data for event in heard] == shown(said)
            assert [event.name for event in heard] == ["noted", "noted"]
            await task.finish()
            finished, end = [event async for event in events]
        assert finished.name == "task_finished"
        assert (end.id, end.name, end.json) == ("", "end", {"state": "completed"})


async def test_what_there_is_of_a_running_task_can_be_had_without_waiting(store: Store) -> None:
    async with open_lab(store) as lab:
        task = await lab.works.start()
        await task.say("one", "two")
        events = await lab.client.read(f"/v1/tasks/{task.id}/events?follow=false")
        assert [event.id for event in events] == ["1", "2", "3", ""]
        assert events[-1].json == {"state": "running"}


async def test_a_client_goes_on_behind_the_event_that_it_names_and_its_header_counts_more_than_its_query(
    store: Store,
) -> None:
    async with open_lab(store) as lab:
        task = await lab.works.start()
        await task.say("one", "two", "three", gap=10)
        path = f"/v1/tasks/{task.id}/events?follow=false"
        assert [event.id for event in await lab.client.read(path, last="11")] == ["21", "31", ""]
        assert [event.id for event in await lab.client.read(f"{path}&after=15")] == ["21", "31", ""]
        assert [event.id for event in await lab.client.read(f"{path}&after=0", last="21")] == ["31", ""]
        assert [event.id for event in await lab.client.read(f"{path}&after=2", last="")] == ["11", "21", "31", ""]
        assert [event.id for event in await lab.client.read(path, last="99")] == [""]


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "٣", "9" * 19, "9" * 30, "1 2", "0x1"])
async def test_a_place_that_is_no_number_is_refused(tmp_path: Path, last: str) -> None:
    store = await SqlStore.open(tmp_path)
    async with open_lab(store) as lab:
        task = await lab.works.submit()
        for path in ("/v1/events", f"/v1/tasks/{task}/events"):
            if last.isascii():
                status, problem, _ = await lab.client.refused(path, last=last)
                assert (status, problem["type"]) == (400, "urn:kugetsu:problem:bad-request")
                assert "Last-Event-ID" in problem["detail"]
            status, problem, _ = await lab.client.refused(f"{path}?after={last}")
            assert (status, "`after`" in problem["detail"]) == (400, True)
        status, problem, _ = await lab.client.refused(f"/v1/tasks/{task}/events?follow=perhaps")
        assert (status, problem["detail"]) == (400, "`follow` must be true or false, got 'perhaps'")
    await store.close()


async def test_a_task_is_found_by_the_beginning_of_its_id_and_one_that_is_not_there_is_no_stream(store: Store) -> None:
    async with open_lab(store) as lab:
        task = await lab.works.submit()
        assert await lab.client.read(f"/v1/tasks/{task[:6]}/events?follow=false")
        status, problem, _ = await lab.client.refused("/v1/tasks/nothing/events")
        assert (status, problem["type"]) == (404, "urn:kugetsu:problem:not-found")


async def test_a_new_task_is_waited_for_and_one_that_halts_or_never_ran_ends_the_stream(store: Store) -> None:
    async with open_lab(store) as lab:
        task = await lab.works.submit()
        async with lab.client.open(f"/v1/tasks/{task}/events") as events:
            await take(events, 1)
            await until(lambda: lab.streams.count == 1)
            await store.control(task, Cancel())
            *moves, end = [event async for event in events]
            assert [event.json["state"] for event in moves] == ["cancelled"]
            assert end.json == {"state": "cancelled"}
        paused = await lab.works.submit()
        await store.control(paused, Pause())
        *_, end = await lab.client.read(f"/v1/tasks/{paused}/events")
        assert end.json == {"state": "paused"}


async def test_all_tasks_are_followed_from_now_on_or_from_wherever_a_client_was(store: Store) -> None:
    async with open_lab(store) as lab:
        first = await lab.works.start()
        await first.say("before")
        last = await store.last_event()
        async with lab.client.open("/v1/events") as events, lab.client.open("/v1/events?after=0") as from_the_start:
            assert await take(events, 1) == [Sent(str(last), "", "")]  # no event: where to go on if nothing ever comes
            second = await lab.works.start()
            said = [*await first.say("now"), *await second.say("now too")]
            heard = await take(events, 3)
            assert [event.data for event in heard][1:] == shown(said)
            everything = await take(from_the_start, 6)
            assert [int(event.id) for event in everything] == [0, *(each.number for each in await store.feed())]
            assert everything[-3:] == heard
        async with lab.client.open("/v1/events", last=heard[0].id) as again:
            assert [event.data for event in (await take(again, 3))[1:]] == shown(said)


async def test_who_knows_of_more_events_than_there_are_hears_what_comes(store: Store) -> None:
    async with open_lab(store) as lab:
        task = await lab.works.start()
        async with lab.client.open("/v1/events?after=1000000") as events:
            await take(events, 1)
            said = await task.say("news")
            assert [event.data for event in await take(events, 1)] == shown(said)


@pytest.mark.parametrize(("seed", "budget"), [(1, 2_000), (2, 20_000), (3, 2**20)])
async def test_clients_that_are_cut_off_at_random_get_each_event_once_and_in_order(
    tmp_path: Path, seed: int, budget: int
) -> None:
    store = await SqlStore.open(tmp_path)
    async with open_lab(store, budget=budget) as lab:
        tasks = [await lab.works.start() for _ in range(3)]
        chance = random.Random(seed)  # noqa: S311 - the same each time
        async with asyncio.TaskGroup() as group:
            everything = [group.create_task(_read_all(lab, seed + n)) for n in range(3)]
            single = [group.create_task(_read_task(lab, task.id, seed + n)) for n, task in enumerate(tasks * 2)]
            for _ in range(60):
                task = chance.choice(tasks)
                await task.say(
                    *("x" * chance.choice((1, 500)) for _ in range(chance.randrange(1, 12))), gap=chance.randrange(1, 3)
                )
                await asyncio.sleep(chance.choice((0, 0, 0.005, 0.02)))
            for task in tasks:
                await task.finish()
            wake = await lab.works.submit()  # the last of all: who has it has everything
        numbers = [each.number for each in await store.feed()]
        for reader in everything:
            assert reader.result() == numbers
        for reader, task in zip(single, tasks * 2, strict=True):
            assert reader.result() == [event.seq for event in await store.events(task.id)]
        assert wake
    await store.close()


async def _read_all(lab: Lab, seed: int) -> list[int]:
    """Read the events of all tasks until the one that is submitted last, in pieces."""
    chance, numbers = random.Random(seed), list[int]()  # noqa: S311 - as above
    known: set[str] = set()
    while True:
        async with lab.client.open("/v1/events", last=str(numbers[-1] if numbers else 0)) as events:
            for _ in range(chance.randrange(1, 120)):
                event = await anext(events)
                if not event.name:
                    continue
                numbers.append(int(event.id))
                known.add(event.json["task"])
                if len(known) == 4:
                    return numbers
        await asyncio.sleep(chance.choice((0, 0.01, 0.15)))


async def _read_task(lab: Lab, task: str, seed: int) -> list[int]:
    """Read the events of one task until it is over, in pieces."""
    chance, numbers = random.Random(seed), list[int]()  # noqa: S311 - as above
    while True:
        async with lab.client.open(f"/v1/tasks/{task}/events", last=str(numbers[-1] if numbers else 0)) as events:
            for _ in range(chance.randrange(1, 60)):
                event = await anext(events)
                if event.name == "end":
                    return numbers
                numbers.append(int(event.id))
        await asyncio.sleep(chance.choice((0, 0.01, 0.15)))


async def test_large_events_and_long_histories_come_whole_and_in_pieces(tmp_path: Path) -> None:
    store = await SqlStore.open(tmp_path)
    async with open_lab(store, budget=100_000) as lab:
        task: Running = await lab.works.start()
        said = await task.say(*("x" * size for size in (10, 300_000, 10, 70_000, *([1_000] * 700))))
        events = await lab.client.read(f"/v1/tasks/{task.id}/events?follow=false")
        assert [event.data for event in events[1:-1]] == shown(said)
        async with lab.client.open("/v1/events?after=1") as feed:
            assert [event.data for event in (await take(feed, len(said) + 1))[1:]] == shown(said)
    await store.close()
