"""A call of a tool, from its arguments to its answer. Whatever goes wrong becomes an answer in words."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from kugetsu.errors import AccessError, KugetsuError, QueueFullError, UsageError
from kugetsu.gateway.mcp.waiting import Places, Progress
from kugetsu.protocols import Scope, TaskService
from kugetsu.tasks import Limits

_log: Final = logging.getLogger(__name__)

EVERYTHING: Final[frozenset[Scope]] = frozenset({"admin"})
"""What the user of this machine may do."""


async def quiet(_passed: float, _may: float, _words: str) -> None:
    """Tell progress to nobody."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """Where a call is done, and for whom.

    Attributes:
        service: does it.
        scopes: what the caller may do.
        limits: none of a caller without the scope `admin` may be looser; None when they are not known, and somebody behind
            `service` looks after that.
        repository: the path or URL of a repository, made from what a caller said; may be empty, and raises `UsageError`.
        progress: tells the caller how far it is.
        places: where calls wait.
    """

    service: TaskService
    scopes: frozenset[Scope] = EVERYTHING
    limits: Limits | None = None
    repository: Callable[[str], str] = str
    progress: Progress = quiet
    places: Places = field(default_factory=Places)

    def within_bounds(self, limits: Mapping[str, float]) -> dict[str, float]:
        """Limits that the caller asks for by name, none looser than he may have.

        Raises:
            UsageError: a limit cannot be so.
        """
        if self.limits is None or "admin" in self.scopes:
            return dict(limits)
        from kugetsu.app.service import bounded_limits  # noqa: PLC0415 - heavy; only a server needs it, and has it

        return bounded_limits(limits, self.limits)

    def require(self, scope: Scope) -> None:
        """Look whether the caller may do what needs this scope.

        Raises:
            AccessError: he may not.
        """
        if scope not in self.scopes and "admin" not in self.scopes:
            raise AccessError(
                f"this needs the scope `{scope}`, and the token has {', '.join(sorted(self.scopes)) or 'none'}",
                fix="use a token that has it: kugetsu token add",
            )


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a call gives back.

    Attributes:
        text: for models.
        answer: for programs; None when it failed.
    """

    text: str
    answer: msgspec.Struct | None = None


@dataclass(frozen=True, kw_only=True)
class McpTool:
    """One thing that can be done over MCP.

    Attributes:
        scope: what a caller needs for it.
        arguments: what it is told.
        answer: what it gives back.
        run: does it; raises `KugetsuError`.
        reads_only: changes nothing.
        destroys: may end something that goes on.
        repeatable: said twice, it is done once.
    """

    name: str
    title: str
    description: str
    scope: Scope
    arguments: type[msgspec.Struct]
    answer: type[msgspec.Struct]
    run: Callable[[Any, Call], Awaitable[Reply]] = field(repr=False)
    reads_only: bool = False
    destroys: bool = False
    repeatable: bool = False


async def do(
    tools: Mapping[str, McpTool], name: str, arguments: Mapping[str, Any], opening: AbstractAsyncContextManager[Call]
) -> Reply:
    """Call a tool with what is opened for it. Never raises anything but `CancelledError`."""
    try:
        tool = _find(tools, name)
        async with opening as call:
            call.require(tool.scope)
            return await tool.run(_decode(tool, arguments), call)
    except KugetsuError as error:
        return Reply(text=in_words(error))
    except Exception:  # noqa: BLE001 - clients give up a server after a few protocol errors; what it was is logged
        _log.exception("the MCP tool %s failed", name[:100])
        return Reply(text="Something went wrong inside Kugetsu; its log says what. Trying the same again may not help.")


def _find(tools: Mapping[str, McpTool], name: str) -> McpTool:
    """Look up a tool.

    Raises:
        UsageError: there is none of this name.
    """
    if (tool := tools.get(name)) is None:
        raise UsageError(f"there is no tool {name[:100]!a}", fix=f"the tools are {', '.join(tools)}")
    return tool


def in_words(error: KugetsuError) -> str:
    """An error as a model reads it: what is wrong, and what to do."""
    text = error.message
    if isinstance(error, QueueFullError):
        text += f" (try again in {error.retry_after:.0f} s)"
    return f"{text}\nWhat to do: {error.fix}" if error.fix else text


def _decode(tool: McpTool, arguments: Mapping[str, Any]) -> Any:  # noqa: ANN401 - of the type that the tool names
    """Read arguments. Numbers written as text are accepted, and null for what may be left out.

    Raises:
        UsageError: they do not fit; the message says what the tool takes.
    """
    given = {name: value for name, value in arguments.items() if value is not None}
    takes = tool.arguments.__struct_fields__
    if unknown := [name for name in given if name not in takes]:
        raise UsageError(f"{tool.name} takes no `{unknown[0][:100]}`", fix=f"it takes {', '.join(takes)}")
    try:
        return msgspec.convert(given, tool.arguments, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"the arguments of {tool.name} do not fit: {error}", fix=f"it takes {', '.join(takes)}"
        ) from error
