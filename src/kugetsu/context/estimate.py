"""About how many tokens a text has, without a tokenizer: pieces of a few kinds are counted, each with a weight.

The weights were fitted to o200k_base (OpenAI, 2024) on 240 texts: code, prose in many scripts, logs, listings, hashes. Other
tokenizers make up to half as many tokens more; how much, a conversation learns from what its provider counts (`Meter`).
"""

import math
import re
from collections.abc import Callable
from typing import Final, TypeAlias, assert_never

from kugetsu.messages import Image, Message, Text, Thinking, ToolCall

_WHOLE: Final = 4_096
"""Characters up to which every one is looked at: about a millisecond."""

_PARTS: Final = 8
_PART: Final = 256
"""Of a longer text so many parts, of so many characters, stand for the rest."""

_FRAME: Final = 6
"""Tokens for the role, the name and the marks around a message or a call."""

PICTURE: Final = 1_500
"""Tokens of a picture: what one of a million pixels costs; providers count from 85 to 6,000."""

_SEALED: Final = 4
"""Characters of encrypted reasoning that one token makes."""

_Count: TypeAlias = tuple[Callable[[str], list[str]], float, float]
"""Finds the pieces of one kind; the tokens that each makes, and each of its characters."""


def _kind(pattern: str, each: float, character: float = 0.0) -> _Count:
    return re.compile(pattern).findall, each, character


_LATIN: Final = r"\u00c0-\u024f\u1e00-\u1eff"

_ALWAYS: Final = (
    _kind(rf"[A-Z]?[a-z{_LATIN}]+|[A-Z]+", 1.067),
    _kind(rf"[a-z{_LATIN}]{{6,}}", -2.85, 0.41),
    _kind(r"[0-9]{1,3}", 1.692),
    _kind(r"(?<=[0-9])[A-Za-z]", -0.766),  # what is mixed is in fewer pieces: hashes
    _kind(r"[!-/:-@\[-`{-~]+", 0.225, 0.224),
    _kind(r"\n\s*", 1.713),
    _kind(r"(?<=\S)[ \t]{2,}(?=\S)", 0.323),
)

_BEYOND_ASCII: Final = (
    _kind(r"[\u00c0-\u024f]", 0.439),
    _kind(r"[\u0370-\u03ff]", 0.399),
    _kind(r"[\u0400-\u052f]", 0.304),
    _kind(r"[\u0590-\u06ff\u0750-\u077f]", 0.396),
    _kind(r"[\u0900-\u0dff]", 0.373),
    _kind(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]", 0.42),
    _kind(r"[\u3040-\u30ff]", 0.754),
    _kind(r"[\u3400-\u9fff\uf900-\ufaff]", 0.878),
    _kind(r"[\uac00-\ud7af\u1100-\u11ff]", 0.778),
    _kind(
        r"[^\x00-\u024f\u0370-\u052f\u0590-\u06ff\u0750-\u077f\u0900-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"
        r"\u1e00-\u1eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]",
        0.7,
    ),
)


def estimate_text(text: str) -> int:
    """About how many tokens a text has: within 15 % for code and prose. Half a millisecond for a long one."""
    if len(text) <= _WHOLE:
        return math.ceil(_weighed(text))
    step = (len(text) - _PART) / (_PARTS - 1)
    starts = (int(step * place) for place in range(_PARTS))
    return math.ceil(sum(_weighed(text[start : start + _PART]) for start in starts) * len(text) / (_PARTS * _PART))


def estimate(message: Message) -> int:
    """About how many tokens a message has."""
    return _FRAME + sum(map(_block, message.content))


def _block(block: Text | Image | Thinking | ToolCall) -> int:
    match block:
        case Text():
            return estimate_text(block.text)
        case Thinking():
            return estimate_text(block.text) + len(block.redacted) // _SEALED
        case Image():
            return PICTURE
        case ToolCall():
            return _FRAME + estimate_text(block.name) + estimate_text(block.arguments)
        case _:
            assert_never(block)


def _weighed(text: str) -> float:
    kinds = _ALWAYS if text.isascii() else _ALWAYS + _BEYOND_ASCII
    tokens = 0.0
    for find, each, character in kinds:
        pieces = find(text)
        tokens += each * len(pieces)
        if character:
            tokens += character * sum(map(len, pieces))
    return tokens
