"""A model server that plays a plan, repeats what was interrupted, and keeps account of what was paid."""

import hashlib
import json
import re
import threading
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from kugetsu.context import SUMMARY_SYSTEM, taken_out
from kugetsu.messages import Usage
from kugetsu.rehearsal import ScriptedCall, ScriptedTurn, ScriptedUsage
from kugetsu.testing.streams import event, reply_events

Plan = list[list[dict[str, Any]]]
"""The calls of each reply."""

_STEP: Final = re.compile(r"\bstep ([0-9]+)")
_BYTES: Final = 4
"""Of a request or a reply make one token."""


class PatientModel:
    """Plays a plan for any number of conversations: what comes next follows from the conversation alone.

    A call whose result says that it was interrupted is made again. Notes on a conversation say which step was the last. When
    the plan is done it says `done`.

    Args:
        plan: the calls of each reply.
        thoughts: characters that each reply has beside its calls.

    Attributes:
        paid: how often each request was answered, by its place in its conversation and the words of it.
        noted: how often each request for notes was answered, by its words.
        sent: what stood behind the system prompt when a reply was asked for, by place.
        begun: set once notes are half written.
        goes_on: notes stop half-way until this is set.
    """

    def __init__(self, plan: Plan, *, thoughts: int = 0) -> None:
        self.plan = plan
        self.paid: Counter[tuple[int, str]] = Counter()
        self.noted: Counter[str] = Counter()
        self.sent: dict[int, set[str]] = defaultdict(set)
        self.begun, self.goes_on = threading.Event(), threading.Event()
        self.goes_on.set()
        self._thoughts = ("I go on since nothing that I saw tells against it. " * thoughts)[:thoughts]
        self._used: dict[str, ScriptedUsage] = {}
        self._lock = threading.Lock()
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                events, slow = model.answer(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Content-Length", str(sum(map(len, events))))
                self.end_headers()
                half = len(events) // 2
                self.wfile.write(b"".join(events[:half]))
                if slow:
                    model.begun.set()
                    model.goes_on.wait()
                self.wfile.write(b"".join(events[half:]))

            def log_message(self, *_arguments: object) -> None:
                """Say nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request: object, client_address: object) -> None:
                """A client that is killed is no error here."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.goes_on.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def paid_twice(self) -> int:
        return sum(count - 1 for count in [*self.paid.values(), *self.noted.values()])

    @property
    def used(self) -> Usage:
        """What the replies used up, each counted once."""
        used = self._used.values()
        return Usage(sum(one.input for one in used), sum(one.output for one in used))

    def answer(self, request: bytes) -> tuple[list[bytes], bool]:
        """The events of a reply, and whether they come slowly."""
        messages = json.loads(request)["messages"]
        words = _digest(messages)
        if notes := messages[0]["content"] == SUMMARY_SYSTEM:
            turn, place = _notes(messages[1]["content"]), 0
        else:
            place = sum(message["role"] == "assistant" for message in messages) + taken_out(request)
            turn = self._next(messages)
        output = len(turn.text) + sum(len(str(call.arguments)) for call in turn.tool_calls)
        usage = ScriptedUsage(input=len(request) // _BYTES, output=output // _BYTES)
        with self._lock:
            self._used[words] = usage
            if notes:
                self.noted[words] += 1
            else:
                self.paid[place, words] += 1
                self.sent[place].add(_digest(messages[1:]))
        first, *rest = reply_events("openai", ScriptedTurn(tool_calls=turn.tool_calls, usage=usage), place)
        said = event({"choices": [{"index": 0, "delta": {"content": turn.text}}]})  # in one piece, which is quick
        return [first, said, *rest], notes

    def _next(self, messages: list[dict[str, Any]]) -> ScriptedTurn:
        calls, lost = dict[str, dict[str, Any]](), list[dict[str, Any]]()
        last = -1
        for message in messages[1:]:
            if message["role"] == "tool":
                if "Interrupted" in str(message["content"]):
                    lost.append(calls[message["tool_call_id"]])
                continue
            last = _last_step(str(message["content"]), last)
            if message["role"] == "assistant":
                lost = []
                for call in message.get("tool_calls") or ():
                    calls[call["id"]] = call["function"]
        step = last if lost else last + 1
        if step >= len(self.plan):
            return ScriptedTurn(text="done")
        made = lost or self.plan[step]
        said = tuple(ScriptedCall(call["name"], call["arguments"]) for call in made)
        return ScriptedTurn(text=f"step {step}{' again' if lost else ''}\n{self._thoughts}", tool_calls=said)


def _notes(request: str) -> ScriptedTurn:
    return ScriptedTurn(text=f"## Done\n- step {_last_step(request, 0)}\n\n## Next\n- the one after it")


def _last_step(text: str, before: int) -> int:
    return max(map(int, _STEP.findall(text)), default=before)


def _digest(messages: list[dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(messages).encode()).hexdigest()
