from typing import Any

import msgspec
import pytest

from kugetsu.config import ModelSettings, Price, ProviderSettings, Settings
from kugetsu.errors import ModelFailure
from kugetsu.messages import AssistantMessage, Image, Message, Text, Thinking, ToolCall, ToolResult, UserMessage, user
from kugetsu.models import Models
from kugetsu.protocols import ModelRequest
from models.model_lab import KEY, TOOLS, failure_of, reply_to, wire_of

STOP = {"type": "message_stop"}
BREAKPOINT = {"type": "ephemeral"}


def start(**usage: int) -> dict[str, Any]:
    return {"type": "message_start", "message": {"id": "msg_1", "role": "assistant", "content": [], "usage": usage}}


def block(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **fields}}


def more(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}


def stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def end(reason: str = "end_turn", **usage: int) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}


async def test_thinking_text_and_calls_come_in_their_order() -> None:
    reply = await reply_to(
        "anthropic",
        start(input_tokens=3),
        block(0, "thinking", thinking="", signature=""),
        {"type": "ping"},
        more(0, "thinking_delta", thinking="I "),
        more(0, "thinking_delta", thinking="see"),
        more(0, "signature_delta", signature="proof"),
        stop(0),
        block(1, "redacted_thinking", data="opaque"),
        stop(1),
        block(2, "text", text=""),
        more(2, "text_delta", text="Read"),
        more(2, "text_delta", text="ing"),
        stop(2),
        block(3, "tool_use", id="toolu_1", name="read", input={}),
        more(3, "input_json_delta", partial_json=""),
        more(3, "input_json_delta", partial_json='{"path":'),
        more(3, "input_json_delta", partial_json='"x"}'),
        stop(3),
        block(4, "tool_use", id="toolu_2", name="ls", input={}),
        stop(4),
        end("tool_use"),
        STOP,
    )
    assert reply.content == (
        Thinking("I see", "proof"),
        Thinking(redacted="opaque"),
        Text("Reading"),
        ToolCall("toolu_1", "read", '{"path":"x"}'),
        ToolCall("toolu_2", "ls", "{}"),
    )
    assert reply.stop == "tool_calls"


async def test_neighbouring_thoughts_keep_their_own_signatures() -> None:
    events = [
        event
        for index, proof in enumerate(("one", "two"))
        for event in (
            block(index, "thinking"),
            more(index, "thinking_delta", thinking=proof),
            more(index, "signature_delta", signature=proof),
            stop(index),
        )
    ]
    reply = await reply_to("anthropic", *events, block(2, "text", text="x"), end(), STOP)
    assert reply.content == (Thinking("one", "one"), Thinking("two", "two"), Text("x"))


async def test_arguments_that_come_whole_at_the_beginning_count() -> None:
    reply = await reply_to(
        "anthropic", block(0, "tool_use", id="a", name="read", input={"path": "x"}), stop(0), end(), STOP
    )
    assert reply.calls == (ToolCall("a", "read", '{"path":"x"}'),)


async def test_fragments_count_over_arguments_at_the_beginning() -> None:
    events = [block(0, "tool_use", id="a", name="r", input={"old": 1}), more(0, "input_json_delta", partial_json="{}")]
    assert (await reply_to("anthropic", *events, stop(0), end(), STOP)).calls == (ToolCall("a", "r", "{}"),)


