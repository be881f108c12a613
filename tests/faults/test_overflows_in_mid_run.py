"""A conversation does not fit, in the words of every provider and at every turn: something gives way, and the run goes on."""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import pytest

from context.test_overflow_words import WORDINGS
from faults.fault_lab import TURNS, WIRES, Diary, all_of, lines_of, paths, script_of, stage
from faults.storm_lab import SOURCE, check_whole, most_tries, own
from kugetsu.agent import RetryPolicy
from kugetsu.config import Wire
from kugetsu.context import read_overflow
from kugetsu.errors import ModelError
from kugetsu.sessions import Session
from kugetsu.testing import Fault

SCRIPT = script_of()
WINDOW: Final = 6_000
PROMPT: Final = 7_000
"""What providers say of a window that was believed to be five times as large."""

MOST: Final = RetryPolicy().attempts

NGINX: Final = b"<html><head><title>413 Request Entity Too Large</title></head><body>nginx</body></html>"
NUMBERED: Final = f"prompt is too long: {PROMPT} tokens > {WINDOW} maximum"
UNNUMBERED: Final = "Please reduce the length of the messages or completion."

pytestmark = pytest.mark.parametrize("wire", WIRES)


def said(words: str, **fields: int) -> bytes:
    return msgspec.json.encode(
        {"type": "error", "error": {"type": "invalid_request_error", "message": words, **fields}}
    )


def worded(words: str, window: int, prompt: int) -> str:
    """The same words with our numbers."""
    for number, own_number in ((window, WINDOW), (prompt, PROMPT)):
        if number:
            words = words.replace(f"{number:,}", f"{own_number:,}").replace(str(number), str(own_number))
    told = read_overflow(words)
    assert (told.window, told.prompt) == (WINDOW if window else 0, PROMPT if prompt else 0)
    return words


async def play(
    wire: Wire, file: Path, faults: Mapping[int, Fault], *, window: int = 5 * WINDOW
) -> tuple[ModelError | None, int]:
    """How a run ends, and the most requests for one reply. Whatever happens, what was done is whole and was done once."""
    async with stage(wire, SCRIPT, faults, window=window) as there:
        writer = there.writer(Diary(file, SOURCE[:8_000]))
        error = await writer.failure()
        if error is None:
            check_whole(writer, SCRIPT)
        session = Session(writer.journal.entries)
        assert session.open is None
        assert writer.diary.lines == lines_of(SCRIPT)[: 2 * session.turn]
        return error, most_tries(own(there.server.requests, writer.prompt))


def every_wording() -> Iterator[Fault]:
    for words, window, prompt in WORDINGS:
        body = said(worded(words, window, prompt))
        yield Fault("status", 400, body=body)
        yield Fault("stream_error", body=body, after=0)
    yield Fault("status", 413, body=NGINX)
    yield Fault("status", 413, body=said(NUMBERED))
    yield Fault("status", 400, body=said("the request exceeds the context size", n_ctx=WINDOW, n_prompt_tokens=PROMPT))


async def test_every_wording_of_an_overflow_makes_room_and_the_call_is_made_once_more(
    wire: Wire, tmp_path: Path
) -> None:
    files = paths(tmp_path)
    ends = await all_of(partial(play, wire, next(files), {4: fault}) for fault in every_wording())
    assert set(ends) == {(None, 2)}


@pytest.mark.parametrize("words", [NUMBERED, UNNUMBERED])
async def test_an_overflow_at_any_turn_is_survived_once_there_is_something_to_give_way(
    wire: Wire, words: str, tmp_path: Path
) -> None:
    files = paths(tmp_path)
    fault = Fault("status", 400, body=said(words))
    ends = await all_of(partial(play, wire, next(files), {turn: fault}) for turn in range(TURNS))
    if words is UNNUMBERED:  # before anything was done, there is nothing but what the user said
        error, tries = ends.pop(0)
        assert error is not None
        assert (error.kind, tries) == ("context_overflow", 1)
    assert set(ends) == {(None, 2)}


@pytest.mark.parametrize("window", [256, 300, 2_000, 30_001, 20_000_000])
async def test_a_window_that_makes_no_sense_ends_the_run_with_its_class_at_worst(
    wire: Wire, window: int, tmp_path: Path
) -> None:
    files = paths(tmp_path)
    fault = Fault("status", 400, body=said(f"prompt is too long: {window + 1} tokens > {window} maximum"))
    for error, tries in await all_of(partial(play, wire, next(files), {turn: fault}) for turn in range(TURNS)):
        assert error is None or error.kind == "context_overflow"
        assert tries <= 2


@pytest.mark.parametrize("words", [NUMBERED, UNNUMBERED])
async def test_a_provider_to_whom_everything_is_too_long_ends_the_run(wire: Wire, words: str, tmp_path: Path) -> None:
    fault = Fault("status", 400, body=said(words))
    error, tries = await play(wire, tmp_path / "diary", dict.fromkeys(range(3, 999), fault))
    assert error is not None
    assert (error.kind, tries) == ("context_overflow", 2)


def disturbed(before: int, tries: int) -> dict[int, Fault]:
    """So many calls fail one after the other, one of them because the conversation is too long."""
    overflow, down = Fault("status", 400, body=said(NUMBERED)), Fault("status", 500)
    return {4 + number: overflow if number == before else down for number in range(tries)}


async def test_between_other_failures_an_overflow_is_survived(wire: Wire, tmp_path: Path) -> None:
    files = paths(tmp_path)
    for before in range(MOST):
        assert await play(wire, next(files), disturbed(before, MOST)) == (None, MOST + 1)


async def test_between_failures_without_end_an_overflow_costs_one_try_more(wire: Wire, tmp_path: Path) -> None:
    files = paths(tmp_path)
    for before in range(MOST):
        error, tries = await play(wire, next(files), disturbed(before, 99))
        assert error is not None
        assert (error.kind, tries) == ("overloaded", MOST + 1)
