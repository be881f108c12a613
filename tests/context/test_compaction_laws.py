"""What holds for any conversation from which turns are taken out, by the very parts that decide it in a run."""

import asyncio
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from context.any_conversation import conversations, log_of
from kugetsu.agent.context import Context
from kugetsu.agent.view import Frame, View
from kugetsu.config import CompactionSettings, ContextSettings, Wire
from kugetsu.context import ContextBudget, Meter, Summary, estimate_text, gather, prune, with_stubs
from kugetsu.errors import SummaryError
from kugetsu.messages import AssistantMessage, Message, Text, Usage
from kugetsu.protocols import ModelInfo, ModelRequest
from kugetsu.sessions import Compacted, Entry, Pruned, Replied, Session
from kugetsu.testing import CannedModel
from kugetsu.testing.request_rules import problems
from models.model_lab import TOOLS, WIRES
from models.test_request_validity import encoded

ALL = 10**9
RUNS = 40
"""Each of them is a whole run of up to sixteen turns."""

FRAME = Frame("You work alone. " * 50, ())
MOST_NOTES = 500
NOTES = "## Done\n- much of it, and all of it well\n" * 8
LONGEST = "漢" * 3 * MOST_NOTES


class FakeWriter:
    """Writes notes at once, or none."""

    def __init__(self, notes: str) -> None:
        self.notes = notes
        self.asked = 0

    async def write(
        self, messages: Sequence[Message], before: Summary | None, *, turn: int, most: int, ratio: float
    ) -> AssistantMessage:
        del messages, before, turn, ratio
        self.asked += 1
        if not self.notes or estimate_text(self.notes) > most:
            raise SummaryError("cheap/model wrote no notes")
        return AssistantMessage((Text(self.notes),), usage=Usage(100, 50), model="cheap/model")


class Keeper:
    """A session kept within a window, as an agent does it.

    Attributes:
        log: all entries.
        changes: how many of them are prunings and compactions.
    """

    def __init__(self, window: int, notes: str, keep_turns: int) -> None:
        self.session = Session()
        self.log: list[Entry] = []
        self.changes = 0
        self.writer = FakeWriter(notes)
        self.budget = ContextBudget(window, 1_000, 0.8, 0.3, 0.4)
        model = CannedModel()
        model.info = ModelInfo(window, 1_000)
        self.context = Context(
            self.session,
            model,
            View(self.session, FRAME, None),
            ContextSettings(keep_turns=keep_turns),
            CompactionSettings(most_tokens=MOST_NOTES),
            self.writer,
            recall=True,
            commit=self._commit,
            publish=lambda _event: None,
        )

    def add(self, entry: Entry) -> None:
        self.log.append(entry)
        self.session.apply(entry)

    def fit(self) -> int:
        return asyncio.run(self.context.fit()).about

    async def _commit(self, entry: Pruned | Compacted) -> None:
        self.changes += 1
        self.add(entry)

    def least(self) -> int:
        """About how many tokens stay whatever gives way: all but the last turn goes, and of that every text that can."""
        seen, entries = self.session.seen_turns(), list(self.log)
        if len(seen) > 1:
            summary = msgspec.structs.replace(gather(self.session.messages, self.session.summary), text=LONGEST)
            entries.append(Compacted(self.session.turn, seen[-2], summary))
        messages = Session(entries).messages
        return Meter(FRAME.about).measure(with_stubs(messages, prune(messages, ALL, keep=0, recall=True).stubs))


WINDOWS = st.sampled_from([3_000, 6_000, 12_000, 30_000])


@st.composite
def kept(draw: st.DrawFn) -> Iterator[tuple[Keeper, int]]:
    """Each moment of a run at which a prompt has just been made to fit; with what that said."""
    keeper = Keeper(draw(WINDOWS), draw(st.sampled_from(["", NOTES])), draw(st.integers(1, 6)))
    entries = log_of(draw(conversations(turns=16)))
    return moments(keeper, entries)


def moments(keeper: Keeper, entries: Sequence[Entry]) -> Iterator[tuple[Keeper, int]]:
    for entry in entries:
        if isinstance(entry, Replied):
            yield keeper, keeper.fit()
        keeper.add(entry)
    yield keeper, keeper.fit()


@settings(max_examples=RUNS)
@given(kept())
def test_what_was_made_to_fit_is_left_alone_until_there_is_something_new(run: Iterator[tuple[Keeper, int]]) -> None:
    for keeper, tokens in run:
        before = keeper.changes, keeper.writer.asked
        assert keeper.fit() == tokens
        assert (keeper.changes, keeper.writer.asked) == before


@settings(max_examples=RUNS)
@given(kept())
def test_a_prompt_fits_whenever_what_must_stay_fits(run: Iterator[tuple[Keeper, int]]) -> None:
    for keeper, tokens in run:
        assert tokens == Meter(FRAME.about).measure(keeper.session.messages)
        if tokens > keeper.budget.most:
            assert keeper.least() > keeper.budget.most


@pytest.mark.parametrize("wire", WIRES)
@settings(max_examples=RUNS)
@given(kept())
def test_what_is_sent_is_valid_whatever_gave_way_before(wire: Wire, run: Iterator[tuple[Keeper, int]]) -> None:
    for keeper, _ in run:
        if keeper.changes:
            request = ModelRequest("system", list(keeper.session.messages), TOOLS)
            assert problems(wire, msgspec.json.decode(encoded(wire, request, images=True))) == []


@pytest.mark.parametrize("wire", WIRES)
@given(conversations(), st.data())
def test_any_compactions_and_prunings_in_any_order_leave_a_valid_request(
    wire: Wire, messages: list[Message], data: st.DataObject
) -> None:
    """Also such as no rule here would choose."""
    session = Session(log_of(messages))
    for _ in range(data.draw(st.integers(1, 4))):
        seen = session.seen_turns()
        if len(seen) > 1 and data.draw(st.booleans()):
            through = data.draw(st.sampled_from(seen[:-1]))
            session.apply(Compacted(session.turn, through, gather(session.messages, session.summary)))
        else:
            surplus, keep = data.draw(st.sampled_from([500, ALL])), data.draw(st.integers(0, 3))
            session.apply(Pruned(session.turn, prune(session.messages, surplus, keep=keep, turns=seen).stubs))
        body = msgspec.json.decode(encoded(wire, ModelRequest("system", list(session.messages), TOOLS), images=True))
        assert problems(wire, body) == []