async def test_missing_and_repeated_ids_are_made_up() -> None:
    events = [block(index, "tool_use", id=given, name="r") for index, given in enumerate(["a", "a", "", None])]
    ids = [call.id for call in (await reply_to("anthropic", *events, end("tool_use"), STOP)).calls]
    assert ids[0] == "a"
    assert len(set(ids)) == 4
    assert all(ids)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "end"),
        ("stop_sequence", "end"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("tool_use", "end"),
    ],
)
async def test_stop_reasons_become_stops(reason: str, expected: str) -> None:
    reply = await reply_to("anthropic", block(0, "text", text="x"), stop(0), end(reason), STOP)
    assert (reply.text, reply.stop) == ("x", expected)


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ([start(), end("refusal"), STOP], "refused"),
        ([start(), {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}], "overloaded"),
        ([{"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}], "rate_limited"),
        (
            [
                {
                    "type": "error",
                    "error": {"type": "api_error", "message": "Output blocked by content filtering policy"},
                }
            ],
            "refused",
        ),
        ([start(), block(0, "text", text="x")], "malformed"),
        ([], "malformed"),
        ([{"type": "mystery"}, end(), STOP], "malformed"),
        ([{}], "malformed"),
        ([block(0, "server_tool_use"), end(), STOP], "malformed"),
        ([block(0, "text"), more(0, "citations_delta"), end(), STOP], "malformed"),
        ([b"nonsense"], "malformed"),
        ([b"[]"], "malformed"),
        ([b'{"type": "content_block_delta", "index": {}}'], "malformed"),
    ],
)
async def test_what_goes_wrong_in_a_reply_is_typed(events: list[object], kind: ModelFailure) -> None:
    assert (await failure_of("anthropic", *events)).kind == kind


@pytest.mark.parametrize("last", [[], [STOP], [b"half {"]])
async def test_a_reply_with_a_stop_reason_is_whole_however_it_ends(last: list[object]) -> None:
    assert (await reply_to("anthropic", block(0, "text", text="x"), end(), *last)).text == "x"


@pytest.mark.parametrize(
    "events",
    [
        [
            start(input_tokens=10, cache_creation_input_tokens=20, cache_read_input_tokens=70, output_tokens=2),
            end(output_tokens=9),
        ],
        [
            start(input_tokens=0),
            end(input_tokens=10, cache_creation_input_tokens=20, cache_read_input_tokens=70, output_tokens=9),
        ],
        [
            start(input_tokens=10, cache_creation_input_tokens=20, cache_read_input_tokens=70),
            end(input_tokens=0, output_tokens=9),
        ],
    ],
)
async def test_usage_counts_all_of_the_prompt(events: list[object]) -> None:
    models = {"m": ModelSettings(price=Price(input=10, output=100, cached=1, cache_write=20))}
    used = (await reply_to("anthropic", *events, STOP, models=models)).usage
    assert (used.input, used.output, used.cached) == (100, 9, 70)
    assert used.cost_usd == pytest.approx((10 * 10 + 20 * 20 + 70 * 1 + 9 * 100) / 1_000_000)


@pytest.mark.parametrize("count", ["nan", "inf", "-inf", 1e300, -5])
async def test_a_count_that_cannot_be_true_is_nothing(count: object) -> None:
    begin = {"type": "message_start", "message": {"usage": {"input_tokens": count, "cache_read_input_tokens": 7}}}
    finish = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": count}}
    used = (await reply_to("anthropic", begin, block(0, "text", text="x"), finish, STOP)).usage
    assert (used.input, used.output, used.cached) == (7, 0, 7)


def body_of(messages: list[Message], *, tools: bool = True, system: str = "Be good.", **known: Any) -> dict[str, Any]:
    known = {"images": True, **known}
    provider = ProviderSettings(
        wire="anthropic", base_url="http://127.0.0.1:9", api_key=KEY, models={"m": ModelSettings(**known)}
    )
    model = wire_of(Models(Settings(providers={"test": provider}), {}).open("test/m"))
    request = ModelRequest(system, messages, TOOLS if tools else ())
    decoded: dict[str, Any] = msgspec.json.decode(model._encoded(request))
    return decoded


def text(words: str, **more_fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more_fields}


def test_a_request_is_of_the_documented_form() -> None:
    reply = AssistantMessage(
        (Thinking("hm", "proof"), Thinking(redacted="opaque"), Text("ok"), ToolCall("1", "read", "{}"))
    )
    messages: list[Message] = [user("go"), reply, ToolResult("1", "read", (Text("file"),), is_error=True), user("and")]
    assert body_of(messages, max_output=500) == {
        "model": "m",
        "max_tokens": 500,
        "stream": True,
        "system": [text("Be good.", cache_control=BREAKPOINT)],
        "messages": [
            {"role": "user", "content": [text("go", cache_control=BREAKPOINT)]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "proof"},
                    {"type": "redacted_thinking", "data": "opaque"},
                    text("ok"),
                    {"type": "tool_use", "id": "1", "name": "read", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "1", "content": [text("file")], "is_error": True},
                    text("and", cache_control=BREAKPOINT),
                ],
            },
        ],
        "tools": [
            {
                "name": "read",
                "description": "Read a file.",
                "input_schema": {"type": "object", "properties": {"path": {}}},
                "cache_control": BREAKPOINT,
            }
        ],
    }


