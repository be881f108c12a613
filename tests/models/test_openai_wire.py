from typing import Any

import msgspec
import pytest

from kugetsu.config import ModelSettings, Price, ProviderSettings, Settings
from kugetsu.errors import ModelFailure
from kugetsu.messages import (
    AssistantMessage,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    UserMessage,
    user,
)
from kugetsu.models import Models
from kugetsu.protocols import ModelRequest
from models.model_lab import KEY, TOOLS, ask, failure_of, model_at, raw_server, reply_to, sse, whole, wire_of

DONE = b"[DONE]"


def say(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}


def call(index: int | None = 0, name: str = "", arguments: object = "", call_id: str | None = None) -> dict[str, Any]:
    piece: dict[str, Any] = {"function": {"name": name or None, "arguments": arguments}}
    if index is not None:
        piece["index"] = index
    if call_id is not None:
        piece["id"] = call_id
    return say(tool_calls=[piece])


async def calls(*events: object) -> list[tuple[str, str]]:
    """Names and arguments of the calls that these events make; their ids must be there and differ."""
    reply = await reply_to("openai", *events, say("tool_calls"), DONE)
    ids = [block.id for block in reply.calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    return [(block.name, block.arguments) for block in reply.calls]


async def test_text_reasoning_and_calls_come_in_their_order() -> None:
    reply = await reply_to(
        "openai",
        say(role="assistant", content="", reasoning_content=None),
        say(reasoning_content="I "),
        say(reasoning_content="see"),
        say(content="Rea"),
        say(content="ding"),
        call(0, "read", "", "c1"),
        call(0, "", '{"path":'),
        call(0, "", '"x"}'),
        say("tool_calls"),
        DONE,
    )
    assert reply.content == (Thinking("I see"), Text("Reading"), ToolCall("c1", "read", '{"path":"x"}'))
    assert (reply.stop, reply.model) == ("tool_calls", "test/m")


@pytest.mark.parametrize(
    "both", [{"reasoning": "hm"}, {"reasoning_content": "hm"}, {"reasoning": "hm", "reasoning_content": "hm"}]
)
async def test_reasoning_under_either_name_or_both_counts_once(both: dict[str, str]) -> None:
    assert (await reply_to("openai", say(**both), say("stop", content="x"))).content[0] == Thinking("hm")


@pytest.mark.parametrize(
    "events",
    [
        [call(0, "a", '{"x":1}', "i"), call(1, "b", "{}", "j")],
        [call(0, "a", '{"x":1}', "i"), call(0, "b", "{}", "j")],
        [call(0, "a", '{"x":', "i"), call(0, "", "1}"), call(0, "b", "", "j"), call(0, "", "{}")],
        [call(None, "a", '{"x":1}', "i"), call(None, "b", "{}", "j")],
        [call(None, "a", '{"x":1}'), call(None, "b", "{}")],
        [call(0, "a", '{"x":1}', ""), call(0, "b", "{}", "")],
        [call(1, "a", '{"x":1}', "i"), call(2, "b", "{}", "j")],
        [call(0, "a", '{"x":1}', "same"), call(1, "b", "{}", "same")],
        [call(0, "a", '{"x":1}', "same"), call(0, "b", "{}", "same")],
        [call(0, "a", '{"x":', "i"), call(0, "a", "1}", "i"), call(1, "b", "{}", "j")],
        [call(0, "a", '{"x":', "r1"), call(0, "", "1}", "r2"), call(1, "b", "{}", "r3")],
        [call(0, "a", "", "i"), call(1, "b", "", "j"), call(0, "", '{"x":1}'), call(1, "", "{}")],
        [call(0, "a", {"x": 1}, "i"), call(1, "b", None, "j")],
        [call(0, "a", '{"x":1}', "i"), call(1, "b", "{}", "j"), call(0, "a", '{"x":1}', "i")],
    ],
)
async def test_calls_are_told_apart_however_a_server_numbers_them(events: list[object]) -> None:
    assert await calls(*events) == [("a", '{"x":1}'), ("b", "{}")]


async def test_two_equal_calls_without_ids_are_two_calls() -> None:
    for given in (None, ""):
        twice = call(0, "a", "{}", given), call(0, "a", "{}", given)
        assert await calls(*twice) == [("a", "{}"), ("a", "{}")]


async def test_several_calls_in_one_chunk_are_taken() -> None:
    pieces = [{"index": n, "id": f"i{n}", "function": {"name": "a", "arguments": "{}"}} for n in range(3)]
    assert len(await calls(say(tool_calls=pieces))) == 3


@pytest.mark.parametrize(
    ("reason", "with_call", "stop"),
    [
        ("stop", False, "end"),
        ("stop", True, "tool_calls"),
        ("tool_calls", True, "tool_calls"),
        ("tool_calls", False, "end"),
        ("function_call", True, "tool_calls"),
        ("length", False, "length"),
        ("length", True, "length"),
        ("model_length", True, "length"),
        ("max_tokens", True, "length"),
        ("MAX_TOKENS", True, "length"),
        ("eos", False, "end"),
    ],
)
async def test_finish_reasons_become_stops(reason: str, with_call: bool, stop: str) -> None:
    events = [call(0, "a", "{}", "i")] if with_call else [say(content="x")]
    assert (await reply_to("openai", *events, say(reason), DONE)).stop == stop


@pytest.mark.parametrize(
    ("events", "kind"),
    [
        ([say(content="I"), say("content_filter")], "refused"),
        ([say(refusal="I can"), say(refusal="not"), say("stop")], "refused"),
        ([say("error")], "overloaded"),
        ([say("insufficient_system_resource")], "overloaded"),
        ([say("function_call_filter: MALFORMED_FUNCTION_CALL")], "malformed"),
        ([say(content="I"), {"error": {"code": 502, "message": "gone"}, **say("error")}], "overloaded"),
        ([{"error": {"message": "Rate limit", "code": "rate_limit_exceeded"}}], "rate_limited"),
        ([{"object": "error", "message": "maximum context length is 9 tokens"}], "context_overflow"),
        ([{"x_groq": {"error": "over capacity"}}], "overloaded"),
        ([say(content="I")], "malformed"),
        ([], "malformed"),
        ([DONE], "malformed"),
        ([b"nonsense"], "malformed"),
        ([b'"text"'], "malformed"),
        ([b'{"choices": 7}'], "malformed"),
        ([b'{"choices": [{"delta": {"content": "\xff"}}]}'], "malformed"),
        ([b'{"a":' * 5000], "malformed"),
        ([{"hello": "world"}], "malformed"),
        ([{"object": "mystery"}, say("stop", content="x")], "malformed"),
    ],
)
async def test_what_goes_wrong_in_a_reply_is_typed(events: list[object], kind: ModelFailure) -> None:
    assert (await failure_of("openai", *events)).kind == kind


async def test_an_event_named_error_is_one_whatever_it_holds() -> None:
    body = b'event: error\ndata: {"message": "overloaded"}\n\n'
    async with raw_server(whole(body)) as server, model_at(server.base_url) as model:
        with pytest.raises(Exception, match="test/m: the provider is overloaded"):
            await ask(model)


@pytest.mark.parametrize("end", [[], [DONE], [b" "], [say("stop")], [b'{"half'], [{"choices": []}]])
async def test_a_reply_with_a_reason_is_whole_however_it_ends(end: list[object]) -> None:
    assert (await reply_to("openai", say(content="x"), say("stop"), *end)).text == "x"


async def test_the_mark_of_the_end_is_enough_without_a_reason() -> None:
    assert (await reply_to("openai", say(content="x"), DONE, b"never read")).stop == "end"


async def test_chunks_that_say_nothing_are_passed_over() -> None:
    filters: object = {"choices": [], "prompt_filter_results": [{}]}
    body = b": comment\n\nevent: ping\ndata: {}\n\n" + sse(
        filters, {"choices": [{"delta": None}]}, say("stop", content="x")
    )
    async with raw_server(whole(body)) as server, model_at(server.base_url) as model:
        assert (await ask(model)).text == "x"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}, (9, 4, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 5}}, (9, 4, 5)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "prompt_cache_hit_tokens": 6}, (9, 4, 6)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "cached_tokens": 7}, (9, 4, 7)),
        ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 33}, (9, 24, 0)),
        ({"prompt_tokens": "9", "completion_tokens": None, "prompt_tokens_details": None}, (9, 0, 0)),
        ({"prompt_tokens": 9.0, "completion_tokens": -4, "cached_tokens": 99}, (9, 0, 9)),
        ({"prompt_tokens": "nan", "completion_tokens": "inf", "total_tokens": "-inf"}, (0, 0, 0)),
        ({"prompt_tokens": 9, "completion_tokens": 1e300, "cached_tokens": "nan"}, (9, 0, 0)),
    ],
)
@pytest.mark.parametrize("place", ["own chunk", "last chunk", "every chunk", "groq"])
async def test_usage_is_found_wherever_it_stands(
    usage: dict[str, Any], expected: tuple[int, int, int], place: str
) -> None:
    early = {"prompt_tokens": 1, "completion_tokens": 1}
    events = {
        "own chunk": [say("stop", content="x"), {"choices": [], "usage": usage}],
        "last chunk": [say(content="x"), {**say("stop"), "usage": usage}],
        "every chunk": [{**say(content="x"), "usage": early}, {**say("stop"), "usage": usage}],
        "groq": [{**say("stop", content="x"), "x_groq": {"id": "1", "usage": usage}}],
    }[place]
    used = (await reply_to("openai", *events, DONE)).usage
    assert (used.input, used.output, used.cached) == expected


