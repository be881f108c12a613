"""Which tool call a fragment belongs to, although servers number and name fragments in many ways.

OpenAI gives each call its own `index` and sends id and name once. Others send every call with index 0 (Ollama, several
gateways), leave the index out (older Ollama, Gemini), count from 1, repeat id and name in every fragment, make up a new
id for each fragment, or give no id at all.
"""

import msgspec

from kugetsu.messages import ToolCallDelta
from kugetsu.models.call_ids import CallIds
from kugetsu.models.encoding import is_object
from kugetsu.models.openai_chunks import CallPiece, FunctionPiece


class _Call:
    """A call whose fragments are coming in."""

    __slots__ = ("arguments", "given_id", "name", "number")

    def __init__(self, number: int, given_id: str) -> None:
        self.number = number
        self.given_id = given_id
        self.name = ""
        self.arguments: list[str] = []


class CallPieces:
    """Sorts the fragments of one reply's calls, and gives each call an id."""

    __slots__ = ("_calls", "_ids", "_latest")

    def __init__(self) -> None:
        self._calls: list[_Call] = []
        self._latest: dict[int | None, _Call] = {}
        self._ids = CallIds()

    def __bool__(self) -> bool:
        return bool(self._calls)

    def take(self, piece: CallPiece) -> ToolCallDelta:
        """Take the next fragment."""
        function = piece.function or FunctionPiece()
        name, arguments = function.name or "", _text(function.arguments)
        call, new_id = self._latest.get(piece.index), ""
        if call is not None and _repeats(call, piece.id, arguments):
            arguments = ""
        if call is None or _begins_another(call, piece.id or "", name, arguments):
            call = self._latest[piece.index] = _Call(len(self._calls), piece.id or "")
            self._calls.append(call)
            new_id = self._ids.take(call.given_id)
        call.name = call.name or name
        call.arguments.append(arguments)
        return ToolCallDelta(call.number, new_id, name, arguments)


def _begins_another(call: _Call, given_id: str, name: str, arguments: str) -> bool:
    """Whether a fragment under the number of a known call is the first of another call."""
    if not name or not call.name:
        return False
    if name != call.name or (given_id and given_id != call.given_id):
        return True
    return bool(arguments) and is_object("".join(call.arguments))


def _repeats(call: _Call, given_id: str | None, arguments: str) -> bool:
    """Whether a fragment says all of a call again, as the last chunk of some servers does."""
    if not given_id or given_id != call.given_id or not arguments.startswith("{"):
        return False
    return arguments == "".join(call.arguments) and is_object(arguments)


def _text(arguments: str | dict[str, object] | None) -> str:
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return msgspec.json.encode(arguments).decode()
