"""Runs that are many times longer than their model's window."""

import itertools
import tracemalloc

import pytest

from agent.context_lab import ForgetfulJournal, WindowedModel, agent_of
from kugetsu.config import ContextSettings
from kugetsu.errors import ModelError
from kugetsu.events import ContextMeasured, ContextPruned, Event, ModelRetried, TurnFinished
from kugetsu.messages import Text, ToolResult, UserMessage
from kugetsu.sessions import Compacted, Pruned, Rewound, Session
from kugetsu.testing import MemoryJournal, says
from support.agent_bench import Bench, call


def characters(session: Session) -> int:
    return sum(len(block.text) for message in session.messages for block in message.content if isinstance(block, Text))


async def test_a_run_of_200_turns_never_overflows_and_a_cache_could_serve_nine_tenths_of_it() -> None:
    events: list[Event] = []
    model = WindowedModel(200, window=128_000)
    agent = agent_of(model, publish=events.append, journal=ForgetfulJournal())
    assert await agent.run("do it") == "done"
    agent.report()
    assert (model.refused, len(model.prompts)) == (0, 201)
    measured = [event for event in events if isinstance(event, ContextMeasured)]
    assert measured[0].requests == 201
    assert measured[0].repeated / measured[0].sent >= 0.9
    # Pruned rarely, and far down.
    prunings = [event for event in events if isinstance(event, ContextPruned)]
    assert 5 < len(prunings) < 20
    assert all(event.after < 0.5 * event.before for event in prunings)
    assert sum(isinstance(event, ModelRetried) for event in events) == 0


@pytest.mark.parametrize("factor", [0.8, 1.35, 2.2])
async def test_a_tokenizer_that_counts_otherwise_is_learned(factor: float) -> None:
    model = WindowedModel(60, window=128_000, factor=factor)
    assert await agent_of(model, journal=ForgetfulJournal()).run("do it") == "done"
    assert model.refused == 0
    assert max(model.prompts) < 0.9 * 128_000


async def test_memory_of_a_long_run_is_flat() -> None:
    model = WindowedModel(120, window=64_000)
    seen: dict[int, tuple[int, int]] = {}

    def look(event: Event) -> None:
        if not isinstance(event, TurnFinished):
            return
        if event.turn == 40:
            tracemalloc.start()
        if event.turn in {60, 120}:
            seen[event.turn] = (tracemalloc.get_traced_memory()[0], characters(agent.session))

    agent = agent_of(model, publish=look, journal=ForgetfulJournal())
    agent.session.settle()
    try:
        await agent.run("do it")
    finally:
        tracemalloc.stop()
    (before, _), (after, texts) = seen[60], seen[120]
    # 60 turns of 20 KB came and went; what grows are calls, notes of a hundred characters, and the model's words.
    assert after - before < 60 * 3_000
    assert texts < 4 * 64_000


async def test_what_was_sent_once_is_sent_again_as_it_was_until_the_next_pruning() -> None:
    model, journal = WindowedModel(40, window=64_000), MemoryJournal()
    model.keep = True
    await agent_of(model, journal=journal).run("do it")
    broken = sum(now[: len(before)] != before for before, now in itertools.pairwise(model.sent))
    assert broken == sum(isinstance(entry, Pruned) for entry in journal.entries) > 0


async def test_a_run_that_was_cut_anywhere_goes_on_with_the_same_messages() -> None:
    model, journal = WindowedModel(30, window=64_000), MemoryJournal()
    model.keep = True
    await agent_of(model, journal=journal).run("do it")
    prunings = [place for place, entry in enumerate(journal.entries) if isinstance(entry, Pruned)]
    for place in (prunings[0], prunings[0] + 1, prunings[-1] + 1, len(journal.entries) - 3):
        session = Session(journal.entries[:place])
        session.settle()
        again = WindowedModel(30, window=64_000)
        again.keep = True
        assert await agent_of(again, journal=ForgetfulJournal(), session=session).run("do it") == "done"
        assert again.sent == model.sent[len(model.sent) - len(again.sent) :]


async def test_whoever_goes_back_before_a_pruning_works_with_the_full_texts_again() -> None:
    model, journal = WindowedModel(20, window=64_000), MemoryJournal()
    await agent_of(model, journal=journal).run("do it")
    first = next(entry for entry in journal.entries if isinstance(entry, Pruned))
    session = Session([*journal.entries, Rewound(first.turn)])
    assert not any(isinstance(one, ToolResult) and one.text.startswith("[pruned") for one in session.messages)
    session.settle()
    again = WindowedModel(20, window=64_000)
    assert await agent_of(again, journal=ForgetfulJournal(), session=session).run("do it") == "done"
    assert again.refused == 0


