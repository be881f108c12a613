"""The tool that shows again what a conversation held."""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from kugetsu.context import transcript
from kugetsu.errors import RecordError, ToolError
from kugetsu.messages import AssistantMessage, Image, Message, encode_json
from kugetsu.protocols import ToolContext, ToolKind, ToolOutput
from kugetsu.tools.truncation import MAX_BYTES, MAX_LINES, FirstLine, MostLines, split_lines, truncate_head

_MOST_OF_A_TURN: Final = 8_000
"""Tokens of a turn that are shown."""

_MOST_CALLS: Final = 100
"""Calls of a turn that are listed."""


class RecallArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which call, and which lines of what it gave; or which turn."""

    call: Annotated[str | None, Meta(description="Id of a call, as the note in its place says.")] = None
    turn: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="Instead of `call`: number of a turn; shows what was said and called in it, shortened."),
    ] = None
    offset: FirstLine = None
    limit: MostLines = None


class RecallTool:
    """Shows the result of an earlier call, or a whole turn, of which only a note is left in the conversation."""

    name: Final = "recall"
    description: Final = (
        "Show something again that was taken out of this conversation. Name the call whose output a note stands for, or a turn "
        "that only a summary stands for. It is as it was then; to see how a file is now, read it. Lines from `offset`, up to "
        f"{MAX_LINES} lines or {MAX_BYTES // 1024}KB."
    )
    arguments = RecallArguments
    kind: Final[ToolKind] = "read"

    async def run(self, arguments: RecallArguments, context: ToolContext) -> ToolOutput:
        """Look it up.

        Raises:
            ToolError: there is none, it ends before `offset`, or it is not said which.
        """
        if (arguments.call is None) == (arguments.turn is None):
            raise ToolError("Name either a `call` or a `turn`")
        try:
            if arguments.turn is not None:
                return ToolOutput.of(_turn(await context.memory.turn(arguments.turn), arguments.turn))
            result = await context.memory.result(arguments.call or "")
        except RecordError as error:
            what = f"turn {arguments.turn}" if arguments.turn else f"the call {arguments.call!r}"
            raise ToolError(f"What {what} gave cannot be read: {error}") from error
        if result is None:
            raise ToolError(f"There is no result of a call {arguments.call!r} in this conversation")
        if any(isinstance(block, Image) for block in result.content):
            return ToolOutput(result.content)
        return ToolOutput.of(_lines(result.text, max(1, arguments.offset or 1), arguments.limit or MAX_LINES))


def _turn(messages: Sequence[Message], number: int) -> str:
    """A turn in short, and how to see more of it."""
    if not messages:
        raise ToolError(f"There is no turn {number} in this conversation")
    calls = [call for message in messages if isinstance(message, AssistantMessage) for call in message.calls]
    more = "".join(f"\n- {call.name}: {encode_json({'call': call.id}).decode()}" for call in calls[:_MOST_CALLS])
    if len(calls) > _MOST_CALLS:
        more += f"\n- and {len(calls) - _MOST_CALLS:,} more"
    shown = transcript(messages, _MOST_OF_A_TURN)
    return f"{shown}\n\n[To see all that a call gave, recall it:{more}]" if calls else shown


def _lines(text: str, first: int, most: int) -> str:
    lines = split_lines(text)
    if first > max(1, len(lines)):
        raise ToolError(f"Offset {first} is beyond the end of the result ({len(lines)} lines)")
    shown = truncate_head("\n".join(lines[first - 1 :]), min(most, MAX_LINES))
    if shown.first_too_long:
        return (
            f"{lines[first - 1][:MAX_BYTES]}\n\n[Line {first} is longer than this. Use offset={first + 1} to continue.]"
        )
    last = first + shown.lines - 1
    if last >= len(lines):
        return shown.content
    return f"{shown.content}\n\n[Showing lines {first}-{last} of {len(lines)}. Use offset={last + 1} to continue.]"
