"""Whatever a conversation holds, as long as its calls have results, its request is one that providers accept."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.config import ModelSettings, ProviderSettings, Settings, Wire
from kugetsu.messages import (
    AssistantMessage,
    Image,
    InputContent,
    Message,
    ReplyContent,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    UserMessage,
    UserOrigin,
)
from kugetsu.models import Models
from kugetsu.protocols import ModelRequest
from kugetsu.testing.request_rules import problems
from models.model_lab import KEY, TOOLS, WIRES, wire_of

TEXTS = st.sampled_from(["", " ", "\n\t", "hello", "\ud800", "ä\x00b", "\u2028", '"}]']) | st.text(max_size=20)
ARGUMENTS = st.sampled_from(
    [
        "{}",
        '{"a": 1}',
        "",
        "nul",
        "[1]",
        '"x"',
        "{",
        '{"a": "\\ud800"}',
        "\udfff",
        '{"a": NaN}',
        '{"a":' * 2000,
        "{} {}",
    ]
) | st.text(max_size=10)
IMAGES = st.builds(Image, st.sampled_from(["", "aGk="]), st.sampled_from(["image/png", "image/tiff", "", "text/plain"]))
INPUT: st.SearchStrategy[tuple[InputContent, ...]] = st.lists(st.builds(Text, TEXTS) | IMAGES, max_size=3).map(tuple)
NAMES = st.sampled_from(["read", "", "no such tool!", "x" * 200, "functions.bash:0", "ü"])
MODELS = st.sampled_from(["", "test/m", "other/m"])
THOUGHTS = st.builds(Thinking, TEXTS, st.sampled_from(["", "sig"]), st.sampled_from(["", "", "opaque"]))
STOPS: st.SearchStrategy[StopReason] = st.sampled_from(["end", "tool_calls", "length", "aborted"])
ORIGINS: st.SearchStrategy[UserOrigin] = st.sampled_from(["prompt", "steering", "follow_up"])


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    messages: list[Message] = []
    for number in range(draw(st.integers(0, 6))):
        if draw(st.booleans()):
            messages.append(UserMessage(draw(INPUT), draw(ORIGINS)))
        content = list[ReplyContent](draw(st.lists(st.builds(Text, TEXTS) | THOUGHTS, max_size=3)))
        calls = [
            ToolCall(
                draw(st.sampled_from(["call_", "a.b:", "", "é|"])) + f"{number}-{place}", draw(NAMES), draw(ARGUMENTS)
            )
            for place in range(draw(st.integers(0, 3)))
        ]
        content = draw(st.permutations([*content, *calls]))
        messages.append(AssistantMessage(tuple(content), draw(STOPS), model=draw(MODELS)))
        messages.extend(
            ToolResult(call.id, call.name, draw(INPUT), draw(st.booleans()))
            for call in content
            if isinstance(call, ToolCall)
        )
    return messages


def encoded(wire: Wire, request: ModelRequest, *, images: bool) -> bytes:
    provider = ProviderSettings(
        wire=wire,
        base_url="http://127.0.0.1:9/v1",
        api_key=KEY,
        models={"m": ModelSettings(images=images)},
        reasoning_field="reasoning_content",
    )
    model = wire_of(Models(Settings(providers={"test": provider}), {}).open("test/m"))
    return model._encoded(request)


@pytest.mark.parametrize("wire", WIRES)
@given(conversations(), TEXTS, st.booleans(), st.booleans())
def test_every_paired_conversation_makes_a_valid_request(
    wire: Wire, messages: list[Message], system: str, images: bool, tools: bool
) -> None:
    body = encoded(wire, ModelRequest(system, messages, TOOLS if tools else ()), images=images)
    assert problems(wire, msgspec.json.decode(body)) == []


@pytest.mark.parametrize("wire", WIRES)
@given(conversations())
def test_every_call_and_every_result_is_in_the_request(wire: Wire, messages: list[Message]) -> None:
    body = msgspec.json.decode(encoded(wire, ModelRequest("", messages, TOOLS), images=True))
    sent = body["messages"]
    if wire == "openai":
        called = [call["id"] for message in sent for call in message.get("tool_calls", ())]
        answered = [message["tool_call_id"] for message in sent if message["role"] == "tool"]
    else:
        blocks = [block for message in sent for block in message["content"]]
        called = [block["id"] for block in blocks if block["type"] == "tool_use"]
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    assert called == answered
    assert len(called) == sum(len(message.calls) for message in messages if isinstance(message, AssistantMessage))


@pytest.mark.parametrize("wire", WIRES)
def test_a_request_does_not_depend_on_what_follows(wire: Wire) -> None:
    """Providers cache by prefix: what was sent once must be sent again as it was."""
    first: list[Message] = [
        UserMessage((Text("fix it"),)),
        AssistantMessage((Text("ok"), ToolCall("1", "read", "{}")), "tool_calls"),
        ToolResult("1", "read", (Text("file"),)),
    ]
    then: list[Message] = [
        AssistantMessage((ToolCall("2", "read", "{}"),), "tool_calls"),
        ToolResult("2", "read", (Text("more"),)),
    ]
    one, two = (
        msgspec.json.decode(encoded(wire, ModelRequest("s", messages, TOOLS), images=True).replace(MARK, b""))
        for messages in (first, first + then)
    )
    assert two["messages"][: len(one["messages"])] == one["messages"]
    assert two["tools"] == one["tools"]


MARK = b',"cache_control":{"type":"ephemeral"}'
