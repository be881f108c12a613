import asyncio
import random
from contextlib import suppress
from functools import partial
from itertools import chain, cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from admission.gate_lab import FINE, GateLab, cancel_at_random, limits, rounds
from admission.machine_lab import MIB
from kugetsu.admission import Gate
from kugetsu.testing import FakeClock


async def test_commands_run_at_once_while_there_are_slots() -> None:
    lab, end = GateLab(commands=4), asyncio.Event()
    async with lab.gate.open(), asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(lab.command(f"task {number}", until=end))
        await rounds()
        assert len(lab.running) == 4
        assert (lab.waiting, lab.gate.status().delayed, lab.clock.waits) == (0, 0, [])
        end.set()


async def test_five_hundred_commands_of_fifty_tasks_all_run_and_never_more_than_the_slots() -> None:
    lab = GateLab(commands=4)
    async with lab.gate.open(), asyncio.TaskGroup() as group:
        for number in range(500):
            group.create_task(lab.command(f"task {number % 50}", turns=number % 3))
    assert (len(lab.order), lab.most, lab.running, lab.waiting) == (500, 4, [], 0)
    assert sorted(lab.order) == sorted(f"task {number % 50}" for number in range(500))
    assert lab.gate.status().started == 500


async def test_a_task_with_many_calls_starves_no_other() -> None:
    lab = GateLab(commands=1)
    async with lab.gate.open(), asyncio.TaskGroup() as group:
        for _ in range(100):
            group.create_task(lab.command("greedy"))
        await rounds(1)
        for name in "abc":
            group.create_task(lab.command(name))
            group.create_task(lab.command(name))
    early = lab.order[:12]
    assert {name: early.count(name) for name in "abc"} == {"a": 2, "b": 2, "c": 2}
    assert len(lab.order) == 106


async def test_commands_of_one_task_run_in_the_order_in_which_they_came() -> None:
    lab, began = GateLab(commands=1), list[int]()

    async def command(number: int) -> None:
        async with lab.gate.command("one"):
            began.append(number)
            await asyncio.sleep(0)

    async with lab.gate.open(), asyncio.TaskGroup() as group:
        for number in range(50):
            group.create_task(command(number))
    assert began == list(range(50))


async def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    lab, end = GateLab(commands=1), asyncio.Event()
    async with lab.gate.open(), asyncio.TaskGroup() as group:
        group.create_task(lab.command("first", until=end))
        await rounds(2)
        group.create_task(lab.command("second"))
        await rounds(2)
        end.set()
        # The slot becomes free, and before the second has taken it up somebody else comes.
        while "first" in lab.running:
            await asyncio.sleep(0)
        group.create_task(lab.command("third"))
    assert lab.order == ["first", "second", "third"]


@given(st.randoms(use_true_random=False), st.integers(1, 5))
@settings(max_examples=30)
async def test_storms_of_cancels_lose_no_slot(chance: random.Random, slots: int) -> None:
    lab = GateLab(commands=slots)
    async with lab.gate.open():
        tasks = [asyncio.create_task(lab.command(f"task {number % 7}", turns=2)) for number in range(60)]
        await cancel_at_random(tasks, chance)
        async with asyncio.timeout(20):
            await asyncio.wait(tasks)
        status = lab.gate.status()
        assert (status.commands, status.waiting, lab.running) == (0, 0, [])
        assert lab.most <= slots
        assert all(task.cancelled() or task.exception() is None for task in tasks)
        # All slots are there again.
        end = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for _ in range(slots):
                group.create_task(lab.command("after", until=end))
            await rounds()
            assert len(lab.running) == slots
            end.set()


async def test_one_that_is_cancelled_in_the_moment_it_is_let_in_gives_its_slot_to_the_next() -> None:
    lab, end = GateLab(commands=1), asyncio.Event()
    async with lab.gate.open(), asyncio.TaskGroup() as group:
        first = group.create_task(lab.command("first", until=end))
        await rounds(2)
        second = group.create_task(lab.command("second"))
        third = group.create_task(lab.command("third"))
        await rounds(2)
        first.cancel()
        while lab.running == ["first"]:
            await asyncio.sleep(0)
        second.cancel()
        with suppress(asyncio.CancelledError):
            await second
        await third
    assert lab.order == ["first", "third"]
    assert lab.gate.status().commands == 0


async def test_a_command_that_fails_gives_its_slot_back() -> None:
    lab = GateLab(commands=1)
    async with lab.gate.open():
        with pytest.raises(OSError, match="refused"):
            async with lab.gate.command("a"):
                raise OSError("refused")
        await lab.command("b")
    assert lab.gate.status().commands == 0


