"""What holds for the cut, the transcript and the summary of any conversation."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from context.any_conversation import conversations
from context.conversations import Talk
from kugetsu.context import (
    Exchange,
    Summary,
    cut_point,
    estimate,
    estimate_text,
    gather,
    prune,
    summary_message,
    transcript,
    turns_within,
    with_stubs,
)
from kugetsu.context.summary import MOST_FILES
from kugetsu.context.transcript import shortened
from kugetsu.messages import AssistantMessage, Message, Text, ToolResult, UserMessage, encode_json, user, well_formed

KEEPS = st.integers(-5, 12_000)
TURNS = st.integers(1, 8)
MOST = st.sampled_from([-1, 0, 1, 2, 5, 30, 49, 50, 300, 2_000, 50_000])


def text_of(message: UserMessage) -> str:
    return "".join(block.text for block in message.content if isinstance(block, Text))


def places(messages: Sequence[Message]) -> list[int]:
    return [place for place, message in enumerate(messages) if isinstance(message, AssistantMessage)]


@given(conversations(), KEEPS, TURNS)
def test_a_cut_is_never_between_a_call_and_its_result_and_leaves_as_many_turns_as_it_has_to(
    messages: list[Message], keep: int, turns: int
) -> None:
    sizes, replies = [estimate(message) for message in messages], places(messages)
    cut = cut_point(messages, sizes, keep=keep, turns=turns)
    assert cut == 0 or not isinstance(messages[cut], ToolResult)
    assert sum(place >= cut for place in replies) >= min(turns, len(replies))
    # So much stays, as far as there is so much: but for the turn in whose middle the measure was full.
    if cut and replies:
        before = max([place for place in replies if place < cut], default=0)
        assert sum(sizes[before:]) >= keep


@given(conversations(), KEEPS, KEEPS, TURNS, TURNS)
def test_who_keeps_more_cuts_no_later(messages: list[Message], one: int, other: int, few: int, many: int) -> None:
    sizes = [estimate(message) for message in messages]
    less, more = sorted((one, other))
    assert cut_point(messages, sizes, keep=less, turns=few) >= cut_point(messages, sizes, keep=more, turns=few)
    few, many = sorted((few, many))
    assert cut_point(messages, sizes, keep=less, turns=few) >= cut_point(messages, sizes, keep=less, turns=many)


@given(conversations(), KEEPS, TURNS)
def test_the_turns_within_a_measure_are_the_last_ones_that_fit_and_never_none(
    messages: list[Message], tokens: int, most: int
) -> None:
    sizes, replies = [estimate(message) for message in messages], places(messages)
    turns = turns_within(messages, sizes, tokens, most=most)
    assert 1 <= turns <= most
    if turns > 1:
        assert sum(sizes[replies[-turns] :]) <= tokens
    if turns < min(most, len(replies)):
        assert sum(sizes[replies[-turns - 1] :]) > tokens
    assert turns_within(messages, sizes, tokens + 100, most=most) >= turns


@given(st.text(max_size=400) | st.sampled_from(["\ud800" * 300, "漢" * 999]), st.integers(-3, 500))
def test_a_shortened_text_is_never_longer_than_asked_and_says_how_much_is_missing(text: str, most: int) -> None:
    short = shortened(text, most)
    assert len(short) <= max(0, most)
    if short != text and short:
        head, _, rest = short.partition("\n[... ")
        number, _, tail = rest.partition(" characters left out ...]\n")
        assert text.startswith(head)
        assert text.endswith(tail)
        assert len(head) + int(number.replace(",", "")) + len(tail) == len(text)


@given(conversations(), MOST)
def test_a_transcript_is_bounded_however_little_room_there_is(messages: list[Message], most: int) -> None:
    assert estimate_text(transcript(messages, most)) <= max(0, most)


@pytest.mark.parametrize("piece", ["x", "\n", "\ud800", "漢", "a1-"])
def test_a_transcript_of_a_huge_message_is_bounded_too(piece: str) -> None:
    messages: list[Message] = [user(piece * 300_000) for _ in range(20)]
    for most in (0, 10, 5_000):
        assert estimate_text(transcript(messages, most)) <= most


@given(conversations(), st.integers(0, 12))
def test_what_is_gathered_in_two_parts_is_what_is_gathered_at_once(messages: list[Message], at: int) -> None:
    replies = places(messages)
    cut = replies[at % len(replies)] if replies else 0
    # A follow-up belongs to what was said before it, so a cut behind that reply keeps both in one part.
    parts = gather(messages[cut:], gather(messages[:cut]))
    assert parts == gather(messages)


@given(conversations())
def test_files_are_listed_once_the_changed_ones_apart_and_in_words_that_are_harmless(messages: list[Message]) -> None:
    summary = gather(messages)
    assert not set(summary.read) & set(summary.changed)
    for files in (summary.read, summary.changed):
        assert len(set(files)) == len(files) <= MOST_FILES
        for path in files:
            assert path
            assert len(path) <= 300
            assert path == well_formed(path)
            assert "\n" not in path
    assert msgspec.json.decode(encode_json(summary), type=Summary).read == summary.read


@given(conversations(), st.integers(0, 3))
def test_pruning_first_changes_nothing_of_what_is_gathered(messages: list[Message], keep: int) -> None:
    pruned = with_stubs(messages, prune(messages, 10**9, keep=keep).stubs)
    one, other = gather(messages), gather(pruned)
    assert one.exchanges == other.exchanges
    # A path that is too long to be kept is lost with the arguments that it stood in.
    for whole, left in ((one.read, other.read), (one.changed, other.changed)):
        assert [path for path in whole if len(path) < 300] == [path for path in left if len(path) < 300]
        assert not any("pruned:" in path for path in left)


def test_the_latest_files_are_last_and_the_oldest_go_first() -> None:
    talk = Talk()
    for number in range(MOST_FILES + 20):
        talk.call("read", f"r{number}", "text", path=f"{number}.py")
    talk.call("read", "again", "text", path="./30.py").call("write", "w1", "ok", path="40.py", content="x")
    talk.call("edit", "e1", "ok", path="b/../50.py", edits=[]).call("edit", "e2", "no", path="60.py", is_error=True)
    before = Summary(read=("old.py", "50.py"), changed=("was.py", "40.py"))
    summary = gather(talk.messages, before)
    assert summary.changed == ("was.py", "40.py", "50.py")
    assert summary.read[-1] == "30.py"
    assert "old.py" not in summary.read
    assert len(summary.read) > MOST_FILES - 3


def test_questions_and_answers_are_kept_word_for_word_also_after_a_pruning() -> None:
    question, answer = "Which of these?\n" * 100, "The second.\n\ud800 " * 900
    talk = Talk().call("ask", "a1", answer, question=question, options=["one", "two"]).call("bash", "b1", "x" * 900)
    talk.call("ask", "a2", "nobody answered", question="And now?", is_error=True)
    talk.messages.append(AssistantMessage((Text("a" * 5_000 + " Shall I go on?"),)))
    talk.messages.append(user("Yes, do.", "follow_up"))
    talk.call("ask", "a3", "Then stop.", question="And then?")
    pruned = with_stubs(talk.messages, prune(talk.messages, 10**9, keep=0).stubs)
    before = Summary(exchanges=(Exchange("Before?", "Yes."),))
    for messages in (talk.messages, pruned):
        first, asked, followed, last = gather(messages, before).exchanges
        assert first == Exchange("Before?", "Yes.")
        assert asked == Exchange(f"{question} (one / two)", answer)
        assert followed == Exchange(("a" * 5_000 + " Shall I go on?")[-2_000:], "Yes, do.", kept=True)
        assert last == Exchange("And then?", "Then stop.")


def test_a_long_follow_up_which_stays_in_the_conversation_does_not_stand_twice_in_full() -> None:
    talk = Talk().say("Which?")
    talk.messages.append(user("this one, and " * 10_000, "follow_up"))
    (exchange,) = gather(talk.messages).exchanges
    assert len(exchange.answer) <= 2_000
    assert exchange.answer.startswith("this one, and ")


@given(conversations(), st.text(max_size=50), st.integers(1, 10**6))
def test_a_summary_is_as_long_as_its_parts(messages: list[Message], notes: str, through: int) -> None:
    summary = msgspec.structs.replace(gather(messages), text=notes)
    message = summary_message(summary, through)
    text = text_of(message)
    parts = [notes, *summary.read, *summary.changed]
    parts += [part for one in summary.exchanges for part in (one.question, one.answer)]
    assert len(text) <= 800 + sum(len(part) + 24 for part in parts)
    assert all(part in text for part in (notes.strip(), *parts[1:]))
    assert message.origin == "summary"
    assert f"turns 1 to {through}." in text
