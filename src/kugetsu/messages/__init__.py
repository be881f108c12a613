"""Conversations: their messages, and replies while they stream. Pure data."""

from kugetsu.messages.content import (
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
    Usage,
    UserMessage,
    UserOrigin,
    user,
)
from kugetsu.messages.deltas import Delta, ReplyBuilder, ReplyEnd, TextDelta, ThinkingDelta, ToolCallDelta

__all__ = [
    "AssistantMessage",
    "Delta",
    "Image",
    "InputContent",
    "Message",
    "ReplyBuilder",
    "ReplyContent",
    "ReplyEnd",
    "StopReason",
    "Text",
    "TextDelta",
    "Thinking",
    "ThinkingDelta",
    "ToolCall",
    "ToolCallDelta",
    "ToolResult",
    "Usage",
    "UserMessage",
    "UserOrigin",
    "user",
]
