"""Kugetsu as a server, over HTTP."""

import http.client
import ipaddress
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from .contract import Json
from .settings import Settings
from .trouble import Trouble

_MOST_BYTES: Final = 2_000_000
"""Largest answer that is read."""

_LOOK_SECONDS: Final = 1.5
"""How long it may take to find out whether there is a server."""

_NOT_THERE: Final = "start it with `kugetsu serve`, or ask whoever runs it"
_CREATED: Final = 202


class ServerTasks:
    """Implements `contract.Tasks` over HTTP. Follows no redirect, and uses no proxy on the way to this machine."""

    def __init__(self, settings: Settings) -> None:
        self._base = settings.server.rstrip("/")
        self._token = settings.token
        self._seconds = settings.seconds
        self._opener = _opener(self._base)

    def available(self) -> bool:
        """Whether a server answers."""
        try:
            self._ask("GET", "/healthz", seconds=min(_LOOK_SECONDS, self._seconds))
        except Trouble:
            return False
        return True

    def submit(self, new: Json) -> tuple[Json, bool]:
        """Put a task into the queue; see `contract.Tasks`."""
        key = new.get("key", "")
        status, task = self._call("POST", "/v1/tasks", new, headers={"Idempotency-Key": key} if key else {})
        return task, status == _CREATED

    def show(self, task: str) -> Json:
        """Everything that is known of a task; see `contract.Tasks`."""
        return self._call("GET", _way(task))[1]

    def newest(self, states: tuple[str, ...], most: int) -> list[Json]:
        """Tasks, newest first; see `contract.Tasks`."""
        query = urlencode([*(("state", state) for state in states), ("limit", most)])
        found = self._call("GET", f"/v1/tasks?{query}")[1].get("tasks")
        return found if isinstance(found, list) else []

    def control(self, task: str, verb: str, body: Json) -> Json:
        """Do what a user asks for; see `contract.Tasks`."""
        return self._call("POST", f"{_way(task)}/{verb}", body)[1]

    def diff(self, task: str) -> str:
        """What a task changed; see `contract.Tasks`."""
        return str(self._call("GET", f"{_way(task)}/diff")[1].get("diff", ""))

    def _call(
        self, method: str, way: str, body: Json | None = None, *, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Json]:
        status, data = self._ask(method, way, body, headers=headers)
        return status, _decoded(data, self._base)

    def _ask(
        self,
        method: str,
        way: str,
        body: Json | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = 0.0,
    ) -> tuple[int, bytes]:
        seconds = seconds or self._seconds
        request = self._request(method, way, body, headers or {})
        deadline = time.monotonic() + seconds
        try:
            with self._opener.open(request, timeout=seconds) as answer:
                return answer.status, _read(answer, deadline)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error, self._base) from None
        except TimeoutError:
            raise self._silent(method) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise self._unreachable(error, method) from None

    def _request(self, method: str, way: str, body: Json | None, headers: Mapping[str, str]) -> urllib.request.Request:
        try:
            request = urllib.request.Request(self._base + way, method=method)  # noqa: S310 - the opener knows HTTP only
        except ValueError:
            raise Trouble(f"{self._base!r} is no address of a server", fix="run `kugetsu hermes setup` again") from None
        for name, value in {"Accept": "application/json", **headers}.items():
            request.add_header(name, value)
        if self._token:
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        return request

    def _unreachable(self, error: Exception, method: str) -> Trouble:
        reason = getattr(error, "reason", error)
        if isinstance(reason, TimeoutError):
            return self._silent(method)
        words = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
        return Trouble(f"the Kugetsu server at {self._base} cannot be reached ({words[:200]})", fix=_NOT_THERE)

    def _silent(self, method: str) -> Trouble:
        unsure = "; what was asked may have been done all the same" if method == "POST" else ""
        return Trouble(
            f"the Kugetsu server at {self._base} gave no answer in {self._seconds:g} s{unsure}",
            fix="look with kugetsu_status before asking again",
        )


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        return None


def _opener(base: str) -> urllib.request.OpenerDirector:
    proxies = urllib.request.ProxyHandler({}) if _is_here(base) else urllib.request.ProxyHandler()
    opener = urllib.request.OpenerDirector()
    for handler in (
        proxies,
        _NoRedirect(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _is_here(base: str) -> bool:
    try:
        host = urlsplit(base).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _way(task: str) -> str:
    return f"/v1/tasks/{quote(task, safe='')}"


def _read(answer: Any, deadline: float) -> bytes:  # noqa: ANN401 - what urllib opens has no common type
    """All of an answer, one byte more than allowed at most.

    Raises:
        TimeoutError: it comes too slowly.
    """
    data = b""
    while len(data) <= _MOST_BYTES and (piece := answer.read1(65_536)):
        data += piece
        if time.monotonic() > deadline:
            raise TimeoutError
    return data


def _decoded(data: bytes, base: str) -> Json:
    if len(data) > _MOST_BYTES:
        raise Trouble("the answer is too large to be read here", fix="look with `kugetsu show` or `kugetsu diff`")
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    raise Trouble(f"what answers at {base} is no Kugetsu server", fix="look at `server` in kugetsu.json")


def _refusal(error: urllib.error.HTTPError, base: str) -> Trouble:
    """What a server's refusal says. Format: RFC 9457."""
    try:
        found = json.loads(error.read(_MOST_BYTES))
    except (OSError, http.client.HTTPException, ValueError):
        found = None
    problem = found if isinstance(found, dict) else {}
    kind = str(problem.get("type", "")).rpartition(":")[2]
    message = str(problem.get("detail") or problem.get("title") or f"{base} answered with status {error.code}")
    fix = str(problem.get("fix") or _FIXES.get(kind, ""))
    return Trouble(message[:1000], fix=fix[:500], retry_after=_seconds(problem.get("retry_after")))


_FIXES: Final = {
    "unauthorised": "run `kugetsu hermes setup` again, which makes a token for Hermes",
    "forbidden": "the token of Hermes needs the scopes submit, read and control",
    "not-found": "kugetsu_status without an id lists the tasks",
    "stopping": "the server restarts; try again in a minute",
}


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else 0.0