async def test_a_server_that_reports_no_usage_has_no_price() -> None:
    models = {"m": ModelSettings(price=Price(1, 1))}
    assert (await reply_to("openai", say("stop", content="x"), models=models)).usage == Usage(cost_usd=None)


async def test_the_price_in_the_settings_counts() -> None:
    usage = {
        "prompt_tokens": 1_000_000,
        "completion_tokens": 100_000,
        "prompt_tokens_details": {"cached_tokens": 400_000},
    }
    models = {"m": ModelSettings(price=Price(input=2, output=10, cached=0.5))}
    reply = await reply_to("openai", {**say("stop", content="x"), "usage": usage}, models=models)
    assert reply.usage.cost_usd == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.1 * 10)


async def test_the_cost_that_openrouter_names_counts() -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "cost": 0.25}
    body = whole(sse({**say("stop", content="x"), "usage": usage}))
    async with raw_server(body) as server:
        provider = ProviderSettings(base_url=server.base_url, api_key=KEY)
        async with Models(Settings(providers={"openrouter": provider}), {}) as models:
            model = models.open("openrouter/unheard/of")
            assert model.info.priced
            assert (await ask(model)).usage.cost_usd == 0.25


@pytest.mark.parametrize("cost", [b"9" * 400, b"-1", b"1e300"])
async def test_a_cost_that_cannot_be_true_is_none(cost: bytes) -> None:
    usage = b'{"choices": [], "usage": {"prompt_tokens": 1, "cost": %s}}' % cost
    body = whole(sse(say("stop", content="x"), usage))
    async with raw_server(body) as server:
        provider = ProviderSettings(base_url=server.base_url, api_key=KEY)
        async with Models(Settings(providers={"openrouter": provider}), {}) as models:
            assert (await ask(models.open("openrouter/unheard/of"))).usage == Usage(1, cost_usd=None)


