"""One failure of a provider at each turn of a run, of every kind and at every place of a reply: nothing is lost or done twice."""

from collections.abc import Awaitable, Callable, Container, Iterator
from functools import partial
from pathlib import Path

import pytest

from faults.fault_kinds import FINAL, broken_replies, error_statuses, places_of, whole_at
from faults.fault_lab import IDLE_SECONDS, TURNS, WIRES, Diary, all_of, last_words, lines_of, paths, script_of, stage
from kugetsu.config import Wire
from kugetsu.messages import Message
from kugetsu.sessions import Session
from kugetsu.testing import Fault

SCRIPT = script_of()

pytestmark = pytest.mark.parametrize("wire", WIRES)


async def undisturbed(wire: Wire, file: Path) -> list[Message]:
    """The conversation of a run in which nothing fails."""
    async with stage(wire, SCRIPT) as there:
        writer = there.writer(Diary(file))
        await writer.run()
        assert (len(there.server.requests), writer.diary.lines) == (TURNS, lines_of(SCRIPT))
        return writer.conversation


class Case:
    """A run in which one request fails."""

    def __init__(self, wire: Wire, expected: list[Message], files: Iterator[Path]) -> None:
        self._wire: Wire = wire
        self._expected = expected
        self._files = files

    async def play(
        self, label: str, turn: int, fault: Fault, *, tries: Container[int] = (2,), idle_seconds: float = 30.0
    ) -> list[str]:
        """What is wrong with the run. `tries`: how often the call that fails may be made."""
        async with stage(self._wire, SCRIPT, {turn: fault}, idle_seconds=idle_seconds) as there:
            writer = there.writer(Diary(next(self._files)))
            said = await writer.run()
            requests = len(there.server.requests)
            wrong = {
                "last words": said != last_words(),
                "conversation": writer.conversation != self._expected,
                "effects": writer.diary.lines != lines_of(SCRIPT),
                f"{requests} requests": requests - TURNS + 1 not in tries,
                "retries are not told": len(writer.retried) != requests - TURNS,
                f"{there.clock.monotonic()} seconds": there.clock.monotonic() > 70,
            }
            return [f"{label} at turn {turn}: {what}" for what, so in wrong.items() if so]

    async def silence(self, turn: int, place: int, *, whole: bool) -> list[str]:
        """The same, of a reply that falls silent after so many events. One that is whole lacks nothing."""
        fault, label = Fault("stall", after=place), f"silence after {place} events"
        if whole:
            return await self.play(label, turn, fault, tries=(1,), idle_seconds=2 * IDLE_SECONDS)
        # What is slow for another reason is tried again too.
        return await self.play(label, turn, fault, tries=range(2, 6), idle_seconds=IDLE_SECONDS)


def tries_of(wire: Wire, turn: int, place: int) -> range:
    """How often a reply is asked for that breaks after so many events: of one that has said why it ends nothing is missing."""
    return range(2, 3) if place < whole_at(wire, SCRIPT.turns[turn]) else range(1, 3)


Play = Callable[[], Awaitable[list[str]]]


async def wrong(plays: Iterator[Play]) -> list[str]:
    return [told for one in await all_of(plays) for told in one]


async def test_an_error_instead_of_a_reply_leaves_no_trace(wire: Wire, tmp_path: Path) -> None:
    files = paths(tmp_path)
    case = Case(wire, await undisturbed(wire, next(files)), files)
    plays = (
        partial(case.play, label, turn, fault) for label, fault in error_statuses().items() for turn in range(TURNS)
    )
    assert await wrong(plays) == []


async def test_a_reply_that_breaks_at_any_place_leaves_no_trace(wire: Wire, tmp_path: Path) -> None:
    files = paths(tmp_path)
    case = Case(wire, await undisturbed(wire, next(files)), files)
    plays = (
        partial(case.play, f"{label} after {place} events", turn, fault, tries=tries_of(wire, turn, place))
        for turn in range(TURNS)
        for place in places_of(wire, SCRIPT.turns[turn])
        for label, fault in broken_replies(place).items()
    )
    assert await wrong(plays) == []


async def test_a_reply_that_falls_silent_at_any_place_leaves_no_trace(wire: Wire, tmp_path: Path) -> None:
    files = paths(tmp_path)
    case = Case(wire, await undisturbed(wire, next(files)), files)
    plays = (
        partial(case.silence, turn, place, whole=place >= whole_at(wire, SCRIPT.turns[turn]))
        for turn in range(TURNS)
        for place in places_of(wire, SCRIPT.turns[turn])
    )
    assert await wrong(plays) == []


async def test_a_reply_that_drips_byte_by_byte_is_no_failure(wire: Wire, tmp_path: Path) -> None:
    files = paths(tmp_path)
    case = Case(wire, await undisturbed(wire, next(files)), files)
    assert await wrong(partial(case.play, "drip", turn, Fault("drip"), tries=(1,)) for turn in range(TURNS)) == []


@pytest.mark.parametrize("label", FINAL)
async def test_what_does_not_pass_ends_the_run_with_its_class_and_a_later_one_goes_on(
    wire: Wire, label: str, tmp_path: Path
) -> None:
    fault, kind = FINAL[label]
    files = paths(tmp_path)
    expected = await undisturbed(wire, next(files))

    async def play(turn: int) -> None:
        async with stage(wire, SCRIPT, {turn: fault}) as there:
            writer = there.writer(Diary(next(files)))
            error = await writer.failure()
            assert error is not None
            assert (error.kind, len(there.server.requests), writer.retried) == (kind, turn + 1, [])
            # What was done before is whole, and nothing else was done.
            session = Session(writer.journal.entries)
            assert (session.turn, session.open) == (turn, None)
            assert writer.conversation == expected[: len(writer.conversation)]
            assert writer.diary.lines == lines_of(SCRIPT)[: 2 * turn]
            there.clock.advance(7_200)
            assert await writer.run() == last_words()
            assert writer.conversation == expected
            assert writer.diary.lines == lines_of(SCRIPT)
            assert len(there.server.requests) == TURNS + 1

    await all_of(partial(play, turn) for turn in range(TURNS))
