"""Who may start: one function for everything that starts anything, and nothing but numbers in it."""

from enum import IntEnum
from typing import Final, Literal, assert_never

import msgspec

from kugetsu.admission.limits import MIB, AdmissionLimits
from kugetsu.admission.machine import Machine

Kind = Literal["task", "command"]
"""What starts: a task, which mostly waits for its model, or one command of an agent."""

Reason = Literal["slots", "memory", "pressure", "swap", "disk"]
"""What there is too little, or too much, of."""

RETRY_SECONDS: Final = 30.0
"""After how long it is worth another try when the machine is short of something."""

_SLOW_SHARE: Final = 4
"""Under slight strain one of so many command slots is given out."""

_EASE: Final = 1.25
"""So many times the memory has to be there again before a strain counts as over."""

_SWAP_FILLED: Final = 16 * MIB
"""So much swap filled in ten seconds is no accident."""

_SWAP_LEFT: Final = 10
"""Percent of swap below which nearly none is left."""

_LEAST_FILES: Final = 1000
"""A worktree takes some hundreds, and git fails without one."""


class Strain(IntEnum):
    """How hard the machine has it."""

    NONE = 0
    SLOW = 1
    """Fewer commands at the same time."""
    HOLD = 2
    """One task and one command, so that something goes on; no more."""
    END = 3
    """Nothing starts."""


class InUse(msgspec.Struct, frozen=True):
    """What is taken already.

    Attributes:
        tasks: that run.
        commands: that run.
        before: the strain that was seen last; it is over later than it began, so that the answer does not flap.
    """

    tasks: int = 0
    commands: int = 0
    before: Strain = Strain.NONE


class Refusal(msgspec.Struct, frozen=True):
    """Why something may not start now.

    Attributes:
        reason: the short of it.
        words: for people; they name the setting.
        retry_after: seconds after which it is worth another try.
    """

    reason: Reason
    words: str
    retry_after: float = RETRY_SECONDS


def decide(kind: Kind, in_use: InUse, machine: Machine, limits: AdmissionLimits) -> Refusal | None:
    """Say why one more may not start, or that it may (None). What is not known of the machine is not looked at.

    One task and one command may always run, unless memory or, for tasks, the disk is really at its end.
    """
    if kind == "task" and (refusal := _disk(machine, limits)):
        return refusal
    level = strain(machine, limits, in_use.before)
    running = in_use.tasks if kind == "task" else in_use.commands
    if running < allowed(kind, level, limits):
        return None
    if running >= allowed(kind, Strain.NONE, limits):
        return _no_slot(kind, limits)
    return _strained(level, machine, limits, in_use.before)


