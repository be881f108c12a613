"""The OpenAPI 3.1 document, made from the table of operations and the structs that go in and come out."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from kugetsu import __version__
from kugetsu.gateway.http.operations import Operation
from kugetsu.gateway.http.problems import MEDIA, Problem, ProblemName, status_of

_COMPONENT: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"
_STRUCTS_OF_QUERIES: Final = "Query"

_EVERYWHERE: Final[tuple[ProblemName, ...]] = (
    "bad-request",
    "forbidden",
    "rate-limited",
    "internal",
    "store",
    "stopping",
)
_QUIET: Final[tuple[ProblemName, ...]] = ("bad-request", "internal")
_WITH_TOKEN: Final[tuple[ProblemName, ...]] = ("unauthorised",)
_WITH_BODY: Final[tuple[ProblemName, ...]] = ("timeout", "too-large", "media-type")

_ABOUT: Final = """Coding tasks for agents that work in git worktrees of their own.

A task is named by its id, a unique beginning of it, or what it is about (`host/owner/repo#1`, percent-encoded).
Errors are problem details (RFC 9457) with a `type` of `urn:kugetsu:problem:NAME`, and say in `fix` what to do next.
Every answer carries `X-Request-ID`."""


def document(operations: Iterable[Operation], url: str = "") -> bytes:
    """Make the document.

    Args:
        operations: what can be asked for.
        url: where the server is reached; empty for where the document comes from.
    """
    shown = [operation for operation in operations if not operation.hidden]
    kinds = {kind: None for operation in shown for kind in _kinds(operation)}
    _, components = msgspec.json.schema_components([*kinds, Problem], ref_template=_COMPONENT)
    paths: dict[str, dict[str, Any]] = {}
    for operation in shown:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return msgspec.json.encode(
        {
            "openapi": "3.1.0",
            "info": {"title": "Kugetsu", "version": __version__, "description": _ABOUT},
            "servers": [{"url": url.rstrip("/") or "/"}],
            "paths": paths,
            "components": {
                "schemas": {name: _plain(schema) for name, schema in components.items()},
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
        }
    )


def _kinds(operation: Operation) -> Iterator[type[msgspec.Struct]]:
    """The structs that go in as bodies, and those that come out."""
    if operation.take == "json":
        yield operation.asked
    yield from (out for out in operation.answers.values() if isinstance(out, type) and issubclass(out, msgspec.Struct))


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.path.split("/")[2] if operation.path.startswith("/v1/") else "server"],
        "security": [{}, {"token": []}] if operation.scope else [],
        "parameters": list(_parameters(operation)),
        "responses": _responses(operation),
    }
    if operation.scope:
        described["description"] = f"Takes the scope `{operation.scope}`."
    if operation.take == "json":
        content = {_JSON: {"schema": {"$ref": _COMPONENT.format(name=operation.asked.__name__)}}}
        required = any(field.required for field in msgspec.structs.fields(operation.asked))
        described["requestBody"] = {"required": required, "content": content}
    elif operation.take == "raw":
        described["requestBody"] = {"required": True, "content": {"*/*": {"schema": {}}}}
    return described


def _parameters(operation: Operation) -> Iterator[dict[str, Any]]:
    if name := operation.path.partition("{")[2].partition("}")[0]:
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    if operation.take == "query":
        _, components = msgspec.json.schema_components([operation.asked])
        properties = components[operation.asked.__name__]["properties"]
        for name, schema in properties.items():
            yield {"name": name, "in": "query", "required": False, "schema": schema}
    if operation.streams:
        yield {"name": "Last-Event-ID", "in": "header", "required": False, "schema": {"type": "integer", "minimum": 0}}
    if operation.name == "submitTask":
        yield {"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"}}


def _responses(operation: Operation) -> dict[str, Any]:
    answers = {str(status): _answer(out) for status, out in operation.answers.items()}
    names = (_QUIET if operation.quiet else _EVERYWHERE) + operation.problems
    names += _WITH_TOKEN if operation.scope else ()
    names += _WITH_BODY if operation.take in {"json", "raw"} else ()
    by_status: dict[int, list[str]] = {}
    for name in dict.fromkeys(names):
        by_status.setdefault(status_of(name), []).append(name)
    return answers | {str(status): _problem(status, names) for status, names in sorted(by_status.items())}


def _answer(out: Any) -> dict[str, Any]:  # noqa: ANN401 - a struct, `dict`, or a media type
    if isinstance(out, str):
        return {"description": "As text.", "content": {out: {"schema": {"type": "string"}}}}
    schema = {"type": "object"} if out is dict else {"$ref": _COMPONENT.format(name=out.__name__)}
    return {"description": "Done.", "content": {_JSON: {"schema": schema}}}


_WAITING: Final = {429, 503}


def _problem(status: int, names: list[str]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": f"A problem: {', '.join(names)}.",
        "content": {MEDIA: {"schema": {"$ref": _COMPONENT.format(name="Problem")}}},
    }
    if status in _WAITING:
        described["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}},
        }
    return described


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without what the source code alone needs: how its description is indented."""
    if "description" in schema:
        schema["description"] = "\n".join(line.strip() for line in schema["description"].splitlines())
    return schema
