"""A model server that plays a plan, repeats what was interrupted, and keeps account of what was paid."""

import hashlib
import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from kugetsu.rehearsal import ScriptedCall, ScriptedTurn
from kugetsu.testing.streams import reply_events

Plan = list[list[dict[str, Any]]]
"""The calls of each reply."""


class PatientModel:
    """Plays a plan for any number of conversations: what comes next follows from the conversation alone.

    A call whose result says that it was interrupted is made again. When the plan is done it says `done`.

    Attributes:
        paid: how often each request was answered, by its place in its conversation and the words of it.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.paid: Counter[tuple[int, str]] = Counter()
        self._lock = threading.Lock()
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                answer = model.answer(json.loads(body))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

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
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def paid_twice(self) -> int:
        return sum(count - 1 for count in self.paid.values())

    def answer(self, body: dict[str, Any]) -> bytes:
        messages = body["messages"]
        turn, place = self._next(messages)
        words = hashlib.sha256(json.dumps(messages).encode()).hexdigest()
        with self._lock:
            self.paid[place, words] += 1
        return b"".join(reply_events("openai", turn, place))

    def _next(self, messages: list[dict[str, Any]]) -> tuple[ScriptedTurn, int]:
        calls, lost = dict[str, dict[str, Any]](), list[dict[str, Any]]()
        done = replies = 0
        for message in messages:
            if message["role"] == "assistant":
                replies += 1
                done += not lost
                lost = []
                for call in message.get("tool_calls") or ():
                    calls[call["id"]] = call["function"]
            elif message["role"] == "tool" and "Interrupted" in str(message["content"]):
                lost.append(calls[message["tool_call_id"]])
        if lost:
            again = tuple(ScriptedCall(call["name"], call["arguments"]) for call in lost)
            return ScriptedTurn(text="again", tool_calls=again), replies
        step = done
        if step >= len(self.plan):
            return ScriptedTurn(text="done"), replies
        made = tuple(ScriptedCall(call["name"], call["arguments"]) for call in self.plan[step])
        return ScriptedTurn(text=f"step {step}", tool_calls=made), replies
