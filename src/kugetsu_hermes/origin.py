"""Who asked, and where an answer reaches them: Hermes knows it of every message of a chat."""

import hashlib
import json
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, Final

_LONGEST: Final = 500
"""Characters of one value that Kugetsu keeps."""


@dataclass(frozen=True)
class Origin:
    """Where a message came from. All empty outside of a chat, as in the terminal."""

    platform: str = ""
    chat_id: str = ""
    thread_id: str = ""
    user_id: str = ""
    message_id: str = ""
    profile: str = ""

    def reply_to(self, target: str) -> dict[str, str]:
        """The return address for a task; empty when there is no chat to answer in."""
        if not (self.platform and self.chat_id):
            return {}
        known = {name: value for name, value in asdict(self).items() if value and len(value) <= _LONGEST}
        return {"target": target, "thread_id": "", **known}

    def key(self, what: object) -> str:
        """A name for one request that a repetition of it bears too; empty when its message has no name of its own.

        Args:
            what: was asked for; as JSON takes it.
        """
        if not (self.message_id and self.chat_id):
            return ""
        whole = json.dumps([asdict(self), what], sort_keys=True, ensure_ascii=True)
        return "hermes-" + hashlib.sha256(whole.encode()).hexdigest()[:40]


_seen: ContextVar[Origin | None] = ContextVar("kugetsu_origin", default=None)


def note_message(event: object = None, **_: object) -> None:
    """Remember where the message came from that is being handled. For the hook `pre_gateway_dispatch`.

    Hermes runs commands of plugins before it binds the session that `current_origin` asks for.
    """
    source = getattr(event, "source", None)
    platform = getattr(source, "platform", None)
    _seen.set(
        Origin(
            platform=_text(getattr(platform, "value", platform)),
            chat_id=_text(getattr(source, "chat_id", None)),
            thread_id=_text(getattr(source, "thread_id", None)),
            user_id=_text(getattr(source, "user_id", None)),
            message_id=_text(getattr(source, "message_id", None) or getattr(event, "message_id", None)),
            profile=_text(getattr(source, "profile", None)),
        )
    )


def current_origin() -> Origin:
    """Where the message came from that is being handled: by the session of Hermes, else as `note_message` was told."""
    try:
        read = import_module("gateway.session_context").get_session_env
    except (ImportError, AttributeError):
        return _seen.get() or Origin()
    bound = {name: _text(read(f"HERMES_SESSION_{name.upper()}", "")) for name in Origin.__dataclass_fields__}
    return Origin(**bound) if bound["platform"] else _seen.get() or Origin()


def _text(value: Any) -> str:  # noqa: ANN401 - whatever Hermes has there
    return "" if value is None else str(value)
