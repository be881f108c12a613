from hypothesis import given
from hypothesis import strategies as st

from kugetsu.messages import (
    Delta,
    ReplyBuilder,
    ReplyEnd,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)


def build(*deltas: Delta) -> ReplyBuilder:
    builder = ReplyBuilder("p/m")
    for delta in deltas:
        builder.add(delta)
    return builder


def test_pieces_become_blocks_in_the_order_they_came() -> None:
    reply = build(
        ThinkingDelta("hm "),
        ThinkingDelta("so", signature="sig", closes=True),
        TextDelta("I "),
        TextDelta("look"),
        ToolCallDelta(0, "a", "read", '{"pa'),
        ToolCallDelta(1, "b", "ls"),
        ToolCallDelta(0, arguments='th":"x"}'),
        ReplyEnd("tool_calls", Usage(5, 3)),
    ).message()
    assert reply.content == (
        Thinking("hm so", "sig"),
        Text("I look"),
        ToolCall("a", "read", '{"path":"x"}'),
        ToolCall("b", "ls", "{}"),
    )
    assert (reply.stop, reply.usage, reply.model) == ("tool_calls", Usage(5, 3), "p/m")


def test_a_closed_thinking_block_is_not_continued() -> None:
    reply = build(ThinkingDelta("a", closes=True), ThinkingDelta(redacted="x", closes=True), ReplyEnd("end")).message()
    assert reply.content == (Thinking("a"), Thinking(redacted="x"))


def test_an_unfinished_reply_keeps_its_text_and_no_call() -> None:
    reply = build(TextDelta("half"), ToolCallDelta(0, "a", "write", '{"path": "x"}')).message()
    assert (reply.content, reply.stop) == ((Text("half"),), "aborted")


def test_a_call_without_an_id_gets_one() -> None:
    reply = build(ToolCallDelta(0, name="ls"), ToolCallDelta(1, name="ls"), ReplyEnd("tool_calls")).message()
    assert len({call.id for call in reply.calls}) == 2


@given(st.lists(st.text(), max_size=20), st.integers(0, 20))
def test_text_arrives_whole_wherever_it_is_cut(pieces: list[str], stop: int) -> None:
    builder = build(*map(TextDelta, pieces[:stop]))
    assert builder.message().text == "".join(pieces[:stop])


@given(
    st.one_of(st.none(), st.floats(0, 9)),
    st.one_of(st.none(), st.floats(0, 9)),
    st.integers(0, 10**9),
    st.integers(0, 10**9),
)
def test_adding_usage_loses_nothing(cost: float | None, other: float | None, tokens: int, more: int) -> None:
    total = Usage(tokens, more, tokens, cost) + Usage(more, tokens, more, other)
    assert (total.input, total.output, total.cached) == (tokens + more,) * 3
    assert (total.cost_usd is None) == (cost is None or other is None)
