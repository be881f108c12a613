"""Where a user's own code may look into a run and change what it does."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from kugetsu.events import Event
from kugetsu.messages import Message, ToolCall
from kugetsu.protocols import ToolOutput


class Refusal(msgspec.Struct, frozen=True):
    """A tool call must not run. The model is told why."""

    reason: str


BeforeToolCall: TypeAlias = Callable[[ToolCall], Awaitable[Refusal | ToolCall | None]]
"""Sees a call before anything is done. A `Refusal` blocks it, a `ToolCall` gives it other arguments (id and tool stay),
None lets it run. If the hook raises, the call is refused."""

AfterToolCall: TypeAlias = Callable[[ToolCall, ToolOutput], Awaitable[ToolOutput | None]]
"""Sees what a call gave. A `ToolOutput` takes its place, None keeps it. If the hook raises, the model gets an error."""

TransformContext: TypeAlias = Callable[[Sequence[Message]], Awaitable[Sequence[Message]]]
"""Sees the conversation before each model call, and once more whenever something in it gave way, and returns what is sent
instead; what is kept does not change. Its result is what has to fit the window. Every tool call that stays must keep its
result. If the hook raises, the run fails."""

OnEvent: TypeAlias = Callable[[Event], Awaitable[None]]
"""Sees every event, in order, beside the loop: it may be slow (the oldest events are then dropped and counted) and it may
raise (that is noted)."""


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """The hooks of one shadow; each may be left out."""

    before_tool_call: BeforeToolCall | None = None
    after_tool_call: AfterToolCall | None = None
    transform_context: TransformContext | None = None
    on_event: OnEvent | None = None
