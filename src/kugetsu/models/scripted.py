"""The rehearsal model: says what a script says. It costs nothing and never touches the network."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final, TypeAlias

from kugetsu.context import SUMMARY_SYSTEM
from kugetsu.errors import ModelError
from kugetsu.messages import (
    AssistantMessage,
    Delta,
    Message,
    ReplyEnd,
    StopReason,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    Usage,
    encode_json,
)
from kugetsu.protocols import Clock, ModelInfo, ModelRequest
from kugetsu.rehearsal import Script, ScriptedCall, ScriptedTurn

_LONGEST_REPLY: Final = 32_000
_PIECES: Final = 4


Places: TypeAlias = dict[str, tuple[int, int]]
"""Where each conversation stands in a script: how many replies it held when it last asked, and which entry that gave."""


class ScriptedModel:
    """Replies with the entries of a script, one a call, then with `done` for ever. Implements `protocols.Model`.

    Asked for a summary, it gives those of the script, one a call and from the first one on, then `NOTES` for ever.

    Unlike other models it is for one conversation. A conversation that goes on after a crash, or is put back, gets the
    entry that follows from how many replies it holds; entries that fail are then left behind once they have failed.

    Args:
        script: what it says.
        name: usually `scripted:` and the name of a file.
        clock: its delays are waited for here.
        places: shared by all who play this script, so that a second attempt gets past what failed in the first.
    """

    def __init__(self, script: Script, name: str, clock: Clock, places: Places | None = None) -> None:
        self.name = name
        self.info = ModelInfo(script.window, min(_LONGEST_REPLY, script.window), images=True, priced=True)
        self._script = script
        self._clock = clock
        self._places: Places = {} if places is None else places
        self._next = self._summarised = 0

    async def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Stream the next entry, or fail as it says. An entry counts as used from the moment it is asked for.

        Raises:
            ModelError: the entry rehearses a failure.
        """
        summary = request.system == SUMMARY_SYSTEM
        place, turn = self._summary() if summary else self._entry(request)
        if turn.delay:
            await self._clock.sleep(turn.delay)
        if turn.fail:
            what = "summary" if summary else "entry"
            told = f"{self.name}: rehearsed failure `{turn.fail}` of {what} {place + 1}"
            raise ModelError(turn.fail, told, retry_after=turn.retry_after)
        for delta in _deltas(turn, place, _call_ids(request.messages)):
            yield delta

    def _entry(self, request: ModelRequest) -> tuple[int, ScriptedTurn]:
        place = self._place(request)
        return place, self._script.turn(place)

    def _summary(self) -> tuple[int, ScriptedTurn]:
        place, self._summarised = self._summarised, self._summarised + 1
        return place, self._script.summary(place)

    def _place(self, request: ModelRequest) -> int:
        """The entry that comes next."""
        if request.replies is None:
            place, self._next = self._next, self._next + 1
            return place
        replies, place = self._places.get(request.conversation, (-1, 0))
        if replies == request.replies:
            place += self._script.turn(place).fail is not None
        else:
            place = self._script.behind(request.replies)
        self._places[request.conversation] = request.replies, place
        return place


def _deltas(turn: ScriptedTurn, place: int, taken: set[str]) -> Iterator[Delta]:
    if turn.thinking:
        yield ThinkingDelta(turn.thinking, closes=True)
    length = -(-len(turn.text) // _PIECES)
    for start in range(0, len(turn.text), length or 1):
        yield TextDelta(turn.text[start : start + length])
    for number, call in enumerate(turn.tool_calls):
        call_id = _unique(call.id or f"call_{place + 1}_{number + 1}", taken)
        yield ToolCallDelta(number, call_id, call.name, _arguments(call))
    used = turn.usage
    usage = Usage(used.input, used.output, used.cached, used.cost_usd)
    stop: StopReason = "tool_calls" if turn.tool_calls else "end"
    yield ReplyEnd("length" if turn.stop == "length" else stop, usage)


def _arguments(call: ScriptedCall) -> str:
    return call.arguments if isinstance(call.arguments, str) else encode_json(call.arguments).decode()


def _call_ids(messages: Sequence[Message]) -> set[str]:
    return {call.id for message in messages if isinstance(message, AssistantMessage) for call in message.calls}


def _unique(wanted: str, taken: set[str]) -> str:
    """The wanted id, with a number behind it where the conversation has it already."""
    call_id, number = wanted, 2
    while call_id in taken:
        call_id, number = f"{wanted}_{number}", number + 1
    taken.add(call_id)
    return call_id
