"""Every error of Kugetsu: one root, fields beside the words, and what to do next."""

from typing import Final, Literal, get_args

ModelFailure = Literal[
    "authentication",
    "bad_request",
    "not_found",
    "rate_limited",
    "quota",
    "overloaded",
    "context_overflow",
    "network",
    "stall",
    "malformed",
    "refused",
]
"""How a model call can fail; also the outcome class of a run that ends with it."""

MODEL_FAILURES: Final[tuple[ModelFailure, ...]] = get_args(ModelFailure)

RETRYABLE: Final[frozenset[ModelFailure]] = frozenset({"rate_limited", "overloaded", "network", "stall", "malformed"})
"""Failures after which the same call may well succeed."""

LimitKind = Literal["turn_limit", "token_limit", "money_limit", "wall_time", "idle_time", "loop", "budget"]
"""The limit of a run that was hit; also the outcome class of that run."""


_TOO_MANY_BYTES: Final = 413
"""Status of a request that is too large in bytes."""


class KugetsuError(Exception):
    """The root. `message` names the offending value, `fix` says what to do next (may be empty)."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} ({self.fix})" if self.fix else self.message


class UsageError(KugetsuError):
    """What the user asked for cannot be understood: wrong arguments or configuration (exit code 2)."""


class ConfigError(UsageError):
    """A setting is unknown, of the wrong type or out of range; the message names its field."""


class MissingKeyError(ConfigError):
    """A provider's key is not there; where it is, the same would work."""


class RepositoryError(UsageError):
    """The repository or the base that a task names cannot be used."""


class WorkspaceError(KugetsuError):
    """A workspace could not be made, read or delivered: disk full, no permission, git failed."""


class RecordError(KugetsuError):
    """A stored task cannot be read or written; the message names its file.

    Attributes:
        unknown: whether what was to be written may be there all the same, because the answer to its commit was lost.
    """

    def __init__(self, message: str, *, fix: str = "", unknown: bool = False) -> None:
        super().__init__(message, fix=fix)
        self.unknown = unknown


class StateConflictError(UsageError):
    """What was asked for makes no sense for a task in its state; the message names both."""


class QueueFullError(KugetsuError):
    """There is no room for one more task (exit code 4).

    Attributes:
        retry_after: seconds after which it is worth another try.
    """

    def __init__(self, message: str, *, retry_after: float, fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.retry_after = retry_after


class ServerError(KugetsuError):
    """A server of Kugetsu does not answer, or not as it should."""


class AccessError(UsageError):
    """A server does not let the caller do this: no token, a wrong one, or one for something else."""


class LeaseLostError(KugetsuError):
    """Somebody else may have taken over the task: this run must stop at once and write nothing more."""


class PausedError(KugetsuError):
    """A run was told to pause, and did; the task goes on when somebody resumes it."""


class AnswerNeededError(KugetsuError):
    """A tool call asks the user: the run ends, and goes on when there is an answer.

    Attributes:
        question: in the model's words.
    """

    def __init__(self, question: str) -> None:
        super().__init__(question)
        self.question = question


class TaskNotFoundError(UsageError):
    """No stored task has this id, or several share this prefix."""


class ToolError(KugetsuError):
    """A tool could not do what its call asks; the message is the call's result, addressed to the model."""


class SummaryError(KugetsuError):
    """Nobody could write a summary of old turns; the message says why."""


class LimitReachedError(KugetsuError):
    """A run used up one of its limits.

    Attributes:
        kind: which one; the outcome class of the run.
        until: when there will be more of it, in seconds since the epoch; 0 when that is for the user to say.
    """

    def __init__(self, kind: LimitKind, message: str, *, fix: str = "", until: float = 0.0) -> None:
        super().__init__(message, fix=fix)
        self.kind: LimitKind = kind
        self.until = until


class ModelError(KugetsuError):
    """A model call failed.

    Attributes:
        kind: how; the outcome class of a run that ends with it.
        retry_after: seconds the provider asked to wait, None when it named none.
        status: HTTP status, None when none was received.
        asked: whether a request was made; a call that was held back before it began has not been tried.
        window: tokens that fit into a call, as the provider says of one that did not (`context_overflow`); 0 when it does not.
        prompt: tokens that the prompt had, likewise.
    """

    def __init__(
        self,
        kind: ModelFailure,
        message: str,
        *,
        fix: str = "",
        retry_after: float | None = None,
        status: int | None = None,
        asked: bool = True,
        window: int = 0,
        prompt: int = 0,
    ) -> None:
        super().__init__(message, fix=fix)
        self.kind: ModelFailure = kind
        self.window = window
        self.prompt = prompt
        self.retry_after = retry_after
        self.status = status
        self.asked = asked

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return self.kind in RETRYABLE

    @property
    def tells_of_window(self) -> bool:
        """Of a call that did not fit: whether its tokens were too many; its bytes may have been, by pictures perhaps."""
        return self.window > 0 or self.status != _TOO_MANY_BYTES