async def test_who_waits_is_told_why_soon_and_then_every_half_minute() -> None:
    lab, end, heard = GateLab(commands=1, auto=False), asyncio.Event(), list[tuple[float, str]]()

    async def patient() -> None:
        async with lab.gate.command("patient", lambda words: heard.append((lab.clock.monotonic(), words))):
            end.set()

    async with lab.gate.open(), asyncio.TaskGroup() as group:
        busy = asyncio.Event()
        group.create_task(lab.command("busy", until=busy))
        await rounds(2)
        group.create_task(patient())
        await rounds()
        for _ in range(100):
            lab.clock.advance(1)
            await rounds()
        assert lab.gate.status().longest_wait == 100
        busy.set()
        await end.wait()
    assert [moment for moment, _ in heard] == [1, 31, 61, 91]
    assert heard[0][1] == "all 1 slots for commands are taken (machine.command_slots); 1 waiting"


async def test_a_listener_that_fails_fails_its_own_command_and_no_other() -> None:
    lab, end = GateLab(commands=1, auto=False), asyncio.Event()
    words = iter(["told at once"])

    def listener(_why: str) -> None:
        if not next(words, ""):
            raise ValueError("it listens no more")

    async def listening() -> None:
        with pytest.raises(ValueError, match="listens no more"):
            async with lab.gate.command("listening", listener):
                raise AssertionError("it was let in")

    async with lab.gate.open(), asyncio.TaskGroup() as group:
        group.create_task(lab.command("busy", until=end))
        await rounds(2)
        waits = group.create_task(listening())
        group.create_task(lab.command("other"))
        await rounds()
        for _ in range(33):
            lab.clock.advance(1)
            await rounds()
        assert waits.done()
        end.set()
    assert lab.order == ["busy", "other"]
    assert lab.gate.status().commands == 0


async def test_one_that_waits_no_longer_is_not_counted() -> None:
    lab, end = GateLab(commands=1, auto=False), asyncio.Event()
    async with lab.gate.open(), asyncio.TaskGroup() as group:
        group.create_task(lab.command("busy", until=end))
        await rounds(2)
        impatient = group.create_task(lab.command("impatient"))
        await rounds(2)
        assert lab.waiting == 1
        impatient.cancel()
        await rounds(2)
        assert lab.waiting == 0
        end.set()


async def test_nobody_looks_at_the_machine_when_nothing_waits() -> None:
    lab = GateLab(commands=1)
    async with lab.gate.open():
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(lab.command("a"))
        await rounds(200)
        before = len(lab.clock.waits)
        await rounds(500)
        assert len(lab.clock.waits) == before


async def test_the_status_says_how_things_stand() -> None:
    lab, end = GateLab(commands=1, auto=False), asyncio.Event()
    lab.gate.tasks_now(running=3)
    async with lab.gate.open(), asyncio.TaskGroup() as group:
        group.create_task(lab.command("a", until=end))
        group.create_task(lab.command("b", until=end))
        await rounds()
        lab.clock.advance(5)
        status = lab.gate.status()
        end.set()
    assert (status.tasks, status.commands, status.waiting) == (3, 1, 1)
    assert (status.longest_wait, status.started, status.strain) == (5, 1, "none")
    assert status.refusal.startswith("all 1 slots for commands")
    assert status.machine.memory_available == 400 * MIB
    status = lab.gate.status()
    assert (status.commands, status.waiting, status.started, status.delayed, status.refusal) == (0, 0, 2, 1, "")


async def test_an_error_in_the_block_leaves_the_gate_as_it_is() -> None:
    lab = GateLab()
    with pytest.raises(KeyError, match="mine"):
        async with lab.gate.open():
            raise KeyError("mine")


@pytest.mark.parametrize("slots", [1, 2, 20])
@pytest.mark.parametrize("megabytes", [5, 50, 150])
def test_the_number_of_tasks_rests_on_one_reading_while_memory_comes_and_goes(slots: int, megabytes: int) -> None:
    plenty, little = FINE, replace(FINE, memory_available=megabytes * MIB)
    for first in range(4):
        readings = chain([plenty] * first, cycle([little, plenty]))
        gate = Gate(limits(tasks=slots), partial(next, readings), FakeClock())
        assert 0 <= gate.tasks_now(running=0) <= slots
        assert gate.tasks_now(running=slots) == 0
