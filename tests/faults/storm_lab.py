"""Storms: half of all calls fail, in ways that chance chooses; and what must hold of the agents that come through one."""

import os
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from faults.fault_kinds import broken_replies, error_statuses
from faults.fault_lab import Stage, Writer, lines_of
from kugetsu.context import SUMMARY_SYSTEM, taken_out
from kugetsu.errors import RETRYABLE
from kugetsu.rehearsal import Script
from kugetsu.sessions import Finished, Replied, Session
from kugetsu.testing import Fault, RecordedRequest

SEEDS: Final = range(int(os.environ.get("KUGETSU_STORM_SEEDS", "1")))
"""What chance begins with; more of them make a longer test."""

SOURCE: Final = (Path(__file__).parents[1] / "context" / "samples" / "agent_python.txt").read_text(encoding="utf-8")

_HALF: Final = 0.5
_MOST_REQUESTS: Final = 20_000
_PLACES: Final = (0, 1, 2, 4, None)
"""Where replies break; also the shortest has more events."""

_KINDS: Final = ("status", "broken", "stall")
_WEIGHTS: Final = (10, 10, 1)
"""Silence takes its time."""

_MOST_RUNS: Final = 12
_NOTES_TRIES: Final = 3


def storm(seed: int, *, waits: bool = True) -> dict[int, Fault]:
    """Faults of half of all requests.

    Args:
        seed: of chance.
        waits: whether some ask for a wait of a second or more.
    """
    chance = random.Random(seed)  # noqa: S311 - no secret, but the same every time
    errors = [fault for label, fault in error_statuses().items() if waits or not label.startswith(("retry", "a wait"))]
    return {number: _fault(chance, errors) for number in range(_MOST_REQUESTS) if chance.random() < _HALF}


def _fault(chance: random.Random, errors: Sequence[Fault]) -> Fault:
    place = chance.choice(_PLACES)
    match chance.choices(_KINDS, _WEIGHTS)[0]:
        case "status":
            return chance.choice(errors)
        case "broken":
            return msgspec.structs.replace(chance.choice(list(broken_replies(0).values())), after=place)
        case _:
            return Fault("stall", after=place)


async def live_through(writer: Writer, there: Stage) -> list[str]:
    """Run until it is done, as a queue would; the classes of the runs that failed on the way."""
    ends: list[str] = []
    while len(ends) < _MOST_RUNS:
        begun = len(there.server.requests)
        error = await writer.failure()
        assert most_tries(own(there.server.requests[begun:], writer.prompt)) <= writer.retry.attempts
        if error is None:
            return ends
        assert error.kind in RETRYABLE, str(error)
        ends.append(error.kind)
        await there.clock.sleep(error.retry_after or 1.0)
    raise AssertionError(f"it never came through: {ends}")


def own(requests: Sequence[RecordedRequest], prompt: str) -> list[bytes]:
    """The requests of one conversation."""
    bodies = [msgspec.json.encode(request.body) for request in requests]
    return [body for body in bodies if prompt.encode() in body and SUMMARY_SYSTEM.encode() not in body]


def most_tries(bodies: Sequence[bytes]) -> int:
    """The most requests for one and the same reply of a conversation."""
    return max(Counter(body.count(b'"role":"assistant"') + taken_out(body) for body in bodies).values(), default=0)


def check_notes(requests: Sequence[RecordedRequest]) -> None:
    """Notes are asked for no more often than the summarizer may."""
    asked = [body for request in requests if SUMMARY_SYSTEM.encode() in (body := msgspec.json.encode(request.body))]
    assert asked, "nobody asked for notes: the storm was too short"
    assert max(Counter(asked).values()) <= _NOTES_TRIES


def check_whole(writer: Writer, script: Script) -> None:
    """Every reply is there once, word for word and in order; every call ran once, and has one result."""
    entries = writer.journal.entries
    replies = [entry.message for entry in entries if isinstance(entry, Replied)]
    assert [reply.text for reply in replies] == [turn.text for turn in script.turns]
    assert [[call.name for call in reply.calls] for reply in replies] == [
        [call.name for call in turn.tool_calls] for turn in script.turns
    ]
    answered = Counter(entry.result.call_id for entry in entries if isinstance(entry, Finished))
    assert answered == Counter(call.id for reply in replies for call in reply.calls)
    assert not any(entry.result.is_error for entry in entries if isinstance(entry, Finished))
    assert writer.diary.lines == lines_of(script)
    assert Session(entries).open is None


def share(requests: int, needed: int) -> float:
    """The share of requests that failed."""
    return (requests - needed) / requests
