"""What a provider says of a conversation that does not fit: how large its window is, and how large the prompt was."""

import re
from collections.abc import Iterable
from typing import Final

import msgspec

_NUMBER: Final = r"([0-9][0-9,_]{1,12}[0-9])"

_WINDOWS: Final = tuple(
    re.compile(pattern.replace("#", _NUMBER), re.IGNORECASE)
    for pattern in (
        # OpenAI, OpenRouter, DeepSeek, vLLM, SGLang; xAI says prompt length, Mistral puts the number first
        r"maximum (?:context|model|prompt) length (?:is|of)(?: only)? #",
        r"# maximum context length",
        r"context length is only #",
        r"model maximum context length: #",
        r"context length(?: of only)? \(?# tokens",
        r"context length of only #",
        # Anthropic: 212345 tokens > 200000 maximum; 188240 + 21333 > 200000
        r"> #(?: maximum|,|\.|$| )",
        # OpenAI; Gemini; Copilot; Moonshot; Cohere; Cerebras; TGI; Qwen
        r"configured limit of # tokens",
        r"maximum number of tokens allowed \(?#",
        r"exceeds the limit of #",
        r"token limit: #",
        r"cannot exceed # ",
        r"while limit is #",
        r"must be <= #",
        r"input length should be \[[0-9]+, ?#\]",
        # llama.cpp, in words and as a field
        r"available context size \(# tokens\)",
        r"n_ctx[=: ]+#",
        # Groq: a request that alone exceeds the tokens of a minute
        r"per min[a-z]* \(TPM\): limit #",
    )
)
"""Patterns of the window, looked through in order."""

_PROMPTS: Final = tuple(
    re.compile(pattern.replace("#", _NUMBER), re.IGNORECASE)
    for pattern in (
        r"\(# (?:tokens )?(?:in|from) (?:the|your) (?:input )?(?:messages|prompt)",
        r"# tokens from the input messages",
        r"\(# of text input",
        r"messages resulted in # tokens",
        r"request has # input tokens",
        r"passed # input tokens",
        r"prompt \(length #\)",
        r"prompt contains # tokens",
        r"prompt is too long: #",
        r"limit: # \+ ",
        r"token count \(#\)",
        r"token count of #",
        r"request contains # tokens",
        r"request \(# tokens\)",
        r"input \(# tokens\)",
        r"\(requested: #\)",
        r"received #",
        r"current length is #",
        r"given: # `inputs`",
        r"keep the first # tokens",
        r"n_prompt_tokens[=: ]+#",
        r"requested (?:about )?# tokens",
        r"requested #",
    )
)
"""Patterns of the size of the prompt; the last ones may count the reply too."""

_SEARCHED: Final = 2_048
_LEAST: Final = 256
_MOST: Final = 20_000_000
"""Windows outside of this are numbers of something else."""


class Overflow(msgspec.Struct, frozen=True):
    """What is known of it; 0 for what is not.

    Attributes:
        window: tokens that fit into one call.
        prompt: tokens that it had.
    """

    window: int = 0
    prompt: int = 0


def read_overflow(text: str) -> Overflow:
    """Read the numbers out of a provider's words. Never raises."""
    text = text[:_SEARCHED]
    return Overflow(_first(_WINDOWS, text), _first(_PROMPTS, text))


def _first(patterns: Iterable[re.Pattern[str]], text: str) -> int:
    for pattern in patterns:
        if found := pattern.search(text):
            number = int(re.sub("[,_]", "", found[1]))
            if _LEAST <= number <= _MOST:
                return number
    return 0