def body_of(messages: list[Message], name: str = "m", **changes: Any) -> dict[str, Any]:
    provider = ProviderSettings(**{"base_url": "http://127.0.0.1:9/v1", "api_key": KEY, **changes})
    providers = {"test": provider, "openai": provider, "openrouter": provider}
    model = wire_of(Models(Settings(providers=providers), {}).open(name if "/" in name else f"test/{name}"))
    decoded: dict[str, Any] = msgspec.json.decode(model._encoded(ModelRequest("Be good.", messages, TOOLS, "k" * 99)))
    return decoded


def test_a_request_is_of_the_documented_form() -> None:
    reply = AssistantMessage((Text("ok"), ToolCall("1", "read", '{"path": "x"}')), "tool_calls")
    result = ToolResult("1", "read", (Text("file"),))
    assert body_of([user("go"), reply, result, user("and", "steering")]) == {
        "model": "m",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "Be good."},
            {"role": "user", "content": "go"},
            {
                "role": "assistant",
                "content": "ok",
                "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "read", "arguments": '{"path": "x"}'}}
                ],
            },
            {"role": "tool", "tool_call_id": "1", "name": "read", "content": "file"},
            {"role": "user", "content": "and"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "read",
                    "description": "Read a file.",
                    "parameters": {"type": "object", "properties": {"path": {}}},
                },
            }
        ],
    }


