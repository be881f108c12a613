"""The ASGI application: what happens to every request, whatever it asks for."""

import secrets
import traceback
from functools import partial
from typing import Any, Final

from kugetsu.errors import RecordError
from kugetsu.gateway.asgi import COUNTS, AsgiScope, Message, Receive, Send
from kugetsu.gateway.http import forms
from kugetsu.gateway.http.access import Access, require_scope
from kugetsu.gateway.http.bodies import ClientGoneError
from kugetsu.gateway.http.calls import Answer, Call, Inside, as_problem
from kugetsu.gateway.http.openapi import document
from kugetsu.gateway.http.operations import OPERATIONS, Operation
from kugetsu.gateway.http.origins import Origins
from kugetsu.gateway.http.parts import Parts
from kugetsu.gateway.http.problems import Refusal, is_foreseen
from kugetsu.gateway.http.routes import Routes

_NO_QUERY: Final = forms.QueryReader(forms.Nothing)
_LONGEST_ID: Final = 128
_GONE: Final = 499
"""What the log says of a client that went away before it was answered, as nginx does."""

_ALWAYS: Final = ((b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff"))


class _Seen:
    """What is known of a request when it is over."""

    __slots__ = ("address", "began", "caller", "id", "operation", "status", "until_answer")

    def __init__(self, request_id: str, began: float) -> None:
        self.id = request_id
        self.began = began
        self.status = 0
        self.until_answer = 0.0
        self.operation: Operation | None = None
        self.caller = ""
        self.address = ""


class Application:
    """Answers requests.

    Args:
        parts: what it is put together from.

    Raises:
        ConfigError: a trusted proxy in the settings is no address.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._origins = Origins(parts.settings.http)
        self._inside = Inside(parts, partial(document, OPERATIONS, parts.settings.http.public_url))
        self._routes = Routes(OPERATIONS)
        self._readers = {operation.name: _reader(operation) for operation in OPERATIONS}

    @property
    def access(self) -> Access:
        """Who may do what."""
        return self._inside.access

    def begin_to_stop(self) -> None:
        """From now on this program is not ready any more, but still answers."""
        self._inside.stopping = True

    def close(self) -> None:
        """From now on every request is refused, apart from those that are under way."""
        self._inside.stopping = self._inside.closed = True

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI 3); nothing else than HTTP is known here."""
        if scope["type"] != "http":
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        seen = _Seen(_request_id(headers.get("x-request-id", "")), self._parts.clock.monotonic())

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen.status = message["status"]
                seen.until_answer = self._parts.clock.monotonic() - seen.began
                message["headers"] = [*message.get("headers", ()), *_ALWAYS, (b"x-request-id", seen.id.encode())]
            await send(message)

        call = Call(self._inside, scope, receive, headers, self._origins.address(scope, headers))
        seen.address = call.address
        try:
            await self._answer(call, seen, send_on)
        except ClientGoneError:
            seen.status = _GONE
        except Exception as error:
            if not is_foreseen(error):
                self._say_failure(error, scope, seen)
            if (
                seen.status
            ):  # too late to say it: the connection is cut, which tells the client that something is missing
                raise
            await call.body.skip()
            await as_problem(_told(error, call)).send(send_on, close=not call.body.whole)
        finally:
            call.body.release()
            self._note(scope, seen)

    async def _answer(self, call: Call, seen: _Seen, send: Send) -> None:
        found = self._routes.find(call.scope["method"], call.scope["path"])
        operation, call.named = found
        seen.operation = operation
        await self._let_in(call, operation)
        seen.caller = call.caller.name if call.caller else ""
        reply = await operation.do(call, await self._asked(call, operation))
        if operation.streams and call.caller is not None:
            call.scope[COUNTS] = partial(self.access.counts, call.caller)
        if isinstance(reply, Answer):
            await reply.send(send, close=not call.body.whole or self._inside.closed)
        else:
            await reply(call.scope, call.receive, send)

    async def _let_in(self, call: Call, operation: Operation) -> None:
        """Refuse whoever may not.

        Raises:
            Refusal: in one of many ways.
            RecordError: nobody knows, because the tokens cannot be read.
        """
        if operation.quiet:
            return
        self._origins.require_known(call.scope, call.headers)
        if operation.scope is None:
            self.access.pass_by(call.address)
            if operation.take == "raw":
                self.access.require_few_failures(call.address)
        else:
            near = self._origins.is_near(call.headers, call.address)
            call.caller = await self.access.admit(call.headers.get("authorization"), call.address, near=near)
            if operation.take != "nothing":
                require_scope(call.caller, operation.scope)
        if self._inside.closed:
            raise Refusal("stopping", "the server is stopping", fix="come back when it runs again", retry_after=5.0)

    async def _asked(self, call: Call, operation: Operation) -> Any:  # noqa: ANN401 - what the operation takes
        match operation.take:
            case "query":
                return self._readers[operation.name].read(call.scope["query_string"])
            case "json":
                _NO_QUERY.read(call.scope["query_string"])
                return self._readers[operation.name].read(await call.body.read_json())
            case "raw":
                call.body.room = self._inside.strangers
                return await call.body.read()
            case "nothing":
                return None

    def _say_failure(self, error: Exception, scope: AsgiScope, seen: _Seen) -> None:
        self._parts.say(
            "request_failed",
            f"{scope['method']} {scope['path']} failed: {type(error).__name__}: {error}",
            level="error",
            request=seen.id,
            traceback="".join(traceback.format_exception(error)),
        )

    def _note(self, scope: AsgiScope, seen: _Seen) -> None:
        """Count the request, and write it down."""
        now, operation, method = self._parts.clock.monotonic(), seen.operation, scope["method"]
        if not seen.until_answer:
            seen.until_answer = now - seen.began
        self._inside.metrics.answered(operation.path if operation else "", method, seen.status, seen.until_answer)
        milliseconds = round((now - seen.began) * 1e3, 1)
        path = scope["path"]
        self._parts.say(
            "request",
            f"{seen.status} {method} {path} in {milliseconds} ms",
            level="debug" if operation and operation.quiet else "info",
            method=method,
            path=path,
            status=seen.status,
            milliseconds=milliseconds,
            token=seen.caller,
            client=seen.address,
            request=seen.id,
        )


def application(parts: Parts) -> Application:
    """Make the application.

    Raises:
        ConfigError: a trusted proxy in the settings is no address.
    """
    return Application(parts)


def _reader(operation: Operation) -> forms.BodyReader[Any] | forms.QueryReader[Any]:
    return forms.BodyReader(operation.asked) if operation.take == "json" else forms.QueryReader(operation.asked)


def _told(error: Exception, call: Call) -> Exception:
    """An error as its caller may hear it: who is not known hears nothing of where things are on this machine."""
    if isinstance(error, RecordError) and call.caller is None:
        return RecordError("what is kept cannot be used at present", fix="`kugetsu doctor` says more on that machine")
    return error


def _request_id(given: str) -> str:
    """The client's own id for its request, if it can be one, else a new one."""
    if 0 < len(given) <= _LONGEST_ID and given.isascii() and given.isprintable() and " " not in given:
        return given
    return secrets.token_hex(8)
