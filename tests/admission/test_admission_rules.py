from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from admission.machine_lab import MIB
from kugetsu.admission import AdmissionLimits, InUse, Kind, Machine, Reason, Strain, decide, make_limits, strain
from kugetsu.config import DiskSettings, MachineSettings, QueueSettings

FINE = Machine(
    memory_total=1000 * MIB,
    memory_available=400 * MIB,
    swap_total=500 * MIB,
    swap_free=500 * MIB,
    memory_pressure=0.0,
    cores=4.0,
    disk_free=10_000 * MIB,
    files_free=1_000_000,
)
LIMITS = make_limits(MachineSettings(command_slots=8), QueueSettings(slots=20), DiskSettings(), FINE)
"""Reserve 100 MB, ample 200, last 32, plenty 500; eight commands."""


def refused(kind: Kind, machine: Machine, *, tasks: int = 0, commands: int = 0) -> Reason | None:
    refusal = decide(kind, InUse(tasks, commands), machine, LIMITS)
    return refusal.reason if refusal else None


def with_(**changes: float) -> Machine:
    return replace(FINE, **changes)


@pytest.mark.parametrize(
    ("machine", "commands", "tasks"),
    [
        (FINE, 8, 20),
        (Machine(), 8, 20),
        (with_(memory_available=200 * MIB), 8, 20),
        (with_(memory_available=199 * MIB), 2, 20),
        (with_(memory_available=100 * MIB), 2, 20),
        (with_(memory_available=99 * MIB), 1, 1),
        (with_(memory_available=32 * MIB), 1, 1),
        (with_(memory_available=31 * MIB), 0, 0),
        (with_(memory_available=0), 0, 0),
        (with_(memory_pressure=5.0), 8, 20),
        (with_(memory_pressure=5.1), 2, 20),
        (with_(memory_pressure=10.1), 1, 1),
        (with_(memory_pressure=100.0), 1, 1),
        (with_(memory_pressure=100.0, memory_available=500 * MIB), 8, 20),
        (with_(swap_free=49 * MIB), 2, 20),
        (with_(swap_free=0), 2, 20),
        (with_(swap_free=0, swap_total=0), 8, 20),
        (with_(swap_filled=17 * MIB), 1, 1),
        (with_(swap_filled=17 * MIB, memory_available=500 * MIB), 8, 20),
        (with_(disk_free=511 * MIB), 8, 0),
        (with_(disk_free=512 * MIB), 8, 20),
        (with_(files_free=999), 8, 0),
        (with_(memory_pressure=99.0, io_pressure=99.0, cpu_pressure=99.0, memory_available=600 * MIB), 8, 20),
    ],
)
def test_so_many_commands_and_tasks_run_on_such_a_machine(machine: Machine, commands: int, tasks: int) -> None:
    most_commands = next(n for n in range(99) if refused("command", machine, commands=n))
    most_tasks = next(n for n in range(99) if refused("task", machine, tasks=n))
    assert (most_commands, most_tasks) == (commands, tasks)


@pytest.mark.parametrize(
    ("kind", "machine", "words"),
    [
        (
            "command",
            with_(memory_available=96 * MIB),
            "memory: 96 MB are available, 100 are kept free (machine.reserve_mb)",
        ),
        ("command", with_(memory_available=150 * MIB), "fewer commands run at the same time"),
        ("task", with_(memory_available=5 * MIB), "nothing starts"),
        (
            "task",
            with_(memory_pressure=44.25),
            "in 44.2 % of the last ten seconds, 10 is the most (machine.pressure_percent)",
        ),
        ("command", with_(swap_free=20 * MIB), "swap: 20 of 500 MB are free"),
        ("task", with_(swap_filled=40 * MIB), "40 MB were filled in the last ten seconds"),
        ("task", with_(disk_free=96 * MIB), "disk: 96 MB are free, 512 are kept free (disk.least_free_mb)"),
        ("task", with_(files_free=7), "disk: only 7 more files can be made"),
    ],
)
def test_a_refusal_says_what_is_short_and_which_setting_decides(kind: Kind, machine: Machine, words: str) -> None:
    refusal = decide(kind, InUse(tasks=5, commands=5), machine, LIMITS)
    assert refusal
    assert words in refusal.words
    assert refusal.words.startswith(refusal.reason)
    assert refusal.retry_after > 0


