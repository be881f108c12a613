"""A server on loopback that keeps to the HTTP contract of `kugetsu serve` as far as a plugin can see, without any work."""

import json
import time
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from hermes.loopback import LoopbackServer

_MOVES = {"answer": "pending", "cancel": "cancelled", "pause": "paused", "resume": "pending", "retry": "pending"}


class FakeKugetsu(LoopbackServer):
    """Keeps tasks in memory. A context manager.

    Attributes:
        tasks: by id, in order of arrival; a test may change them.
        requests: method, path and body of every request, in order.
        headers: those of every request, with names in lower case.
        token: what callers must show; empty for nothing.
        full: seconds after which there is room again; 0 while there is.
        silent: seconds that every answer takes.
    """

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.token = ""
        self.full = 0.0
        self.silent = 0.0
        super().__init__(_handler(self))

    @property
    def url(self) -> str:
        return self.address

    def add(self, prompt: str, **fields: Any) -> str:
        """Put a task there; its id."""
        number = len(self.tasks) + 1
        name = f"task{number:06}"
        task: dict[str, Any] = {
            "id": name,
            "state": "pending",
            "outcome": None,
            "summary": "",
            "prompt": prompt,
            "repo": "/srv/repo",
            "branch": "",
            "commits": [],
            "files_changed": 0,
            "question": "",
            "subject": "",
            "usage": {"cost_usd": 0.5},
            "seconds": 10.0,
            "number": number,
            "key": "",
            "reply_to": {},
            "served": True,
        }
        self.tasks[name] = task | fields
        return name

    def answer(self, method: str, path: str, body: Any, token: str) -> tuple[int, dict[str, Any]]:
        """The status and the body of an answer."""
        time.sleep(self.silent)
        way = [unquote(part) for part in urlsplit(path).path.strip("/").split("/")]
        if way == ["healthz"]:
            return 200, {"status": "ok"}
        if self.token and token != f"Bearer {self.token}":
            return 401, _problem("unauthorised", 401, "the token is not known")
        match method, way:
            case "POST", ["v1", "tasks"]:
                return self._submit(body)
            case "GET", ["v1", "tasks"]:
                query = parse_qs(urlsplit(path).query)
                found = [each for each in self.tasks.values() if each["state"] in query.get("state", [each["state"]])]
                return 200, {"tasks": found[::-1][: int(query.get("limit", ["50"])[0])], "next": 0}
            case "GET", ["v1", "tasks", name] if task := self._find(name):
                return 200, task
            case "GET", ["v1", "tasks", name, "diff"] if task := self._find(name):
                return 200, {"id": task["id"], "base": "0" * 40, "branch": task["branch"], "diff": "+new line\n"}
            case "POST", ["v1", "tasks", name, verb] if task := self._find(name):
                return self._control(task, verb)
        return 404, _problem("not-found", 404, f"there is nothing at {path}")

    def _submit(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.full:
            return 429, _problem("queue-full", 429, "the queue is full", retry_after=self.full)
        for task in self.tasks.values():
            if task["key"] and task["key"] == body.get("key"):
                return 200, task
        return 202, self.tasks[self.add(**body)]

    def _control(self, task: dict[str, Any], verb: str) -> tuple[int, dict[str, Any]]:
        if verb == "answer" and not task["question"]:
            fix = "`kugetsu steer` says something to an agent that asks nothing"
            return 409, _problem("conflict", 409, f"task {task['id']} asks nothing", fix=fix)
        task["state"] = _MOVES.get(verb, task["state"])
        if verb == "answer":
            task["question"] = ""
        return 200, task

    def _find(self, name: str) -> dict[str, Any] | None:
        return next(
            (each for each in self.tasks.values() if each["id"].startswith(name) or each["subject"] == name), None
        )


def _problem(name: str, status: int, detail: str, **more: Any) -> dict[str, Any]:
    return {"type": f"urn:kugetsu:problem:{name}", "title": name, "status": status, "detail": detail, **more}


def _handler(kugetsu: FakeKugetsu) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.do_POST()

        def do_POST(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(data) if data else None
            headers = {name.lower(): value for name, value in self.headers.items()}
            kugetsu.requests.append((self.command, self.path, body))
            kugetsu.headers.append(headers)
            status, answer = kugetsu.answer(self.command, self.path, body, headers.get("authorization", ""))
            kind = "application/json" if status < 400 else "application/problem+json"
            written = json.dumps(answer).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(written)))
                self.end_headers()
                self.wfile.write(written)
            except OSError:
                pass  # the plugin would not wait

    return Handler
