"""What one command may take, and what its model is told when that was not enough."""

import msgspec

_MB = 1024 * 1024


class CommandLimits(msgspec.Struct, frozen=True):
    """What one command may take, with everything that it starts.

    Attributes:
        memory_bytes: memory of all its processes together. 0: no limit.
        processes: processes and threads at one time. 0: no limit.
        cpu_weight: share of the CPU when there is too little for all, from 1 to 10,000; the program itself has 100.
    """

    memory_bytes: int = 0
    processes: int = 0
    cpu_weight: int = 50

    @property
    def memory_words(self) -> str:
        """The limit of memory, and what to do about it."""
        return (
            f"more than its {self.memory_bytes / _MB:,.0f} MB of memory (`machine.command_mb`): "
            "use less, or take smaller steps"
        )

    @property
    def processes_words(self) -> str:
        """The limit of processes, and what to do about it."""
        return (
            f"{self.processes:,} processes and threads (`machine.command_processes`): "
            "start fewer at a time, and end those in the background that are not needed"
        )


OUT_OF_MEMORY = "A process was killed because the machine, or the control group that this program is in, ran out of memory: try again later, with less at the same time"
"""For a command that was within its own limit."""

OUT_OF_PROCESSES = (
    "A process could not be started because the machine, or the container around it, has no more of them: "
    "start fewer at a time, or try again later"
)
"""For a command that was within its own limit."""