def test_full_slots_are_named_by_their_setting() -> None:
    of_tasks = decide("task", InUse(tasks=20), FINE, LIMITS)
    of_commands = decide("command", InUse(commands=8), FINE, LIMITS)
    assert of_tasks
    assert of_commands
    assert of_tasks.words == "all 20 slots for tasks are taken (queue.slots)"
    assert of_commands.words == "all 8 slots for commands are taken (machine.command_slots)"


def test_full_slots_are_the_reason_also_on_a_machine_that_is_short_of_memory() -> None:
    assert refused("command", with_(memory_available=150 * MIB), commands=8) == "slots"


def levels(machines: Iterable[Machine]) -> list[str]:
    found, before = [], Strain.NONE
    for machine in machines:
        before = strain(machine, LIMITS, before)
        found.append(before.name)
    return found


def test_a_strain_is_over_only_when_there_is_some_more_memory_than_where_it_began() -> None:
    available = (201, 199, 220, 249, 250, 220, 99, 110, 124, 125, 99, 31, 39, 40, 300)
    assert levels(with_(memory_available=megabytes * MIB) for megabytes in available) == [
        *("NONE", "SLOW", "SLOW", "SLOW", "NONE", "NONE"),
        *("HOLD", "HOLD", "HOLD", "SLOW"),
        *("HOLD", "END", "END", "HOLD", "NONE"),
    ]


def test_pressure_is_over_only_when_it_has_fallen_to_half() -> None:
    shares = (4.0, 6.0, 4.0, 3.0, 2.5, 11.0, 9.0, 5.1, 5.0, 2.0)
    assert levels(with_(memory_pressure=share) for share in shares) == [
        *("NONE", "SLOW", "SLOW", "SLOW", "NONE"),
        *("HOLD", "HOLD", "HOLD", "SLOW", "NONE"),
    ]


def test_swap_has_settled_only_when_half_as_much_is_filled() -> None:
    filled = (16, 17, 9, 8)
    assert levels(with_(swap_filled=megabytes * MIB) for megabytes in filled) == ["NONE", "HOLD", "HOLD", "NONE"]


def test_swap_is_nearly_full_until_somewhat_more_of_it_is_free() -> None:
    free = (50, 49, 60, 63)
    assert levels(with_(swap_free=megabytes * MIB) for megabytes in free) == ["NONE", "SLOW", "SLOW", "NONE"]


def test_pressure_that_is_not_looked_at_says_nothing_and_neither_does_swap() -> None:
    limits = replace(LIMITS, pressure_percent=0.0)
    machine = with_(memory_pressure=99.0, swap_free=0, swap_filled=99 * MIB)
    assert strain(machine, limits, Strain.NONE) == Strain.NONE


_BYTES = st.one_of(st.none(), st.integers(0, 1200 * MIB))
_SHARES = st.one_of(st.none(), st.floats(0, 100))
MACHINES = st.builds(
    Machine,
    memory_total=_BYTES,
    memory_available=_BYTES,
    swap_total=_BYTES,
    swap_free=_BYTES,
    swap_filled=st.integers(0, 50 * MIB),
    memory_pressure=_SHARES,
    cores=st.floats(0.01, 256),
    disk_free=_BYTES,
    files_free=st.one_of(st.none(), st.integers(0, 5000)),
)
ALL_LIMITS = st.builds(
    make_limits,
    st.builds(
        MachineSettings,
        command_slots=st.integers(0, 64),
        reserve_mb=st.one_of(st.integers(0, 64), st.integers(0, 2000)),
        pressure_percent=st.floats(0, 100),
        command_mb=st.integers(0, 2000),
    ),
    st.builds(QueueSettings, slots=st.integers(1, 300)),
    st.builds(DiskSettings, least_free_mb=st.integers(0, 2000)),
    MACHINES,
)
STRAINS = st.sampled_from(Strain)


@given(MACHINES, ALL_LIMITS, STRAINS)
def test_looking_twice_at_the_same_machine_finds_the_same_strain(
    machine: Machine, limits: AdmissionLimits, before: Strain
) -> None:
    once = strain(machine, limits, before)
    assert strain(machine, limits, once) == once


@given(MACHINES, ALL_LIMITS, STRAINS, st.integers(0, 300), st.sampled_from(["task", "command"]))
def test_whoever_is_refused_would_be_refused_with_more_in_use(
    machine: Machine, limits: AdmissionLimits, before: Strain, running: int, kind: Kind
) -> None:
    fewer = decide(kind, InUse(running, running, before), machine, limits)
    more = decide(kind, InUse(running + 1, running + 1, before), machine, limits)
    assert fewer is None or more is not None


