"""A model server on loopback whose replies the test decides, in the dialect of OpenAI's chat completions.

In a test::

    def say(talk: Talk) -> Reply:
        if talk.results:
            return Reply(f"Kugetsu says: {talk.results[-1]}")
        return Reply(calls=[("kugetsu_submit", {"prompt": talk.asked})])

    with ScriptedModel(say) as model:
        config = {"model": {"provider": "custom", "base_url": model.base_url, ...}}
"""

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from hermes.loopback import LoopbackServer


class Gate:
    """Holds a reply back until the test lets it go.

    Attributes:
        reached: set once somebody waits for the reply.
    """

    def __init__(self) -> None:
        self.reached = threading.Event()
        self._open = threading.Event()

    def wait_until_reached(self) -> None:
        assert self.reached.wait(45), "nobody asked the model for this reply"

    def open(self) -> None:
        self._open.set()

    def hold(self) -> None:
        self.reached.set()
        self._open.wait(600)


@dataclass
class Reply:
    """What the model says: a text, or calls of tools by name and arguments.

    Attributes:
        gate: is held back there.
    """

    text: str = ""
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    gate: Gate | None = None


class Talk:
    """The conversation that a request holds."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.messages: list[dict[str, Any]] = body.get("messages", [])
        self.tools: list[str] = [tool["function"]["name"] for tool in body.get("tools") or []]

    @property
    def begun(self) -> str:
        """What the user said first."""
        return next((_text(each) for each in self.messages if each["role"] == "user"), "")

    @property
    def turns(self) -> int:
        """How often the model spoke before."""
        return sum(each["role"] == "assistant" for each in self.messages)

    @property
    def asked(self) -> str:
        """What the user said last."""
        return next((_text(each) for each in reversed(self.messages) if each["role"] == "user"), "")

    @property
    def results(self) -> list[str]:
        """What tools answered since."""
        found: list[str] = []
        for each in self.messages:
            if each["role"] == "user":
                found = []
            elif each["role"] == "tool":
                found.append(_text(each))
        return found


Say = Callable[[Talk], Reply]


class ScriptedModel(LoopbackServer):
    """Serves what `say` decides. A context manager.

    Attributes:
        talks: all that were held, in order.
    """

    def __init__(self, say: Say) -> None:
        self.say = say
        self.talks: list[Talk] = []
        self._numbers = itertools.count(1)
        super().__init__(_handler(self))

    @property
    def base_url(self) -> str:
        return f"{self.address}/v1"

    def message(self, body: dict[str, Any]) -> dict[str, Any]:
        """The reply to a request. What offers no tools is one of Hermes' own errands, such as a title."""
        talk = Talk(body)
        self.talks.append(talk)
        reply = self.say(talk) if talk.tools else Reply("An errand")
        if reply.gate:
            reply.gate.hold()
        calls = [
            {
                "id": f"call_{next(self._numbers)}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for name, arguments in reply.calls
        ]
        return {"role": "assistant", "content": reply.text or None} | ({"tool_calls": calls} if calls else {})


def _text(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content)
    return str(content)


def _handler(model: ScriptedModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self._answer({"object": "list", "data": [{"id": "mock", "object": "model", "context_length": 131_072}]})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            message = model.message(body)
            try:
                if body.get("stream"):
                    self._stream(_chunks(message))
                else:
                    choice = {"index": 0, "message": message, "finish_reason": _reason(message)}
                    self._answer(
                        {"id": "c", "object": "chat.completion", "model": "mock", "choices": [choice], **_USAGE}
                    )
            except OSError:
                self.close_connection = True  # whoever asked is gone

        def _answer(self, value: object) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, chunks: Iterator[dict[str, Any]]) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Connection", "close")
            self.end_headers()
            for chunk in chunks:
                self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
            self.wfile.write(b"data: [DONE]\n\n")
            self.close_connection = True

    return Handler


_USAGE = {"usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}}


def _reason(message: dict[str, Any]) -> str:
    return "tool_calls" if message.get("tool_calls") else "stop"


def _chunks(message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head = {"id": "c", "object": "chat.completion.chunk", "model": "mock", "created": 1}
    calls = [{"index": number, **call} for number, call in enumerate(message.get("tool_calls", []))]
    delta = {**message, **({"tool_calls": calls} if calls else {})}
    yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": _reason(message)}]}
    yield {**head, "choices": [], **_USAGE}
