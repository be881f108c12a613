"""Runs that are cut in the middle of a compaction: nothing is lost, and nothing counts twice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from agent.compaction_lab import Lab, texts
from kugetsu.agent import Agent
from kugetsu.errors import ModelError, PausedError
from kugetsu.events import ContextCompacted
from kugetsu.messages import AssistantMessage, Delta, ReplyEnd, Text, TextDelta, Usage
from kugetsu.protocols import ModelInfo, ModelRequest, Reserved
from kugetsu.sessions import Compacted, Entry, Session, Wasted
from kugetsu.tasks import Spent
from kugetsu.testing import CannedModel, CannedReply, MemoryJournal

TASK = "do it, and forget nothing"
NOTES = Usage(7_001, 77, 0, 0.5)


class SlowJournal(MemoryJournal):
    """Takes its time."""

    async def append(self, *entries: Entry, taken: Sequence[int] = ()) -> None:
        await asyncio.sleep(0)
        await super().append(*entries, taken=taken)
        await asyncio.sleep(0)


class Cut:
    """A run that is cut so many rounds of the event loop after it asked whether it may have notes written."""

    def __init__(self, entries: Sequence[Entry], reply: CannedReply, *, wait: int) -> None:
        self.lab = Lab(14)
        self.lab.journal = SlowJournal(entries)
        self.writer = CannedModel(reply)
        self.writer.info = ModelInfo(16_000, 1_500)  # by so short a reply a call for notes is told from others
        self._began = asyncio.Event()
        self._wait = wait

    async def run(self) -> Agent:
        agent = self.lab.agent(reserve=self._reserve, writer=self.writer)
        running = asyncio.create_task(agent.run(TASK))
        await self._began.wait()
        for _ in range(self._wait):
            await asyncio.sleep(0)
        assert running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        return agent

    async def _reserve(self, least: Spent, most: Spent) -> Reserved:
        if most.tokens - least.tokens < 500:
            self._began.set()
        await asyncio.sleep(0)
        return Reserved(most)


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    """A session that is about to be compacted."""
    lab = Lab(14)
    asyncio.run(lab.agent().run(TASK))
    return lab.journal.entries[: lab.journal.entries.index(lab.compactions[0])]


async def whole(_request: ModelRequest) -> AsyncIterator[Delta]:
    for word in ("## Done\n", "- much ", "of it"):
        await asyncio.sleep(0)
        yield TextDelta(word)
    await asyncio.sleep(0)
    yield ReplyEnd("end", NOTES)
    await asyncio.sleep(0)


async def truncated(_request: ModelRequest) -> AsyncIterator[Delta]:
    await asyncio.sleep(0)
    yield TextDelta("## Done")
    await asyncio.sleep(0)
    yield ReplyEnd("length", NOTES)


async def broken(_request: ModelRequest) -> AsyncIterator[Delta]:
    await asyncio.sleep(0)
    yield TextDelta("## Done")
    await asyncio.sleep(0)
    raise ModelError("refused", "no more")


def booked(entries: Sequence[Entry]) -> list[Usage]:
    return [entry.usage for entry in entries if isinstance(entry, Wasted | Compacted) and entry.usage.tokens]


@pytest.mark.parametrize("reply", [whole, truncated, broken])
async def test_a_cut_at_any_await_loses_nothing_and_counts_nothing_twice(
    entries: list[Entry], reply: CannedReply
) -> None:
    seen: set[tuple[int, bool]] = set()
    for wait in range(24):
        cut = Cut(entries, reply, wait=wait)
        agent = await cut.run()
        log = cut.lab.journal.entries
        seen.add((len(booked(log)), agent.unbooked.tokens > 0))
        told = Session(log)
        assert (told.messages, told.tally) == (agent.session.messages, agent.session.tally)
        assert told.summary == agent.session.summary
        # Whoever goes on does so with all that was said, and makes room anew where that was not done.
        lab = Lab(14)
        lab.journal = MemoryJournal(log)
        lab.model.keep = True
        assert await lab.agent().run(TASK) == "done"
        assert lab.model.refused == 0
        assert len({entry.through for entry in lab.compactions}) == len(lab.compactions) > 0
        assert all(TASK in texts(messages) for messages in lab.model.sent)
        # Whose task is over closes its books.
        unbooked, before = agent.unbooked, booked(log)
        await agent.close_turn()
        await agent.close_turn()
        assert agent.unbooked == Usage()
        assert [one for one in booked(log) if one not in before] == [unbooked] * (unbooked.tokens > 0)
    # Before anything had come, while it came or when it was whole, and after it was written down.
    assert seen == {(0, False), (0, True), (1, False)}


async def test_a_reply_that_had_become_whole_is_booked_as_it_is(entries: list[Entry]) -> None:
    costs = {(await Cut(entries, whole, wait=wait).run()).unbooked.cost_usd for wait in range(12)}
    assert costs >= {0.0, 0.5}


async def test_a_run_that_died_before_its_compaction_was_written_down_compacts_anew() -> None:
    lab = Lab(24)
    await lab.agent().run("do it")
    place = next(place for place, entry in enumerate(lab.journal.entries) if isinstance(entry, Compacted))
    for until in (place, place + 1):
        again = Lab(24)
        again.journal = MemoryJournal(lab.journal.entries[:until])
        assert await again.agent().run("do it") == "done"
        assert again.compactions[0].through == lab.compactions[0].through
        assert len(again.model.summaries) == len(again.compactions) - (until - place)


async def test_who_is_told_to_pause_while_notes_are_written_ends_after_the_turn() -> None:
    lab = Lab(24)
    agent = lab.agent()

    async def slowly(_request: ModelRequest) -> Any:
        agent.pausing = True
        yield TextDelta("## Done")
        yield ReplyEnd("end", NOTES)

    lab.model.notes = [slowly]
    with pytest.raises(PausedError):
        await agent.run("do it")
    assert [type(event) for event in lab.all(ContextCompacted)] == [ContextCompacted]
    assert agent.tally.turns == lab.compactions[0].turn + 1
    assert agent.unbooked == Usage()


async def test_a_cut_reply_and_cut_notes_are_both_booked() -> None:
    lab = Lab(24)
    agent = lab.agent()
    agent._summarizer.unbooked = NOTES
    agent._cut = AssistantMessage((Text("half a"),), "aborted", Usage(10, 2, 0, 0.1))
    assert agent.unbooked == Usage(7_011, 79, 0, 0.6)
    await agent.run("do it")
    await agent.close_turn()
    assert NOTES in booked(lab.journal.entries)
