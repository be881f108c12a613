"""Settings of what all tasks together may take: the machine, money, the disk, and patience."""

from typing import Literal

import msgspec

from kugetsu.tasks import Budget

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["readable", "json"]


def require_not_negative(struct: msgspec.Struct, *fields: str) -> None:
    """Look at numbers that may be 0.

    Raises:
        ValueError: one is below; the message names its field.
    """
    for field in fields:
        if (value := getattr(struct, field)) < 0:
            raise ValueError(f"`{field}` must be 0 or more, got {value:g}")


class MachineSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of this machine agents may take. Nothing new starts while less is there; what runs goes on.

    Attributes:
        command_slots: commands of agents that run at the same time. Default 0: two for each core, at most one for each 512 MB
            of memory.
        reserve_mb: memory that stays free: below it only one task and one command run; before that, fewer commands at the
            same time. Default 0: a tenth of what there is, at least 64 and at most 1,024.
        pressure_percent: share of the last ten seconds in which something on the machine stood still for want of memory;
            above it only one task and one command run. Not looked at while half of the memory is available. Default 10. 0:
            not looked at, nor is swap.
        command_mb: memory of one command with everything it starts. Default 0: half of what there is.
        command_processes: processes and threads of one command. Default 1,024. 0: no limit.
        command_cpu_weight: share of the CPU of one command when there is too little for all; the program itself has 100.
            Default 50.
    """

    command_slots: int = 0
    reserve_mb: int = 0
    pressure_percent: float = 10.0
    command_mb: int = 0
    command_processes: int = 1024
    command_cpu_weight: int = 50

    def __post_init__(self) -> None:
        require_not_negative(self, "command_slots", "reserve_mb", "pressure_percent", "command_mb", "command_processes")
        if not 1 <= self.command_cpu_weight <= 10_000:  # noqa: PLR2004 - the range of cgroup v2, cpu.weight
            raise ValueError(f"`command_cpu_weight` must be from 1 to 10000, got {self.command_cpu_weight}")


class BudgetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What all tasks together may use up in a day (UTC). A task that would pass one waits for the next day.

    Attributes:
        day: everything together. Default: no limit.
        repository: each repository. Default: no limit.
        repositories: those that are named, by path or URL as tasks name them.
    """

    day: Budget = Budget()
    repository: Budget = Budget()
    repositories: dict[str, Budget] = {}


class LoopSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When an agent goes round in circles.

    Attributes:
        same_calls: after so many equal calls with equal results, one after the other, the agent is told; after twice as many
            its task pauses. Default 5. 0: never.
        turns_without_change: after so many turns without any change to the worktree the agent is told, and again after as
            many more. Default 50. 0: never.
    """

    same_calls: int = 5
    turns_without_change: int = 50

    def __post_init__(self) -> None:
        require_not_negative(self, "turns_without_change")
        if self.same_calls < 0 or self.same_calls == 1:
            raise ValueError(f"`same_calls` must be 0 (never) or 2 or more, got {self.same_calls}")


class DiskSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of the disk may be taken, and for how long. What is not delivered is never removed.

    Attributes:
        most_gb: worktrees, private repositories and mirrors together; above it, what is delivered goes before its time, the
            oldest first. Default 20. 0: no limit.
        keep_days: how long what is delivered stays after its task is over, for `rewind` and `fork`; what is merged goes
            after an hour. Default 14.
        least_free_mb: below it no task starts. Default 512.
    """

    most_gb: float = 20.0
    keep_days: float = 14.0
    least_free_mb: int = 512

    def __post_init__(self) -> None:
        require_not_negative(self, "most_gb", "keep_days", "least_free_mb")


class LogSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `kugetsu serve` writes down about itself. Secrets are left out.

    Attributes:
        level: the least important lines that are written; `kugetsu log-level` changes it at run time. Default `info`.
        format: of the lines on stderr. Default `readable`. The file is always JSON.
        file_mb: size at which the file `logs/kugetsu.log` in the state directory is begun anew. Default 10. 0: no file.
        files: how many older ones are kept. Default 5.
    """

    level: LogLevel = "info"
    format: LogFormat = "readable"
    file_mb: int = 10
    files: int = 5

    def __post_init__(self) -> None:
        require_not_negative(self, "file_mb", "files")


class ContextSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of conversations that get long. Everything stays in the session; the model sees a note of what was there.

    Attributes:
        prune_at: share of the model's context window above which old outputs of tools are left out, all at once. Default
            0.8. 0: never; a conversation that does not fit then fails.
        prune_to: share of the window that they are pruned down to. Default 0.15. A lower one prunes less often, which keeps the
            provider's cache of what was sent before useful for longer.
        keep_turns: so many turns at the end stay as they are, fewer when they alone take more than `prune_to`. Default 5.
        recall: give agents a tool that shows what was left out. Default true.
    """

    prune_at: float = 0.8
    prune_to: float = 0.15
    keep_turns: int = 5
    recall: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.prune_at <= 0.95:  # noqa: PLR2004 - something must be left for the reply
            raise ValueError(f"`prune_at` must be from 0 (never) to 0.95, got {self.prune_at:g}")
        if self.prune_at and not 0 < self.prune_to < self.prune_at:
            raise ValueError(
                f"`prune_to` must be above 0 and below `prune_at` ({self.prune_at:g}), got {self.prune_to:g}"
            )
        if self.keep_turns < 1:
            raise ValueError(f"`keep_turns` must be 1 or more, got {self.keep_turns}")


class CompactionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When old turns are taken out of a conversation, and who writes the notes that stand for them.

    Attributes:
        model: `provider/model` that writes them; a cheaper one than the task's will do. While it has no capacity, `fallback`
            is asked. A rehearsal is named by its whole path, `scripted:/FILE`. Default: the task's own.
        at: share of the context window: when leaving out old outputs would leave more than this, the oldest turns are taken
            out. Default 0.3. 0: never.
        most_tokens: of the notes, which have an eighth of the window at most; longer ones are not taken. Default 4,000.
    """

    model: str = ""
    at: float = 0.3
    most_tokens: int = 4_000

    def __post_init__(self) -> None:
        if self.model.startswith("scripted:") and not self.model.startswith(("scripted:/", "scripted:~")):
            raise ValueError(f"`model` must name a script by its whole path (scripted:/FILE), got {self.model}")
        if not 0 <= self.at <= 0.95:  # noqa: PLR2004 - something must be left for the reply
            raise ValueError(f"`at` must be from 0 (never) to 0.95, got {self.at:g}")
        if self.most_tokens < 500:  # noqa: PLR2004 - about a page
            raise ValueError(f"`most_tokens` must be 500 or more, got {self.most_tokens}")
