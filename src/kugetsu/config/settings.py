"""Settings: every one with its default and its special values. Validated once, when they are loaded."""

from typing import Literal

import msgspec

from kugetsu.tasks import Limits


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


class ModelSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a user says of a model. None: what the built-in table says, or a careful default.

    Attributes:
        context_window: tokens.
        max_output: tokens of one reply.
        price: overrides the built-in table.
        images: whether it takes pictures.
    """

    context_window: int | None = None
    max_output: int | None = None
    price: Price | None = None
    images: bool | None = None


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
        idle_seconds: longest silence of a reply before the call counts as stalled. Default 120.
        reasoning_field: name under which reasoning is carried back (openai wire). Empty: it is not.
    """

    wire: Wire = "openai"
    base_url: str = ""
    api_key: str = ""
    api_key_env: str = ""
    headers: dict[str, str] = {}
    models: dict[str, ModelSettings] = {}
    idle_seconds: float = 120.0
    reasoning_field: str = ""

    def __repr__(self) -> str:
        """Never shows the key."""
        return f"ProviderSettings(wire={self.wire!r}, base_url={self.base_url!r})"


class RetrySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How failed model calls are tried again: exponential backoff with full jitter.

    Attributes:
        attempts: tries of one call altogether. Default 6. 1: never again.
        base_seconds: longest wait before the second try; doubles with each. Default 1.
        cap_seconds: longest wait; a provider that asks for more ends the run with its class. Default 120.
    """

    attempts: int = 6
    base_seconds: float = 1.0
    cap_seconds: float = 120.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"`attempts` must be 1 or more, got {self.attempts}")
        if min(self.base_seconds, self.cap_seconds) < 0:
            raise ValueError("`base_seconds` and `cap_seconds` must be 0 or more")


class ToolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the agents' tools may do.

    Attributes:
        bash_seconds: time limit of a command that names none. Default 120.
        bash_seconds_max: longest time limit a command may ask for. Default 600.
        confine: read and write inside the worktree only. Default true.
        environment: names of variables that commands inherit beside the built-in list. Default none.
    """

    bash_seconds: float = 120.0
    bash_seconds_max: float = 600.0
    confine: bool = True
    environment: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 < self.bash_seconds <= self.bash_seconds_max:
            raise ValueError("`bash_seconds` must be above 0 and at most `bash_seconds_max`")


class WorkspaceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What becomes of worktrees.

    Attributes:
        commit_leftovers: at the end commit what the agent did not, with a message that says so. Default true.
        keep: keep the worktree even when all its work is delivered. Default false.
    """

    commit_leftovers: bool = True
    keep: bool = False


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All settings.

    Attributes:
        model: `provider/model` of tasks that name none. Empty: every task must.
        check: check command of tasks that name none. Empty: none.
        check_seconds: time limit of the check. Default 600.
        instructions: added to every agent's system prompt. Default none.
        limits: what one task may use up.
        retry: how failed model calls are tried again.
        tools: what the agents' tools may do.
        workspace: what becomes of worktrees.
        providers: beside the built-in ones, or over them.
    """

    model: str = ""
    check: str = ""
    check_seconds: float = 600.0
    instructions: str = ""
    limits: Limits = Limits()
    retry: RetrySettings = RetrySettings()
    tools: ToolSettings = ToolSettings()
    workspace: WorkspaceSettings = WorkspaceSettings()
    providers: dict[str, ProviderSettings] = {}
