"""A provider that fails for ever, or for long: a run ends after so many requests and so much time, with the right class."""

import asyncio
import itertools
import time
from functools import partial
from pathlib import Path

import pytest

from faults.fault_lab import (
    IDLE_SECONDS,
    PROMPT,
    WIRES,
    Diary,
    all_of,
    last_words,
    lines_of,
    longest_waits,
    script_of,
    stage,
)
from faults.storm_lab import SOURCE, check_whole, live_through
from kugetsu.agent import RetryPolicy
from kugetsu.config import Wire
from kugetsu.errors import MODEL_FAILURES, RETRYABLE, ModelFailure
from kugetsu.events import CompactionFailed
from kugetsu.rehearsal import Script
from kugetsu.sessions import Session
from kugetsu.testing import Fault, ScriptedServer
from kugetsu.testing.faults import fault_of

SCRIPT = script_of()
BEFORE = 2
"""Turns that go well."""

pytestmark = pytest.mark.parametrize("wire", WIRES)


def for_ever(fault: Fault, first: int = 0) -> dict[int, Fault]:
    return dict.fromkeys(range(first, 1_000), fault)


def policy(attempts: int) -> RetryPolicy:
    return RetryPolicy(attempts=attempts)


@pytest.mark.parametrize("attempts", [1, 6])
@pytest.mark.parametrize("kind", MODEL_FAILURES)
async def test_a_provider_that_fails_for_ever_ends_the_run_in_bounded_requests_and_time(
    wire: Wire, kind: ModelFailure, attempts: int, tmp_path: Path
) -> None:
    retry = policy(attempts)
    faults = for_ever(fault_of(kind, wire), BEFORE)
    async with stage(wire, SCRIPT, faults, idle_seconds=IDLE_SECONDS, retry=retry) as there:
        writer = there.writer(Diary(tmp_path / "diary"))
        begun = time.monotonic()
        error = await writer.failure()
        took = time.monotonic() - begun
        assert error is not None
        assert (error.kind, bool(str(error))) == (kind, True)
        tries = len(there.server.requests) - BEFORE
        assert tries <= 2 if kind == "context_overflow" else tries == (attempts if kind in RETRYABLE else 1)
        # Beside those waits, a provider that seems to be down is left alone.
        assert there.clock.monotonic() <= longest_waits(retry, 1) + retry.longest
        assert took < attempts * (IDLE_SECONDS + 1) + 3
        assert writer.diary.lines == lines_of(SCRIPT)[: 2 * BEFORE]
        assert Session(writer.journal.entries).open is None


@pytest.mark.parametrize("asked", [0, 1, 100])
async def test_waits_that_a_provider_asks_for_add_up_to_no_more_than_the_policy_allows(
    wire: Wire, asked: int, tmp_path: Path
) -> None:
    retry = policy(4)
    faults = for_ever(Fault("status", 429, {"retry-after": str(asked)}))
    async with stage(wire, SCRIPT, faults, retry=retry) as there:
        error = await there.writer(Diary(tmp_path / "diary")).failure()
        assert error is not None
        assert (error.kind, len(there.server.requests)) == ("rate_limited", 4)
        assert 3 * asked <= there.clock.monotonic() <= 3 * max(1.1 * asked, 4.0)


async def test_a_wait_beyond_the_longest_is_not_waited_for(wire: Wire, tmp_path: Path) -> None:
    async with stage(wire, SCRIPT, for_ever(Fault("status", 503, {"retry-after": "121"}))) as there:
        error = await there.writer(Diary(tmp_path / "diary")).failure()
        assert error is not None
        assert (error.kind, error.retry_after, "retry.cap_seconds = 120" in str(error)) == ("overloaded", 121.0, True)
        assert (len(there.server.requests), there.clock.monotonic()) == (1, 0.0)


@pytest.mark.parametrize("fault", [Fault("status", 503), Fault("reset", after=0)], ids=lambda fault: fault.kind)
async def test_a_crowd_at_a_dead_provider_asks_it_seldom_and_ends_with_its_class(
    wire: Wire, fault: Fault, tmp_path: Path
) -> None:
    crowd = 20
    async with stage(wire, SCRIPT, for_ever(fault)) as there:
        writers = [there.writer(Diary(tmp_path / f"{n}"), prompt=f"{PROMPT} {n}") for n in range(crowd)]
        errors = await asyncio.gather(*(writer.failure() for writer in writers))
        assert {error.kind for error in errors if error} <= {"overloaded", "network"}
        assert None not in errors
        # All at once at first; then one call at a time tries.
        assert len(there.server.requests) < 3 * crowd
        assert there.clock.monotonic() <= longest_waits(there.retry, 1) + 3 * there.retry.longest


async def test_agents_outlive_a_provider_that_was_down_for_long(wire: Wire, tmp_path: Path) -> None:
    down = dict.fromkeys(range(9, 25), Fault("reset", after=0))
    async with stage(wire, SCRIPT, down) as there:
        writers = [there.writer(Diary(tmp_path / f"{n}"), prompt=f"{PROMPT} You are number {n}.") for n in range(4)]
        ends = await all_of([partial(live_through, writer, there) for writer in writers])
        assert any(ends)
        for writer in writers:
            check_whole(writer, SCRIPT)
        assert len(there.server.requests) == 4 * len(SCRIPT.turns) + len(down)


async def test_a_server_that_is_started_again_is_found_again(wire: Wire, tmp_path: Path) -> None:
    async with stage(wire, SCRIPT, retry=policy(50)) as there:
        writer = there.writer(Diary(tmp_path / "diary"))
        running = asyncio.create_task(writer.run())
        while len(writer.diary.lines) < 2 * BEFORE:
            await asyncio.sleep(0)
        await there.server.__aexit__(None, None, None)
        while len(writer.retried) < 3:
            await asyncio.sleep(0.001)
        async with ScriptedServer(SCRIPT, order="conversation", port=there.server.port):
            assert await running == last_words()
        assert set(writer.retried) <= {"network", "overloaded"}
        check_whole(writer, SCRIPT)


@pytest.mark.parametrize("kind", MODEL_FAILURES)
async def test_a_model_that_never_writes_notes_costs_little_and_stops_nobody(
    wire: Wire, kind: ModelFailure, tmp_path: Path
) -> None:
    script = script_of(16, words=SOURCE[:600].replace("\n", " "))
    mute = stage(wire, Script(), for_ever(fault_of(kind, wire)), idle_seconds=IDLE_SECONDS)
    async with mute as notes, stage(wire, script, window=9_000) as there:
        writer = there.writer(Diary(tmp_path / "diary", SOURCE[:3_000]), notes=notes.models.open("test/m"))
        assert await writer.run() == last_words(16)
        check_whole(writer, script)
        failed = [event for event in writer.events if isinstance(event, CompactionFailed)]
        assert failed
        tries = 3 if kind in RETRYABLE else 2 if kind == "context_overflow" else 1
        assert len(notes.server.requests) <= tries * len(failed)
        # Nobody is asked again before some work was done.
        assert all(later.turn > earlier.turn for earlier, later in itertools.pairwise(failed))
        assert there.clock.monotonic() <= 2 * 15.0 * len(failed)