def test_pictures_go_in_messages_of_the_user_also_those_from_tools() -> None:
    picture = Image("aGk=", "image/png")
    messages: list[Message] = [
        UserMessage((Text("see"), picture)),
        AssistantMessage((ToolCall("1", "read", "{}"), ToolCall("2", "read", "{}"))),
        ToolResult("1", "read", (Text("a picture"), picture)),
        ToolResult("2", "read", (picture,)),
    ]
    sent = body_of(messages, models={"m": ModelSettings(images=True)})["messages"]
    url = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    assert sent[1]["content"] == [{"type": "text", "text": "see"}, url]
    assert [message["role"] for message in sent[3:]] == ["tool", "tool", "user"]
    assert sent[3]["content"] == "a picture\n(the pictures follow in the next message)"
    assert sent[5]["content"] == [{"type": "text", "text": "Pictures from the tool results above:"}, url, url]


def test_reasoning_goes_back_under_the_name_in_the_settings() -> None:
    call_alone = AssistantMessage((ToolCall("1", "read", "{}"),))
    messages: list[Message] = [
        user("a"),
        AssistantMessage((Thinking("hm"), Text("b"))),
        user("c"),
        call_alone,
        ToolResult("1", "read", (Text("d"),)),
    ]
    assert all("reasoning_content" not in message for message in body_of(messages)["messages"])
    sent = body_of(messages, reasoning_field="reasoning_content")["messages"]
    assert sent[2]["reasoning_content"] == "hm"
    assert sent[4]["reasoning_content"] == "", "DeepSeek wants the field beside every call"


async def test_the_signature_of_a_gemini_call_goes_back_with_it() -> None:
    pieces = [
        {"index": 0, "id": "a", "function": {"name": "x", "arguments": "{}"}},
        {"index": 1, "id": "b", "function": {"name": "y", "arguments": "{}"}},
    ]
    pieces[0]["extra_content"] = {"google": {"thought_signature": "proof"}}
    reply = await reply_to("openai", say(content="hm"), say("stop", tool_calls=pieces), DONE)
    answers = [ToolResult(call_id, "x", (Text("ok"),)) for call_id in ("a", "b")]
    sent = body_of([user("go"), reply, *answers])["messages"][2]["tool_calls"]
    assert sent[0]["extra_content"] == {"google": {"thought_signature": "proof"}}
    assert "extra_content" not in sent[1]


def test_the_longest_reply_is_sent_when_the_settings_name_it() -> None:
    models = {"m": ModelSettings(max_output=777)}
    assert "max_tokens" not in body_of([user("a")])
    assert body_of([user("a")], models=models)["max_tokens"] == 777
    assert body_of([user("a")], "openai/m", models=models)["max_completion_tokens"] == 777


def test_claude_behind_openrouter_is_asked_to_cache() -> None:
    assert body_of([user("a")], "openrouter/anthropic/claude-x")["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" not in body_of([user("a")], "openrouter/other/model")


def test_openai_is_told_which_conversation_it_is() -> None:
    assert body_of([user("a")], "openai/m")["prompt_cache_key"] == "k" * 64
    assert "prompt_cache_key" not in body_of([user("a")])


def test_tools_are_encoded_once_for_the_same_tuple() -> None:
    provider = ProviderSettings(base_url="http://127.0.0.1:9/v1")
    model = wire_of(Models(Settings(providers={"test": provider}), {}).open("test/m"))
    tools = model._tools  # type: ignore[attr-defined] # white-box: what it saves cannot be seen from outside
    assert tools.of(TOOLS) is tools.of(TOOLS)
    for number in range(200):
        assert str(number).encode() in bytes(tools.of((msgspec.structs.replace(TOOLS[0], name=f"t{number}"),)))
