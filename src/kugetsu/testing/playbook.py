"""Which entry of a script serves a request, and what goes wrong with it."""

import hashlib
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from kugetsu.config import Wire
from kugetsu.context import SUMMARY_SYSTEM, taken_out
from kugetsu.rehearsal import Script, ScriptedTurn
from kugetsu.testing.faults import Fault, fault_of
from kugetsu.testing.streams import reply_events

Order: TypeAlias = Literal["sequence", "conversation"]
"""How entries of a script are served: one by one to whoever asks, or by how many replies a conversation has already."""


class _Message(msgspec.Struct):
    role: str


class _Request(msgspec.Struct):
    messages: list[_Message]
    tools: list[msgspec.Raw] = []


class Answer(msgspec.Struct, frozen=True):
    """What a request gets.

    Attributes:
        turn: the entry that serves it.
        place: of the entry in its script, or among its summaries.
        fault: what goes wrong; None for nothing.
        summary: whether a summary was asked for.
    """

    turn: ScriptedTurn
    place: int
    fault: Fault | None = None
    summary: bool = False


_SUMMARY: Final = SUMMARY_SYSTEM.encode()

_roles = msgspec.json.Decoder(_Request)


class Playbook:
    """A script and the faults of its server.

    Args:
        script: what is said.
        order: how its entries are served.
        faults: by number of the request, from 0; over the failures of the script.
    """

    def __init__(self, script: Script, order: Order, faults: Mapping[int, Fault]) -> None:
        self._script = script
        self._order: Order = order
        self._faults = dict(faults)
        self._requests = self._served = self._summarised = 0
        self._tries: dict[bytes, int] = {}
        self._events: dict[tuple[Wire, bool, int], list[bytes]] = {}

    def next(self, wire: Wire, body: bytes) -> Answer:
        """What a request gets."""
        fault = self._faults.get(self._requests)
        self._requests += 1
        request = _roles.decode(body)
        if summary := not request.tools and _SUMMARY in body:
            place = self._summarised
            self._summarised += not (fault and fault.replaces)
            turn = self._script.summary(place)
        else:
            place = self._turn_place(request, body, fault)
            turn = self._script.turn(place)
        failed = fault_of(turn.fail, wire, turn.retry_after) if turn.fail else None
        return Answer(turn, place, fault or failed, summary)

    def events(self, wire: Wire, answer: Answer) -> list[bytes]:
        """The reply of an entry, written once."""
        last = len(self._script.summaries if answer.summary else self._script.turns)
        key = wire, answer.summary, min(answer.place, last)
        if key not in self._events:
            self._events[key] = reply_events(wire, answer.turn, key[2])
        return self._events[key]

    def _turn_place(self, request: _Request, body: bytes, fault: Fault | None) -> int:
        if self._order == "conversation":
            return self._following(request, body)
        place = self._served
        self._served += not (fault and fault.replaces)
        return place

    def _following(self, request: _Request, body: bytes) -> int:
        """The entry that follows from a conversation: behind as many replies as it holds, or held."""
        replies = sum(message.role == "assistant" for message in request.messages) + taken_out(body)
        place = self._script.behind(replies)
        failing = place
        while self._script.turn(failing).fail:
            failing += 1
        return place if failing == place else min(failing, place + self._tried(body))

    def _tried(self, body: bytes) -> int:
        """How often this very request came before: a retry sends the same bytes again."""
        mark = hashlib.blake2b(body, digest_size=16).digest()
        tries = self._tries.get(mark, 0)
        self._tries[mark] = tries + 1
        return tries
