"""What may be taken of the machine: the settings, with what they leave to us worked out."""

from typing import Final

import msgspec

from kugetsu.admission.machine import Machine
from kugetsu.config import DiskSettings, MachineSettings, QueueSettings

MIB: Final = 2**20

_COMMANDS_PER_CORE: Final = 2
_MEMORY_PER_COMMAND: Final = 512 * MIB
_LEAST_RESERVE: Final = 64 * MIB
_MOST_RESERVE: Final = 1024 * MIB
_RESERVE_SHARE: Final = 10

_LAST_RESERVE: Final = 32 * MIB
"""What is never touched, not even by the one command that may run under strain; half of a smaller reserve."""


class AdmissionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What may be taken. Made by `make_limits`.

    Attributes:
        task_slots: tasks at the same time.
        command_slots: commands at the same time.
        reserve: bytes of memory that stay free.
        ample: bytes of memory below which fewer commands run at the same time.
        last_reserve: bytes of memory below which nothing starts at all.
        plenty: bytes of memory above which pressure and swap say nothing of the machine: it is one command then that suffers,
            from a limit of its own.
        pressure_percent: see `MachineSettings`.
        least_disk: bytes that stay free in the state directory.
        command_bytes: memory of one command. 0: no limit, because nobody knows what there is.
    """

    task_slots: int = 200
    command_slots: int = 2
    reserve: int = _LEAST_RESERVE
    ample: int = 2 * _LEAST_RESERVE
    last_reserve: int = _LAST_RESERVE
    plenty: int | None = None
    pressure_percent: float = 10.0
    least_disk: int = 512 * MIB
    command_bytes: int = 0


def make_limits(
    settings: MachineSettings, queue: QueueSettings, disk: DiskSettings, machine: Machine
) -> AdmissionLimits:
    """Work out what may be taken of this machine.

    Args:
        settings: what the user says of it; 0 leaves it to us.
        queue: its slots.
        disk: what stays free.
        machine: a reading.
    """
    total = machine.memory_total or 0
    step = min(max(total // _RESERVE_SHARE, _LEAST_RESERVE), _MOST_RESERVE)
    reserve = settings.reserve_mb * MIB or step
    return AdmissionLimits(
        task_slots=queue.slots,
        command_slots=settings.command_slots or _command_slots(machine),
        reserve=reserve,
        ample=reserve + step,
        last_reserve=min(_LAST_RESERVE, reserve // 2),
        plenty=max(total // 2, reserve + step) if total else None,
        pressure_percent=settings.pressure_percent,
        least_disk=disk.least_free_mb * MIB,
        command_bytes=settings.command_mb * MIB or total // 2,
    )


def _command_slots(machine: Machine) -> int:
    """Commands at the same time: as the cores allow, fewer on a machine with little memory."""
    slots = round(_COMMANDS_PER_CORE * machine.cores)
    if machine.memory_total:
        slots = min(slots, machine.memory_total // _MEMORY_PER_COMMAND)
    return max(1, slots)
