import asyncio

import pytest

from admission.gate_lab import GateLab, rounds
from admission.machine_lab import MIB
from kugetsu.errors import QueueFullError


async def test_a_newcomer_to_a_machine_that_has_just_recovered_stands_in_line() -> None:
    lab, end = GateLab(commands=2, auto=False), asyncio.Event()
    lab.has(memory_available=50 * MIB)
    async with lab.gate.open(), asyncio.TaskGroup() as group:
        for name in ("first", "second", "third"):
            group.create_task(lab.command(name, until=end))
        await rounds()
        assert lab.running == ["first"]
        lab.has(memory_available=400 * MIB)
        group.create_task(lab.command("newcomer", until=end))
        await rounds()
        # Whoever comes has those before it let in.
        assert lab.running == ["first", "second"]
        end.set()
    assert lab.order == ["first", "second", "third", "newcomer"]


async def test_when_the_machine_recovers_those_who_wait_are_let_in() -> None:
    lab, end = GateLab(commands=4, auto=False), asyncio.Event()
    lab.has(memory_available=50 * MIB)
    async with lab.gate.open(), asyncio.TaskGroup() as group:
        for number in range(4):
            group.create_task(lab.command(f"task {number}", until=end))
        await rounds()
        assert len(lab.running) == 1
        lab.has(memory_available=180 * MIB)
        lab.clock.advance(1)
        await rounds()
        assert len(lab.running) == 1
        lab.has(memory_available=300 * MIB)
        lab.clock.advance(1)
        await rounds()
        assert len(lab.running) == 4
        end.set()
    assert [change.rpartition("; ")[2] for change in lab.changes] == [
        "only one task and one command may run",
        "fewer commands run at the same time",
        "the machine has enough of everything again",
    ]


async def test_at_the_end_of_memory_not_even_one_starts_until_there_is_some() -> None:
    lab, end = GateLab(auto=False), asyncio.Event()
    lab.has(memory_available=10 * MIB)
    async with lab.gate.open(), asyncio.TaskGroup() as group:
        group.create_task(lab.command("a", until=end))
        await rounds()
        assert (lab.running, lab.gate.status().strain, lab.gate.tasks_now(0)) == ([], "end", 0)
        lab.has(memory_available=60 * MIB)
        lab.clock.advance(1)
        await rounds()
        assert lab.running == ["a"]
        end.set()


async def test_under_strain_all_commands_still_run_one_after_the_other() -> None:
    lab = GateLab(commands=8)
    lab.has(memory_pressure=80.0)
    async with lab.gate.open(), asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(lab.command(f"task {number % 9}", turns=number % 3))
    assert (len(lab.order), lab.most) == (100, 1)


def test_the_answer_does_not_flap_around_a_mark() -> None:
    lab = GateLab(tasks=20)
    answers = []
    for available in (101, 99, 101, 99, 120, 101, 124, 125, 101, 124):
        lab.has(memory_available=available * MIB)
        answers.append(lab.gate.tasks_now(5))
    assert answers == [15, 0, 0, 0, 0, 0, 0, 15, 15, 15]
    assert len(lab.changes) == 3


async def test_commands_do_not_flap_around_a_mark_either() -> None:
    lab, end = GateLab(commands=8, auto=False), asyncio.Event()
    lab.has(memory_available=99 * MIB)
    async with lab.gate.open(), asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(lab.command(f"task {number}", until=end))
        await rounds()
        for available in (110, 99, 124):
            lab.has(memory_available=available * MIB)
            lab.clock.advance(1)
            await rounds()
            assert len(lab.running) == 1
        lab.has(memory_available=126 * MIB)
        lab.clock.advance(1)
        await rounds()
        assert len(lab.running) == 2
        end.set()


def test_a_machine_that_stays_as_it_is_is_not_talked_about() -> None:
    lab = GateLab()
    for available in (400, 399, 350):
        lab.has(memory_available=available * MIB)
        lab.gate.status()
    assert lab.changes == []


def test_as_many_tasks_may_start_as_slots_are_free() -> None:
    lab = GateLab(tasks=20)
    assert [lab.gate.tasks_now(running) for running in (0, 1, 19, 20, 25)] == [20, 19, 1, 0, 0]
    assert lab.gate.why_not() == "all 20 slots for tasks are taken (queue.slots)"


def test_under_strain_one_task_goes_on_and_no_other_starts() -> None:
    lab = GateLab(tasks=20)
    lab.has(memory_available=99 * MIB)
    assert [lab.gate.tasks_now(running) for running in (0, 1, 7)] == [1, 0, 0]
    assert lab.gate.why_not().startswith("memory: 99 MB are available, 100 are kept free")
    lab.has(memory_available=400 * MIB)
    assert lab.gate.tasks_now(7) == 13
    assert lab.gate.why_not() == ""


def test_a_single_slot_is_given_out_once() -> None:
    lab = GateLab(tasks=1)
    assert [lab.gate.tasks_now(running) for running in (0, 1)] == [1, 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"memory_available": 10 * MIB}, "memory: 10 MB are available"),
        ({"disk_free": 100 * MIB}, "disk: 100 MB are free, 512 are kept free"),
    ],
)
def test_a_task_in_the_foreground_is_refused_when_the_machine_is_at_its_end(
    changes: dict[str, float], words: str
) -> None:
    lab = GateLab()
    lab.has(**changes)
    with pytest.raises(QueueFullError, match=words) as caught:
        lab.gate.require_room_for_task()
    assert caught.value.retry_after > 0
    assert caught.value.fix


def test_a_task_in_the_foreground_passes_a_machine_that_is_merely_short() -> None:
    lab = GateLab()
    lab.has(memory_available=99 * MIB)
    lab.gate.require_room_for_task()
    with pytest.raises(QueueFullError, match="99 MB"):
        lab.gate.require_room_for_task(running=1)