def allowed(kind: Kind, level: Strain, limits: AdmissionLimits) -> int:
    """How many may run at the same time under a strain."""
    slots = limits.task_slots if kind == "task" else limits.command_slots
    match level:
        case Strain.NONE:
            return slots
        case Strain.SLOW:
            return slots if kind == "task" else max(1, slots // _SLOW_SHARE)
        case Strain.HOLD:
            return 1
        case Strain.END:
            return 0
        case _:
            assert_never(level)


def strain(machine: Machine, limits: AdmissionLimits, before: Strain) -> Strain:
    """How hard the machine has it, in view of how hard it had it before."""
    return max(_memory(machine, limits, before), _pressure(machine, limits, before), _swap(machine, limits, before))


def describe(level: Strain, machine: Machine, limits: AdmissionLimits) -> str:
    """What strains the machine that much, and what that leads to, in words."""
    if level is Strain.NONE:
        return "the machine has enough of everything again"
    return _strained(level, machine, limits, level).words


def _memory(machine: Machine, limits: AdmissionLimits, before: Strain) -> Strain:
    available = machine.memory_available
    if available is None:
        return Strain.NONE
    if available < limits.last_reserve * _ease(Strain.END, before):
        return Strain.END
    if available < limits.reserve * _ease(Strain.HOLD, before):
        return Strain.HOLD
    return Strain.SLOW if available < limits.ample * _ease(Strain.SLOW, before) else Strain.NONE


def _ease(level: Strain, before: Strain) -> float:
    return _EASE if before >= level else 1.0


def _pressure(machine: Machine, limits: AdmissionLimits, before: Strain) -> Strain:
    percent = machine.memory_pressure
    if percent is None or not limits.pressure_percent or _is_plenty(machine, limits, before):
        return Strain.NONE
    if percent > limits.pressure_percent / (2 if before >= Strain.HOLD else 1):
        return Strain.HOLD
    return Strain.SLOW if percent > limits.pressure_percent / (4 if before >= Strain.SLOW else 2) else Strain.NONE


def _swap(machine: Machine, limits: AdmissionLimits, before: Strain) -> Strain:
    """Swap that is being filled is pressure that is yet to be felt; one that is nearly full leaves no second chance."""
    total, free = machine.swap_total, machine.swap_free
    if not total or free is None or not limits.pressure_percent or _is_plenty(machine, limits, before):
        return Strain.NONE
    if machine.swap_filled > _SWAP_FILLED / (2 if before >= Strain.HOLD else 1):
        return Strain.HOLD
    left = _SWAP_LEFT * _ease(Strain.SLOW, before)
    return Strain.SLOW if free * 100 < total * left else Strain.NONE


def _is_plenty(machine: Machine, limits: AdmissionLimits, before: Strain) -> bool:
    available, plenty = machine.memory_available, limits.plenty
    return available is not None and plenty is not None and available >= plenty * _ease(Strain.SLOW, before)


def _no_slot(kind: Kind, limits: AdmissionLimits) -> Refusal:
    if kind == "task":
        return Refusal("slots", f"all {limits.task_slots} slots for tasks are taken (queue.slots)")
    return Refusal("slots", f"all {limits.command_slots} slots for commands are taken (machine.command_slots)")


def _disk(machine: Machine, limits: AdmissionLimits) -> Refusal | None:
    if machine.disk_free is not None and machine.disk_free < limits.least_disk:
        free, least = machine.disk_free // MIB, limits.least_disk // MIB
        return Refusal("disk", f"disk: {free:,} MB are free, {least:,} are kept free (disk.least_free_mb)")
    if limits.least_disk and machine.files_free is not None and machine.files_free < _LEAST_FILES:
        return Refusal("disk", f"disk: only {machine.files_free} more files can be made in the state directory")
    return None


def _strained(level: Strain, machine: Machine, limits: AdmissionLimits, before: Strain) -> Refusal:
    """Put into words what strains the machine that much."""
    if _memory(machine, limits, before) >= level:
        available, reserve = (machine.memory_available or 0) // MIB, limits.reserve // MIB
        words = f"memory: {available:,} MB are available, {reserve:,} are kept free (machine.reserve_mb)"
        return Refusal("memory", words + _CONSEQUENCES[level])
    if _pressure(machine, limits, before) >= level:
        share, most = machine.memory_pressure or 0.0, limits.pressure_percent
        words = f"pressure: something stood still for want of memory in {share:.3g} % of the last ten seconds"
        return Refusal("pressure", f"{words}, {most:g} is the most (machine.pressure_percent){_CONSEQUENCES[level]}")
    total, free = (machine.swap_total or 0) // MIB, (machine.swap_free or 0) // MIB
    filled = f", {machine.swap_filled // MIB:,} MB were filled in the last ten seconds" if machine.swap_filled else ""
    return Refusal("swap", f"swap: {free:,} of {total:,} MB are free{filled}{_CONSEQUENCES[level]}")


_CONSEQUENCES: Final = {
    Strain.NONE: "",
    Strain.SLOW: "; fewer commands run at the same time",
    Strain.HOLD: "; only one task and one command may run",
    Strain.END: "; nothing starts",
}
