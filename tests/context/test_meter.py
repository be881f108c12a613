import pytest

from kugetsu.context import ContextBudget, Meter, Prefix, estimate
from kugetsu.messages import AssistantMessage, Message, Text, Usage, user


def said(text: str, counted: int = 0) -> AssistantMessage:
    return AssistantMessage((Text(text),), usage=Usage(counted, 10))


WORDS = "some words of a conversation " * 40


def test_what_nobody_counted_is_estimated() -> None:
    messages: list[Message] = [user(WORDS), said(WORDS)]
    assert Meter(500).measure(messages) == 500 + sum(map(estimate, messages))


def test_what_was_counted_last_is_taken_and_only_what_is_new_is_estimated() -> None:
    meter = Meter(500)
    first = 500 + estimate(user(WORDS))
    messages: list[Message] = [user(WORDS), said(WORDS, round(first * 1.2)), user(WORDS)]
    new = sum(map(estimate, messages[1:]))
    assert meter.measure(messages) == pytest.approx(1.2 * (first + new), abs=3)
    assert meter.ratio == pytest.approx(1.2, abs=0.01)
    assert meter.estimated(1200) == pytest.approx(1000, abs=2)


def test_what_was_counted_before_a_pruning_teaches_how_the_provider_counts_and_nothing_else() -> None:
    meter = Meter(500)
    first = 500 + estimate(user(WORDS * 20))
    meter.measure([user(WORDS * 20), said(WORDS, 2 * first)])
    messages: list[Message] = [user(WORDS), said(WORDS, 2 * first), user(WORDS)]
    assert meter.measure(messages, same_from=3) == pytest.approx(2 * (500 + sum(map(estimate, messages))), abs=2)


def test_a_count_that_leaves_half_out_is_not_believed() -> None:
    messages: list[Message] = [user(WORDS * 9), said(WORDS, 30)]
    assert Meter(500).measure(messages) == 500 + sum(map(estimate, messages))


def test_what_a_reply_that_was_cut_may_have_cost_is_no_count() -> None:
    messages: list[Message] = [user(WORDS), said(WORDS, 300), user(WORDS)]
    told = Meter(0).measure(messages)
    cut = AssistantMessage((Text("I"),), "aborted", Usage(90_000, 10))
    assert Meter(0).measure([*messages, cut]) - told < 20


def test_a_provider_that_counts_many_times_as_much_is_believed_within_reason() -> None:
    meter = Meter(0)
    messages: list[Message] = [user(WORDS), said(WORDS, 100_000)]
    assert meter.measure(messages) == 100_000 + round(2.5 * estimate(messages[1]))
    assert meter.ratio == 2.5


def test_after_an_overflow_it_counts_more() -> None:
    meter = Meter(100)
    meter.correct(1_000, 1_300)
    assert meter.measure([]) == 130
    meter.correct(1_000, 900)
    assert meter.measure([]) == 130


@pytest.mark.parametrize(
    ("window", "reply", "most"),
    [(200_000, 32_000, 164_000), (128_000, 16_384, 109_056), (8_000, 16_000, 5_840), (1, 1, 1)],
)
def test_a_prompt_leaves_room_for_the_reply_and_for_what_estimates_are_wrong_by(
    window: int, reply: int, most: int
) -> None:
    budget = ContextBudget(window, reply, 0.8, 0.3)
    assert budget.most == most
    assert budget.target <= budget.trigger <= budget.most
    assert budget.reply(budget.most) <= reply
    assert ContextBudget(window, reply, 0, 0.3).target == most


def test_a_prefix_is_what_a_request_has_in_common_with_the_one_before() -> None:
    prefix = Prefix(100)
    one, two, three, other = (user(text) for text in ("one", "two", "three", "other"))
    prefix.send([one, two], [10, 10])
    assert (prefix.requests, prefix.sent, prefix.repeated) == (1, 120, 0)
    prefix.send([one, two, three], [10, 10, 10])
    assert (prefix.sent, prefix.repeated) == (250, 120)
    prefix.send([user("one"), other, three], [10, 10, 10])
    assert (prefix.sent, prefix.repeated) == (380, 230)
    prefix.send([one], [10])
    assert (prefix.sent, prefix.repeated) == (490, 340)
    assert prefix.share == pytest.approx(340 / 490)
    assert Prefix(5).share == 0.0
