"""What requests may carry beside the structs of the service: bodies of verbs, and queries. Read strictly."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

from kugetsu.gateway.http.problems import Refusal
from kugetsu.protocols import Delivery, DeliveryState, ShadowInfo
from kugetsu.sessions import LogLine
from kugetsu.tasks import MOST_INTEGER, MOST_PRIORITY, TaskState

Asked = TypeVar("Asked", bound=msgspec.Struct)

Number = Annotated[int, Meta(ge=0, le=MOST_INTEGER)]
PageSize = Annotated[int, Meta(ge=1, le=500)]
Priority = Annotated[int, Meta(ge=-MOST_PRIORITY, le=MOST_PRIORITY)]

_MOST_FIELDS: Final = 100


class _Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that is asked for."""


class Nothing(_Form, frozen=True):
    """No body and no query."""


class Steer(_Form, frozen=True):
    """Say something to the model.

    Attributes:
        text: what.
        follow_up: say it when the model would stop, not as soon as its running calls are done.
        key: the sender's own name for it; a second one of the same name is not heard. Empty for none.
    """

    text: str
    follow_up: bool = False
    key: str = ""


class AnswerText(_Form, frozen=True):
    """Answer the task's question."""

    text: str


class PauseReason(_Form, frozen=True):
    """Let a task rest after its current turn."""

    reason: str = "paused by the user"


class CancelReason(_Form, frozen=True):
    """End a task; its work is kept on its branch."""

    reason: str = "cancelled by the user"


class LimitChanges(_Form, frozen=True):
    """Limits that a task has from now on. What is left out stays; 0 means no limit, which takes the scope `admin`."""

    turns: Number | None = None
    wall_seconds: float | None = None
    idle_seconds: float | None = None
    tokens: Number | None = None
    usd: float | None = None


class ResumeForm(_Form, frozen=True):
    """Let a task go on."""

    limits: LimitChanges = LimitChanges()


class NewPriority(_Form, frozen=True):
    """Give a task another place in the queue."""

    priority: Priority


class RetryForm(_Form, frozen=True):
    """Try news again.

    Attributes:
        ids: which; without any all that expired or were refused.
    """

    ids: tuple[Number, ...] = ()


class TaskQuery(_Form, frozen=True):
    """Which tasks.

    Attributes:
        state: those in one of these; without any all.
        limit: how many.
        cursor: where the page begins: `next` of the page before; 0 for the newest.
    """

    state: tuple[TaskState, ...] = ()
    limit: PageSize = 50
    cursor: Number = 0


class EventQuery(_Form, frozen=True):
    """Which events of a task.

    Attributes:
        after: number of the last one that is known already; the header `Last-Event-ID` goes before it.
        follow: go on with what happens, until the task is over or halts.
    """

    after: Number | msgspec.UnsetType = msgspec.UNSET
    follow: bool = True


class FeedQuery(_Form, frozen=True):
    """Which events of all tasks.

    Attributes:
        after: number of the last one that is known already; 0 for all there are. Without it: what happens from now on.
            The header `Last-Event-ID` goes before it.
    """

    after: Number | msgspec.UnsetType = msgspec.UNSET


class DeliveryQuery(_Form, frozen=True):
    """Which news.

    Attributes:
        state: those in one of these; without any all.
        limit: how many.
        before: only those with a lower id; 0 for all.
    """

    state: tuple[DeliveryState, ...] = ()
    limit: PageSize = 50
    before: Number = 0


class SessionLog(msgspec.Struct, frozen=True):
    """The log of a task's conversation, oldest first."""

    entries: tuple[LogLine, ...]


class Shadows(msgspec.Struct, frozen=True):
    """The shadows that live."""

    shadows: tuple[ShadowInfo, ...]


class Deliveries(msgspec.Struct, frozen=True):
    """News, newest first."""

    deliveries: tuple[Delivery, ...]


class BodyReader(Generic[Asked]):
    """Reads bodies of one kind. An empty one counts as `{}`."""

    def __init__(self, kind: type[Asked]) -> None:
        self._decoder = msgspec.json.Decoder(kind)

    def read(self, body: bytes) -> Asked:
        """Decode a body.

        Raises:
            Refusal: `bad-request`: it is no JSON, or not of this kind.
        """
        try:
            return self._decoder.decode(body or b"{}")
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            raise Refusal("bad-request", f"the body: {error}", fix="GET /openapi.json says what it may be") from error


class QueryReader(Generic[Asked]):
    """Reads queries of one kind. A name may be repeated where several values make sense."""

    def __init__(self, kind: type[Asked]) -> None:
        self._kind = kind
        fields = msgspec.structs.fields(kind)
        self._lists = {field.name for field in fields if isinstance(field.default, tuple)}
        self._default = None if any(field.required for field in fields) else kind()

    def read(self, query: bytes) -> Asked:
        """Decode a query string.

        Raises:
            Refusal: `bad-request`: it is not of this kind.
        """
        if not query and self._default is not None:
            return self._default
        try:
            return msgspec.convert(self._values(query), self._kind, strict=False)
        except (msgspec.MsgspecError, ValueError) as error:
            raise Refusal("bad-request", f"the query: {error}", fix="GET /openapi.json says what it may be") from error

    def _values(self, query: bytes) -> Mapping[str, Any]:
        """The values by name.

        Raises:
            ValueError: it cannot be read, or says twice what can be said once.
        """
        values: dict[str, Any] = {}
        pairs = parse_qsl(
            query.decode(), keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=_MOST_FIELDS
        )
        for name, value in pairs:
            if name in self._lists:
                values.setdefault(name, []).append(value)
            elif name in values:
                raise ValueError(f"`{name[:80]}` is there twice")
            else:
                values[name] = value
        return values
