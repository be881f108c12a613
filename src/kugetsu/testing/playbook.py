"""Which entry of a script serves a request, and what goes wrong with it."""

import hashlib
from collections.abc import Mapping
from typing import Literal, TypeAlias

import msgspec

from kugetsu.config import Wire
from kugetsu.rehearsal import AFTER_THE_LAST, Script, ScriptedTurn
from kugetsu.testing.faults import Fault, fault_of
from kugetsu.testing.streams import reply_events

Order: TypeAlias = Literal["sequence", "conversation"]
"""How entries of a script are served: one by one to whoever asks, or by how many replies a conversation has already."""


class _Message(msgspec.Struct):
    role: str


class _Request(msgspec.Struct):
    messages: list[_Message]


_roles = msgspec.json.Decoder(_Request)


class Playbook:
    """A script and the faults of its server.

    Args:
        script: what is said.
        order: how its entries are served.
        faults: by number of the request, from 0; over the failures of the script.
    """

    def __init__(self, script: Script, order: Order, faults: Mapping[int, Fault]) -> None:
        self._turns = script.turns
        self._order: Order = order
        self._faults = dict(faults)
        self._requests = 0
        self._served = 0
        self._tries: dict[bytes, int] = {}
        self._events: dict[tuple[Wire, int], list[bytes]] = {}

    def next(self, wire: Wire, body: bytes) -> tuple[int, Fault | None]:
        """The entry that serves a request, by its place in the script, and what goes wrong."""
        fault = self._faults.get(self._requests)
        self._requests += 1
        if self._order == "conversation":
            place = self._place(body)
        else:
            place = self._served
            self._served += not (fault and fault.replaces)
        turn = self.turn(place)
        return place, fault or (fault_of(turn.fail, wire, turn.retry_after) if turn.fail else None)

    def turn(self, place: int) -> ScriptedTurn:
        """The entry at a place; after the last the text `done`."""
        return self._turns[place] if place < len(self._turns) else AFTER_THE_LAST

    def events(self, wire: Wire, place: int) -> list[bytes]:
        """The reply of an entry, written once."""
        key = wire, min(place, len(self._turns))
        if key not in self._events:
            self._events[key] = reply_events(wire, self.turn(place), key[1])
        return self._events[key]

    def _place(self, body: bytes) -> int:
        """The entry that follows from a conversation: behind as many replies as it holds."""
        replies = sum(message.role == "assistant" for message in _roles.decode(body).messages)
        place = 0
        while replies and place < len(self._turns):
            replies -= self._turns[place].fail is None
            place += 1
        failing = place
        while self.turn(failing).fail:
            failing += 1
        return place if failing == place else min(failing, place + self._tried(body))

    def _tried(self, body: bytes) -> int:
        """How often this very request came before: a retry sends the same bytes again."""
        mark = hashlib.blake2b(body, digest_size=16).digest()
        tries = self._tries.get(mark, 0)
        self._tries[mark] = tries + 1
        return tries
