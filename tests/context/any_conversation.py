"""Any conversation that a session can hold, and the log of it."""

from collections.abc import Sequence

import msgspec
from hypothesis import strategies as st

from kugetsu.messages import (
    AssistantMessage,
    Image,
    InputContent,
    Message,
    ReplyContent,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    UserMessage,
    UserOrigin,
)
from kugetsu.sessions import Checkpoint, Entry, Finished, Heard, Replied

SIZES = st.sampled_from([0, 5, 399, 400, 401, 1_500, 9_000])
PATHS = st.sampled_from(["a.py", "./a.py", "src/b.py", "", "/w/c.py", "a\nb\ud800.py", "deep/" * 100 + "d.py"])
NAMES = st.sampled_from(["read", "read", "write", "edit", "bash", "ask", "no such tool!"])
WORDS = st.sampled_from(["word ", "строка ", "\ud800", "{}\n", "漢字", " "])
ORIGINS: st.SearchStrategy[UserOrigin] = st.sampled_from(["steering", "follow_up", "notice"])
SAID = st.sampled_from(["", " ", "but mind this " * 50, "short", "\udfff"])


@st.composite
def contents(draw: st.DrawFn) -> tuple[InputContent, ...]:
    size = draw(SIZES)
    blocks: list[InputContent] = [Text((draw(WORDS) * size)[:size])]
    if draw(st.integers(0, 5)) == 0:
        blocks.append(Image("aGk=", "image/png"))
    return tuple(blocks)


@st.composite
def words_of_users(draw: st.DrawFn, origins: st.SearchStrategy[UserOrigin]) -> UserMessage:
    picture = (Image("aGk=", "image/png"),) if draw(st.integers(0, 9)) == 0 else ()
    return UserMessage((Text(draw(SAID)), *picture), draw(origins))


@st.composite
def arguments(draw: st.DrawFn, name: str) -> str:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(["", "{", "[1]", "nul", '"' + "x" * 500 + '"', '{"path": 5, "content": null}']))
    size = draw(SIZES)
    given: dict[str, object] = {"path": draw(PATHS).encode(errors="replace").decode()}
    if name == "read":
        given |= draw(st.sampled_from([{}, {"offset": 5}, {"offset": "2", "limit": 3}, {"limit": 10**12}]))
    elif name == "ask":
        given = {"question": "which? " * (size // 7), "options": draw(st.sampled_from([None, ["a", "b"], 5, []]))}
    else:
        given |= {"content": "c" * size, "edits": [{"oldText": "o", "newText": "n" * size}], "n": 1.5}
    return msgspec.json.encode(given).decode()


@st.composite
def replies(draw: st.DrawFn, number: int) -> AssistantMessage:
    calls = []
    for place in range(draw(st.integers(0, 3))):
        name = draw(NAMES)
        calls.append(ToolCall(f"c{number}.{place}", name, draw(arguments(name))))
    content: list[ReplyContent] = [Text(draw(st.sampled_from(["I look", "I look", "", "\ud800"]))), *calls]
    if draw(st.booleans()):
        content.insert(0, Thinking("thought " * 100, "signature"))
    return AssistantMessage(tuple(content), "tool_calls" if calls else "end", model="test/m")


@st.composite
def conversations(draw: st.DrawFn, turns: int = 12) -> list[Message]:
    """A conversation of complete turns; it begins with one message or several of users."""
    messages: list[Message] = [UserMessage((Text("the task " * 200),))]
    messages += draw(st.lists(words_of_users(st.sampled_from(["prompt", "steering", "follow_up"])), max_size=2))
    for number in range(draw(st.integers(0, turns))):
        reply = draw(replies(number))
        messages.append(reply)
        messages += [ToolResult(call.id, call.name, draw(contents()), draw(st.booleans())) for call in reply.calls]
        if draw(st.integers(0, 3)) == 0:
            messages.append(draw(words_of_users(ORIGINS)))
    return messages


def log_of(messages: Sequence[Message], turn: int = 0) -> list[Entry]:
    """The log of a conversation, its replies numbered on from a turn."""
    entries: list[Entry] = []
    waiting = 0
    for message in messages:
        match message:
            case UserMessage():
                entries.append(Heard(message))
                continue
            case AssistantMessage():
                turn, waiting = turn + 1, len(message.calls)
                entries.append(Replied(turn, message))
            case ToolResult():
                waiting -= 1
                entries.append(Finished(turn, message))
        if not waiting:
            entries.append(Checkpoint(turn))
    return entries
