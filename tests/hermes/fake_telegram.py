"""A Bot API of Telegram on loopback, with people in chats that a test plays.

In a test::

    with FakeTelegram() as telegram:
        ...                                     # start Hermes with `telegram.base_url`
        telegram.say("please fix it")
        telegram.wait_for("Task .* is accepted")
"""

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qsl

from hermes.loopback import LoopbackServer

TOKEN = "1234567890:fake-token-for-tests-only-0123456789"
BOT = {"id": 1234567890, "is_bot": True, "first_name": "Hermes", "username": "hermes_bot"}
USER = 4242
CHAT = 4242
USERS = tuple(range(USER, USER + 200))
"""Who may talk with the bot; each also names the private chat with it."""

_POLL_SECONDS = 5.0


@dataclass
class Posted:
    """A message that the bot posted.

    Attributes:
        text: as it is now, after edits.
        at: when it was posted, by `time.monotonic`.
    """

    id: int
    chat: int
    thread: int
    text: str
    at: float


class FakeTelegram(LoopbackServer):
    """Serves one bot. A context manager.

    Attributes:
        posted: what the bot posted, in order.
        called: every method that the bot called, with its arguments, but for polling.
        failing: methods that fail, with the status they answer; sending fails before anything is posted.
    """

    def __init__(self) -> None:
        self.posted: list[Posted] = []
        self.called: list[tuple[str, dict[str, str]]] = []
        self.failing: dict[str, int] = {}
        self._updates: list[dict[str, Any]] = []
        self._ids = 100
        self._changed = threading.Condition()
        self._ending = False
        super().__init__(_handler(self))

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        super().__exit__()

    @property
    def base_url(self) -> str:
        """What stands before the token in addresses."""
        return f"{self.address}/bot"

    def say(self, text: str, *, chat: int = CHAT, user: int = 0, thread: int = 0) -> int:
        """A person writes into a chat, in private with their own name; the number of the message."""
        user = user or (chat if chat > 0 else USER)
        with self._changed:
            number = self._next_id()
            message: dict[str, Any] = {
                "message_id": number,
                "date": int(time.time()),
                "chat": _chat(chat),
                "from": {"id": user, "is_bot": False, "first_name": "Ada", "username": f"ada{user}"},
                "text": text,
            }
            if thread:
                message |= {"message_thread_id": thread, "is_topic_message": True}
            if text.startswith("/"):
                length = len(text.split(maxsplit=1)[0])
                message["entities"] = [{"type": "bot_command", "offset": 0, "length": length}]
            self._updates.append({"update_id": number, "message": message})
            self._changed.notify_all()
        return number

    def texts(self, *, chat: int = CHAT) -> list[str]:
        """What the bot posted into a chat, in order."""
        with self._changed:
            return [each.text for each in self.posted if each.chat == chat]

    def wait_for(self, pattern: str, *, chat: int = CHAT, after: int = 0, seconds: float = 30.0) -> Posted:
        """Wait until a message in a chat matches; the first such one.

        Args:
            pattern: a regular expression, searched for.
            chat: where.
            after: only messages with a higher number.
            seconds: how long.
        """
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                for each in self.posted:
                    if each.chat == chat and each.id > after and re.search(pattern, each.text, re.DOTALL):
                        return each
                if not self._changed.wait(deadline - time.monotonic()):
                    posted = [each.text for each in self.posted if each.chat == chat]
                    raise AssertionError(f"nobody posted {pattern!r} in {seconds:g} s, but: {posted}")

    def wait_until_polled(self, *, seconds: float = 60.0) -> None:
        """Wait until the bot asks for messages."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not any(name == "getUpdates" for name, _ in self.called):
                assert self._changed.wait(deadline - time.monotonic()), "the bot never asked for messages"

    def wait_for_quiet(self, *, quiet: float = 1.0, seconds: float = 30.0) -> None:
        """Wait until the bot has said nothing for a while: Hermes takes commands of plugins only between two turns."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while True:
                before = len(self.called)
                if not self._changed.wait_for(lambda: len(self.called) != before, quiet):  # noqa: B023 - called here only
                    return
                assert time.monotonic() < deadline, f"the bot never rested: {self.called[-5:]}"

    def forget_polling(self) -> None:
        """Let `wait_until_polled` wait for a bot that starts now."""
        with self._changed:
            self.called = [call for call in self.called if call[0] != "getUpdates"]

    def answer(self, name: str, arguments: dict[str, str]) -> tuple[int, Any]:
        """The status and the result of a call."""
        with self._changed:
            if name != "getUpdates" or not any(each == name for each, _ in self.called):
                self.called.append((name, arguments))
                self._changed.notify_all()
            if status := self.failing.get(name):
                return status, "it fails, as the test wants"
            method = _METHODS.get(name)
            return 200, method(self, arguments) if method else True

    def get_updates(self, arguments: dict[str, str]) -> list[dict[str, Any]]:
        offset = int(arguments.get("offset") or 0)
        until = time.monotonic() + min(float(arguments.get("timeout") or 0), _POLL_SECONDS)
        while True:
            self._updates = [each for each in self._updates if each["update_id"] >= offset]
            left = until - time.monotonic()
            if self._updates or self._ending or left <= 0:
                return self._updates[: int(arguments.get("limit") or 100)]
            self._changed.wait(left)

    def send(self, arguments: dict[str, str]) -> dict[str, Any]:
        chat, thread = int(arguments["chat_id"]), int(arguments.get("message_thread_id") or 0)
        text = _plain(arguments) or arguments.get("caption", "")
        self.posted.append(Posted(self._next_id(), chat, thread, text, time.monotonic()))
        self._changed.notify_all()
        return _message(self.posted[-1])

    def edit(self, arguments: dict[str, str]) -> dict[str, Any]:
        each = next(each for each in self.posted if each.id == int(arguments["message_id"]))
        each.text = _plain(arguments)
        self._changed.notify_all()
        return _message(each)

    def delete(self, arguments: dict[str, str]) -> bool:
        self.posted = [each for each in self.posted if each.id != int(arguments["message_id"])]
        return True

    def _next_id(self) -> int:
        self._ids += 1
        return self._ids


