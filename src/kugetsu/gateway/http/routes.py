"""Finds what a path asks for. What stands in a path may have slashes in it: an issue is named `host/owner/repo#1`."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from kugetsu.gateway.http.operations import Operation
from kugetsu.gateway.http.problems import Header, Refusal

_LONGEST_NAME: Final = 2_000


class Found(NamedTuple):
    """What a path asks for.

    Attributes:
        operation: what.
        named: what stands in the path, empty for nothing.
    """

    operation: Operation
    named: str


class _Pattern(NamedTuple):
    before: str
    after: str
    methods: dict[str, Operation]

    def fits(self, path: str) -> bool:
        """Whether a path is of this form, and something is named in it."""
        return (
            len(path) > len(self.before) + len(self.after)
            and path.startswith(self.before)
            and path.endswith(self.after)
        )


class Routes:
    """All paths of some operations."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._plain: dict[str, dict[str, Operation]] = {}
        patterns: dict[str, _Pattern] = {}
        for operation in operations:
            before, name, rest = operation.path.partition("{")
            if not name:
                self._plain.setdefault(operation.path, {})[operation.method] = operation
                continue
            pattern = patterns.setdefault(operation.path, _Pattern(before, rest.partition("}")[2], {}))
            pattern.methods[operation.method] = operation
        self._patterns = sorted(patterns.values(), key=lambda pattern: -len(pattern.after))

    def find(self, method: str, path: str) -> Found:
        """What is asked for. `HEAD` is `GET` without a body, where that comes to an end.

        Raises:
            Refusal: `not-found`, or `method`.
        """
        methods, named = self._at(path)
        if not methods:
            raise Refusal("not-found", f"there is nothing at {path[:200]!a}", fix="GET / names what is here")
        operation = methods.get("GET" if method == "HEAD" else method) or methods.get("")
        if operation is None or (method == "HEAD" and operation.streams):
            allowed = ", ".join(sorted(methods))
            header = Header(b"allow", allowed.encode())
            raise Refusal("method", f"this takes {allowed}, not {method[:20]!a}", headers=(header,))
        if len(named) > _LONGEST_NAME:
            raise Refusal("not-found", "no name is so long")
        return Found(operation, named)

    def _at(self, path: str) -> tuple[dict[str, Operation], str]:
        if methods := self._plain.get(path):
            return methods, ""
        for pattern in self._patterns:
            if pattern.fits(path):
                return pattern.methods, path[len(pattern.before) : len(path) - len(pattern.after)]
        return {}, ""