@given(MACHINES, ALL_LIMITS, STRAINS)
def test_one_command_may_always_run_unless_memory_is_at_its_end(
    machine: Machine, limits: AdmissionLimits, before: Strain
) -> None:
    refusal = decide("command", InUse(commands=0, before=before), machine, limits)
    at_its_end = machine.memory_available is not None and machine.memory_available < 40 * MIB
    assert refusal is None or (at_its_end and refusal.reason == "memory")


@given(MACHINES, ALL_LIMITS, STRAINS)
def test_never_more_than_the_slots(machine: Machine, limits: AdmissionLimits, before: Strain) -> None:
    in_use = InUse(limits.task_slots, limits.command_slots, before)
    assert decide("task", in_use, machine, limits)
    assert decide("command", in_use, machine, limits)


@given(MACHINES, ALL_LIMITS, STRAINS, st.integers(0, 300), st.sampled_from(["task", "command"]))
def test_more_of_everything_never_makes_it_harder(
    machine: Machine, limits: AdmissionLimits, before: Strain, running: int, kind: Kind
) -> None:
    better = replace(
        machine,
        memory_available=None if machine.memory_available is None else machine.memory_available + 50 * MIB,
        memory_pressure=None if machine.memory_pressure is None else machine.memory_pressure / 2,
        swap_filled=machine.swap_filled // 2,
        disk_free=None if machine.disk_free is None else machine.disk_free + 50 * MIB,
    )
    in_use = InUse(running, running, before)
    assert decide(kind, in_use, machine, limits) or decide(kind, in_use, better, limits) is None


@given(ALL_LIMITS)
def test_the_marks_stand_in_their_order_whatever_the_settings(limits: AdmissionLimits) -> None:
    assert 0 < limits.last_reserve < limits.reserve < limits.ample <= (limits.plenty or limits.ample)
    assert limits.command_slots >= 1


@pytest.mark.parametrize(
    ("total", "reserve"), [(None, 64), (256, 64), (1000, 100), (2000, 200), (8000, 800), (64_000, 1024)]
)
def test_a_tenth_of_memory_is_kept_free_within_bounds(total: int | None, reserve: int) -> None:
    machine = Machine(memory_total=total and total * MIB)
    limits = make_limits(MachineSettings(), QueueSettings(), DiskSettings(), machine)
    assert limits.reserve == reserve * MIB
    assert limits.command_bytes == (total or 0) * MIB // 2


@pytest.mark.parametrize(("cores", "slots"), [(0.1, 1), (0.5, 1), (1.0, 2), (1.5, 3), (2.0, 4), (64.0, 128)])
def test_there_are_two_commands_for_each_core(cores: float, slots: int) -> None:
    limits = make_limits(MachineSettings(), QueueSettings(), DiskSettings(), Machine(cores=cores))
    assert limits.command_slots == slots


def test_half_of_a_small_reserve_is_the_last_of_it() -> None:
    limits = make_limits(MachineSettings(reserve_mb=10), QueueSettings(), DiskSettings(), FINE)
    assert limits.last_reserve == 5 * MIB


def test_what_the_user_says_is_taken_as_it_is() -> None:
    settings = MachineSettings(command_slots=7, reserve_mb=300, pressure_percent=3.5, command_mb=123)
    limits = make_limits(settings, QueueSettings(slots=9), DiskSettings(least_free_mb=5), FINE)
    assert (limits.command_slots, limits.reserve, limits.pressure_percent) == (7, 300 * MIB, 3.5)
    assert (limits.command_bytes, limits.task_slots, limits.least_disk) == (123 * MIB, 9, 5 * MIB)


@pytest.mark.parametrize(
    ("megabytes", "cores", "slots"), [(0, 2, 4), (24_000, 2, 4), (1_024, 2, 2), (2_048, 8, 4), (300, 2, 1), (0, 0.3, 1)]
)
def test_commands_at_once_are_as_many_as_cores_and_memory_allow(megabytes: int, cores: float, slots: int) -> None:
    machine = Machine(memory_total=megabytes * MIB or None, cores=cores)
    assert make_limits(MachineSettings(), QueueSettings(), DiskSettings(), machine).command_slots == slots