_METHODS: dict[str, Callable[[FakeTelegram, dict[str, str]], Any]] = {
    "getMe": lambda _, __: {**BOT, "can_join_groups": True, "can_read_all_group_messages": True},
    "getUpdates": FakeTelegram.get_updates,
    "getChat": lambda _, arguments: {**_chat(int(arguments["chat_id"])), "accent_color_id": 0, "max_reaction_count": 1},
    "getWebhookInfo": lambda _, __: {"url": "", "has_custom_certificate": False, "pending_update_count": 0},
    "sendMessage": FakeTelegram.send,
    "editMessageText": FakeTelegram.edit,
    "deleteMessage": FakeTelegram.delete,
}


def _plain(arguments: dict[str, str]) -> str:
    """A text as people see it, without the backslashes of Telegram's Markdown."""
    text = arguments.get("text", "")
    return re.sub(r"\\([^\w\s])", r"\1", text) if arguments.get("parse_mode") == "MarkdownV2" else text


def _chat(chat: int) -> dict[str, Any]:
    return (
        {"id": chat, "type": "private", "first_name": "Ada"}
        if chat > 0
        else {"id": chat, "type": "supergroup", "title": "Team", "is_forum": True}
    )


def _message(posted: Posted) -> dict[str, Any]:
    thread = {"message_thread_id": posted.thread, "is_topic_message": True} if posted.thread else {}
    at = int(time.time())
    return {"message_id": posted.id, "date": at, "chat": _chat(posted.chat), "from": BOT, "text": posted.text, **thread}


def _handler(telegram: FakeTelegram) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            token, _, name = self.path.partition("?")[0].removeprefix("/bot").partition("/")
            assert token == TOKEN, self.path
            kind = self.headers.get("Content-Type", "")
            arguments = json.loads(data) if "json" in kind else dict(parse_qsl(data.decode(), keep_blank_values=True))
            status, result = telegram.answer(name, arguments)
            answer = {"ok": True, "result": result}
            if status != 200:
                answer = {"ok": False, "error_code": status, "description": result}
            body = json.dumps(answer).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                self.close_connection = True  # the bot is gone

    return Handler
