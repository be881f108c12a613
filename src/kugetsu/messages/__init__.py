"""Conversations: their messages, and replies while they stream. Pure data."""

from kugetsu.messages.content import (
    SPOKEN,
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
from kugetsu.messages.deltas import Delta, ReplyBuilder, ReplyEnd, ReplyStart, TextDelta, ThinkingDelta, ToolCallDelta
from kugetsu.messages.encoding import encode_json, well_formed
from kugetsu.messages.measure import most_tokens, most_tokens_of_prompt, most_tokens_of_text

__all__ = [
    "SPOKEN",
    "AssistantMessage",
    "Delta",
    "Image",
    "InputContent",
    "Message",
    "ReplyBuilder",
    "ReplyContent",
    "ReplyEnd",
    "ReplyStart",
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
    "encode_json",
    "most_tokens",
    "most_tokens_of_prompt",
    "most_tokens_of_text",
    "user",
    "well_formed",
]