def test_all_results_of_a_reply_are_one_message() -> None:
    calls = tuple(ToolCall(str(number), "read", "{}") for number in range(3))
    results = [ToolResult(call.id, "read", (Text("x"),)) for call in calls]
    messages = body_of([user("go"), AssistantMessage(calls), *results])["messages"]
    assert [block["tool_use_id"] for block in messages[2]["content"]] == ["0", "1", "2"]


def test_breakpoints_stand_at_the_ends_of_the_last_two_turns_of_the_user() -> None:
    messages: list[Message] = [user("a")]
    for number in range(3):
        messages += [
            AssistantMessage((ToolCall(str(number), "read", "{}"),)),
            ToolResult(str(number), "read", (Text("x"),)),
        ]
    sent = body_of(messages)["messages"]
    assert ["cache_control" in message["content"][-1] for message in sent if message["role"] == "user"] == [
        False,
        False,
        True,
        True,
    ]


def test_pictures_go_where_they_were() -> None:
    picture = Image("aGk=", "image/png")
    wire = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    messages: list[Message] = [
        UserMessage((picture, Text("see"))),
        AssistantMessage((ToolCall("1", "read", "{}"), ToolCall("2", "read", "{}"))),
        ToolResult("1", "read", (picture,)),
        ToolResult("2", "read", (picture,), is_error=True),
    ]
    sent = body_of(messages)["messages"]
    assert sent[0]["content"][0] == wire
    assert sent[2]["content"][0]["content"] == [wire]
    assert sent[2]["content"][1]["content"] == [text("(a picture, image/png, is left out)")]


def test_arguments_that_are_no_object_are_wrapped() -> None:
    reply = AssistantMessage((ToolCall("1", "read", '{"path": '),))
    sent = body_of([user("go"), reply, ToolResult("1", "read", (Text("bad"),))])["messages"]
    assert sent[1]["content"][0]["input"] == {"invalid_arguments": '{"path": '}


def test_ids_and_names_of_other_providers_become_acceptable_and_stay_joined() -> None:
    calls = (ToolCall("functions.read:0", "no such tool!", "{}"), ToolCall("functions.read:1", "", "{}"))
    results = [ToolResult(call.id, call.name, (Text(call.id),)) for call in calls]
    sent = body_of([user("go"), AssistantMessage(calls), *results])["messages"]
    uses, answers = sent[1]["content"], sent[2]["content"]
    assert [use["name"] for use in uses] == ["no_such_tool_", "unknown"]
    assert [use["id"] for use in uses] == [answer["tool_use_id"] for answer in answers]
    assert uses[0]["id"] != uses[1]["id"]
    assert answers[0]["content"][0]["text"] == "functions.read:0"


def test_a_conversation_with_calls_names_tools_even_when_none_may_be_called() -> None:
    messages: list[Message] = [
        user("go"),
        AssistantMessage((ToolCall("1", "read", "{}"),)),
        ToolResult("1", "read", (Text("x"),)),
        user("sum up"),
    ]
    assert [tool["name"] for tool in body_of(messages, tools=False)["tools"]] == ["read"]
    assert "tools" not in body_of([user("go")], tools=False)


def test_a_blank_system_prompt_is_left_out() -> None:
    assert "system" not in body_of([user("go")], system=" \n")


@pytest.mark.parametrize("base_url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_the_base_url_may_end_with_v1_or_not(base_url: str) -> None:
    provider = ProviderSettings(wire="anthropic", base_url=base_url)
    model = wire_of(Models(Settings(providers={"test": provider}), {}).open("test/m"))
    assert str(model._endpoint._url) == "http://h:1/v1/messages"
