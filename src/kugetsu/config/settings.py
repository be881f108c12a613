"""Settings: every one with its default and its special values. Validated once, when they are loaded."""

import re
from typing import Final, Literal

import msgspec

from kugetsu.config.bounds import (
    BudgetSettings,
    CompactionSettings,
    ContextSettings,
    DiskSettings,
    LogSettings,
    LoopSettings,
    MachineSettings,
    require_not_negative,
)
from kugetsu.config.gateway import HttpSettings, ProjectSettings, TargetSettings, WebhookSettings, require_names
from kugetsu.tasks import Limits

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY: Final = re.compile(r"[!-~]*")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE: Final = re.compile(r"[ -~\t]*")
_RATES: Final = ("requests_per_minute", "tokens_per_minute", "concurrency")


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars for a million tokens.

    Attributes:
        input: fresh prompt tokens.
        output: generated tokens.
        cached: prompt tokens served from the provider's cache; None for the same as `input`.
        cache_write: prompt tokens written to the provider's cache; None for the same as `input`.
    """

    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None

    def __post_init__(self) -> None:
        for field in self.__struct_fields__:
            if (value := getattr(self, field)) is not None and value < 0:
                raise ValueError(f"`{field}` must be 0 or more, got {value:g}")


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a user says of a model. None: what the built-in table says, or a careful default.

    Attributes:
        context_window: tokens.
        max_output: tokens of one reply.
        price: overrides the built-in table.
        images: whether it takes pictures.
        requests_per_minute: calls that begin in a minute; None for the provider's.
        tokens_per_minute: input and output of all calls in a minute; None for the provider's.
        concurrency: calls at the same time; None for the provider's.
    """

    context_window: int | None = None
    max_output: int | None = None
    price: Price | None = None
    images: bool | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None

    def __post_init__(self) -> None:
        for field in ("context_window", "max_output"):
            if (value := getattr(self, field)) is not None and value < 1:
                raise ValueError(f"`{field}` must be 1 or more, got {value}")
        for field in _RATES:
            if (value := getattr(self, field)) is not None and value < 0:
                raise ValueError(f"`{field}` must be 0 (no limit) or more, got {value}")


Wire = Literal["openai", "anthropic"]
"""The dialect of a provider: OpenAI's chat completions or Anthropic's messages."""


class ProviderSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place where models are called.

    Attributes:
        wire: its dialect. Default `openai`.
        base_url: everything before `/chat/completions` (openai) or `/v1/messages` (anthropic).
        api_key: the key itself; better is `api_key_env`. Empty: none is sent unless `api_key_env` gives one.
        api_key_env: name of the environment variable that holds the key. Empty: none is needed.
        headers: sent with every request.
        models: what is known of its models, by name.
        idle_seconds: longest silence of a reply before the call counts as stalled; comments alone may go on ten times as
            long. Default 120.
        reasoning_field: name under which reasoning is carried back (openai wire). Empty: it is not.
        requests_per_minute: calls that begin in a minute, for each model. Default 0: no limit.
        tokens_per_minute: input and output of all calls in a minute, for each model. Default 0: no limit.
        concurrency: calls at the same time, for each model. Default 0: as many as there are tasks; fewer for a while when
            the provider says that it is too much.
    """

    wire: Wire = "openai"
    base_url: str = ""
    api_key: str = ""
    api_key_env: str = ""
    headers: dict[str, str] = {}
    models: dict[str, ModelSettings] = {}
    idle_seconds: float = 120.0
    reasoning_field: str = ""
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    concurrency: int = 0

    def __post_init__(self) -> None:
        # These values may be keys, also by mistake: no message repeats one.
        if not _KEY.fullmatch(self.api_key):
            raise ValueError("`api_key` must be one word of ASCII characters, without spaces or line ends")
        if self.api_key_env and not _VARIABLE.fullmatch(self.api_key_env):
            raise ValueError("`api_key_env` must be the name of a variable; a key itself belongs in `api_key`")
        if not all(_HEADER_NAME.fullmatch(name) for name in self.headers):
            raise ValueError("`headers` must have names of letters, digits and dashes")
        if not all(_HEADER_VALUE.fullmatch(value) for value in self.headers.values()):
            raise ValueError("`headers` must have values of printable ASCII characters, without line ends")
        if not self.idle_seconds > 0:
            raise ValueError(f"`idle_seconds` must be above 0, got {self.idle_seconds:g}")
        require_not_negative(self, *_RATES)

    def __repr__(self) -> str:
        """Shows nothing that may hold a key: not the key, the headers, nor the address."""
        return f"ProviderSettings(wire={self.wire!r}, ...)"


class RetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How failed model calls are tried again: exponential backoff with full jitter.

    Attributes:
        attempts: tries of one call altogether. Default 6. 1: never again.
        base_seconds: longest wait before the second try; doubles with each. Default 1.
        cap_seconds: longest wait; a provider that asks for more ends the run with its class. Default 120.
        park_seconds: a queued task whose provider has no capacity for longer than this waits without a slot. Default 30.
    """

    attempts: int = 6
    base_seconds: float = 1.0
    cap_seconds: float = 120.0
    park_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"`attempts` must be 1 or more, got {self.attempts}")
        require_not_negative(self, "base_seconds", "cap_seconds", "park_seconds")


class ToolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the agents' tools may do.

    Attributes:
        bash_seconds: time limit of a command that names none. Default 120.
        bash_seconds_max: longest time limit a command may ask for. Default 600.
        confine: read and write inside the worktree only. Default true.
        ask: let agents ask the user, which makes their task wait for an answer. Default true.
        environment: names of variables that commands inherit beside the built-in list. Default none.
    """

    bash_seconds: float = 120.0
    bash_seconds_max: float = 600.0
    confine: bool = True
    ask: bool = True
    environment: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.bash_seconds <= self.bash_seconds_max:
            raise ValueError(
                f"`bash_seconds` must be above 0 and at most `bash_seconds_max` ({self.bash_seconds_max:g}), "
                f"got {self.bash_seconds:g}"
            )
        if not all(_VARIABLE.fullmatch(name) for name in self.environment):
            raise ValueError("`environment` must list names of variables, without values")


class WorkspaceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of worktrees.

    Attributes:
        commit_leftovers: at the end commit what the agent did not, with a message that says so. Default true.
        keep: keep the worktree even when all its work is delivered. Default false.
    """

    commit_leftovers: bool = True
    keep: bool = False


class QueueSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The queue, and who works on it. `kugetsu run` passes the queue.

    Attributes:
        slots: tasks that one worker runs at the same time; most of them wait for their model. Default 200.
        most_pending: tasks that may wait; one more is refused. Default 1,000. 0: no limit.
        per_repository: tasks of one repository that run at the same time. Default 0: no limit.
        per_model: tasks with one model that run at the same time. Default 0: no limit.
        attempts: tries of a queued task altogether, when it fails in a way that may pass. Default 3.
        patience_seconds: how long a queued task waits in all for a provider without capacity. Default 86,400.
        base_seconds: longest wait before the second attempt; doubles with each. Default 10.
        cap_seconds: longest wait before any attempt. Default 600.
        lease_seconds: a worker that was not heard of for so long loses its tasks. Default 30.
        grace_seconds: how long agents may take to end their turn when the program is told to stop. Default 10.
    """

    slots: int = 200
    most_pending: int = 1000
    per_repository: int = 0
    per_model: int = 0
    attempts: int = 3
    patience_seconds: float = 86_400.0
    base_seconds: float = 10.0
    cap_seconds: float = 600.0
    lease_seconds: float = 30.0
    grace_seconds: float = 10.0

    def __post_init__(self) -> None:
        for field in ("slots", "attempts"):
            if (value := getattr(self, field)) < 1:
                raise ValueError(f"`{field}` must be 1 or more, got {value}")
        require_not_negative(
            self,
            "most_pending",
            "per_repository",
            "per_model",
            "patience_seconds",
            "base_seconds",
            "cap_seconds",
            "grace_seconds",
        )
        if self.lease_seconds < 1:
            raise ValueError(f"`lease_seconds` must be 1 or more, got {self.lease_seconds:g}")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings.

    Attributes:
        model: `provider/model` of tasks that name none. Empty: every task must.
        check: check command of tasks that name none. Empty: none.
        check_seconds: time limit of the check. Default 600.
        instructions: added to every agent's system prompt. Default none.
        limits: what one task may use up.
        retry: how failed model calls are tried again.
        queue: how tasks wait, and how many run.
        tools: what the agents' tools may do.
        workspace: what becomes of worktrees.
        machine: how much of this machine agents may take.
        budgets: what all tasks together may use up in a day.
        loops: when an agent is told that it goes round in circles.
        context: what becomes of conversations that get long.
        compaction: when a summary takes the place of their oldest turns, and who writes it.
        disk: how much of the disk may be taken, and for how long.
        log: what is written down about the program itself.
        fallback: `provider/model` that is asked while a task's own has no capacity. Empty: none, the task waits.
        providers: beside the built-in ones, or over them.
        http: where `serve` listens.
        webhooks: who may tell us things, by the name in their address.
        notify: who hears what becomes of tasks, by name.
        projects: repositories that issues name, by `host/owner/repo`.
    """

    model: str = ""
    check: str = ""
    check_seconds: float = 600.0
    instructions: str = ""
    limits: Limits = Limits()
    retry: RetrySettings = RetrySettings()
    queue: QueueSettings = QueueSettings()
    tools: ToolSettings = ToolSettings()
    workspace: WorkspaceSettings = WorkspaceSettings()
    machine: MachineSettings = MachineSettings()
    budgets: BudgetSettings = BudgetSettings()
    loops: LoopSettings = LoopSettings()
    context: ContextSettings = ContextSettings()
    compaction: CompactionSettings = CompactionSettings()
    disk: DiskSettings = DiskSettings()
    log: LogSettings = LogSettings()
    fallback: str = ""
    providers: dict[str, ProviderSettings] = {}
    http: HttpSettings = HttpSettings()
    webhooks: dict[str, WebhookSettings] = {}
    notify: dict[str, TargetSettings] = {}
    projects: dict[str, ProjectSettings] = {}

    def __post_init__(self) -> None:
        require_names("webhooks", self.webhooks)
        require_names("notify", self.notify)
        if not self.check_seconds > 0:
            raise ValueError(f"`check_seconds` must be above 0, got {self.check_seconds:g}")
        if "\0" in self.check:
            raise ValueError("`check` must not hold a NUL character")
