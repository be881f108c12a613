"""Conversations as agents have them."""

from typing import Any, Self

import msgspec

from kugetsu.messages import AssistantMessage, Image, Message, Text, ToolCall, ToolResult, user


class Talk:
    """A conversation that is put together step by step."""

    def __init__(self, prompt: str = "do it") -> None:
        self.messages: list[Message] = [user(prompt)]

    def call(self, name: str, call_id: str, output: str, *, is_error: bool = False, **arguments: Any) -> Self:
        return self.raw(name, call_id, msgspec.json.encode(arguments).decode(), output, is_error=is_error)

    def raw(self, name: str, call_id: str, arguments: str, output: str, *, is_error: bool = False) -> Self:
        self.messages.append(AssistantMessage((ToolCall(call_id, name, arguments),), "tool_calls"))
        self.messages.append(ToolResult(call_id, name, (Text(output),), is_error))
        return self

    def picture(self, call_id: str) -> Self:
        self.messages.append(AssistantMessage((ToolCall(call_id, "read", '{"path":"a.png"}'),), "tool_calls"))
        shown = (Text("a.png is a picture:"), Image("aGkh" * 500, "image/png"))
        self.messages.append(ToolResult(call_id, "read", shown))
        return self

    def say(self, text: str) -> Self:
        self.messages.append(AssistantMessage((Text(text),)))
        return self

    def hear(self, text: str) -> Self:
        self.messages.append(user(text, "steering"))
        return self