@pytest.mark.parametrize("says", ["", "maximum context length is {window} tokens, yours has {prompt}"])
async def test_a_window_smaller_than_believed_is_learned_from_the_first_overflow(says: str) -> None:
    events: list[Event] = []
    model = WindowedModel(60, window=50_000, believed=128_000, says=says)
    assert await agent_of(model, publish=events.append, journal=ForgetfulJournal()).run("do it") == "done"
    assert model.refused <= (1 if says else 3)
    retries = [event for event in events if isinstance(event, ModelRetried)]
    assert [event.failure for event in retries] == ["context_overflow"] * model.refused


async def test_what_cannot_fit_fails_with_words_that_help_and_is_not_tried_for_ever() -> None:
    model = WindowedModel(3, window=4_000, believed=128_000)
    with pytest.raises(ModelError) as caught:
        await agent_of(model).run("a task that is too long " * 4_000)
    assert caught.value.kind == "context_overflow"
    assert "context_window" in caught.value.fix
    assert model.refused == 1


async def test_an_output_that_is_larger_than_the_window_gives_way_before_the_task_fails() -> None:
    model = WindowedModel(5, window=5_500, says="maximum context length is {window} tokens")
    assert await agent_of(model, settings=ContextSettings(keep_turns=2)).run("do it") == "done"


async def test_a_request_with_too_many_bytes_says_nothing_of_the_window(bench: Bench) -> None:
    shown = [says("", call("look", f"c{turn}", text="x" * 5_000)) for turn in range(8)]
    refused = ModelError("context_overflow", "request too large", status=413)
    agent = bench.agent(*shown, refused, says("done"))
    assert await agent.run("do it") == "done"
    assert sum(isinstance(entry, Pruned) for entry in bench.journal.entries) == 1
    assert agent._context._budget.window == bench.model.info.context_window


async def test_a_note_that_the_model_repeats_is_not_taken_for_a_text(bench: Bench) -> None:
    note = "[pruned: 9,000 characters; the file was written again in turn 7]"
    await bench.agent(says("", call("change", text=note)), says("done")).run("do it")
    assert "Write the whole text out" in bench.results[0].text
    assert bench.spans == []


async def test_without_pruning_a_conversation_that_does_not_fit_fails() -> None:
    model, journal = WindowedModel(30, window=64_000, says="maximum context length is {window} tokens"), MemoryJournal()
    with pytest.raises(ModelError, match="maximum context length"):
        await agent_of(model, settings=ContextSettings(prune_at=0), journal=journal).run("do it")
    assert not any(isinstance(entry, Pruned) for entry in journal.entries)
    assert model.refused == 1


async def test_the_reply_may_be_as_long_as_there_is_room_for() -> None:
    model = WindowedModel(12, window=64_000)
    asked: list[tuple[int, int]] = []

    stream = model.stream
    model.stream = lambda request: (asked.append((request.about_tokens, request.max_output)), stream(request))[1]  # type: ignore[method-assign,func-returns-value] # looks over the model's shoulder
    await agent_of(model).run("do it")
    for about, output in asked:
        assert output == 0 or about + output <= 64_000
    assert all(about + 16_000 <= 64_000 for about, output in asked if output == 0)


async def test_the_task_and_what_users_say_is_in_every_request() -> None:
    model = WindowedModel(40, window=64_000)
    model.keep = True
    agent = agent_of(model, journal=ForgetfulJournal())
    agent.inbox.steer("but not the tests " * 100)
    await agent.run("the task " * 100)
    for messages in model.sent[2:]:
        said = [message for message in messages if isinstance(message, UserMessage)]
        assert [message.origin for message in said] == ["prompt", "steering"]
        assert all(len(block.text) > 800 for message in said for block in message.content if isinstance(block, Text))


async def test_a_run_that_was_cut_behind_a_change_knows_how_its_provider_counts() -> None:
    model, journal = WindowedModel(40, window=64_000, factor=2.2), MemoryJournal()
    await agent_of(model, journal=journal).run("do it")
    change = next(entry for entry in journal.entries if isinstance(entry, Pruned | Compacted))
    assert change.ratio == pytest.approx(2.2, rel=0.05)
    session = Session(journal.entries[: journal.entries.index(change) + 1])
    session.settle()
    again = WindowedModel(40, window=64_000, factor=2.2)
    agent = agent_of(again, journal=ForgetfulJournal(), session=session)
    assert agent._view.meter.ratio == change.ratio
    assert await agent.run("do it") == "done"
    assert again.refused == 0
