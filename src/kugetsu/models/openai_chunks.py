"""The pieces of a streamed chat completion, as OpenAI and those who imitate it send them.

Format: https://platform.openai.com/docs/api-reference/chat-streaming/streaming. Every field may be missing or null, and
some servers send numbers as strings (`DECODER` takes both) or an object where a string belongs.
"""

from typing import Any, Final

import msgspec

from kugetsu.models.pricing import Tokens, token_count

_MOST_DOLLARS: Final = 1e6
"""No call costs more."""


class FunctionPiece(msgspec.Struct, gc=False):
    """More of a function call."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class GoogleExtra(msgspec.Struct, gc=False):
    """What Gemini adds to a call."""

    thought_signature: str | None = None


class ExtraContent(msgspec.Struct, gc=False):
    """What providers add to a call."""

    google: GoogleExtra | None = None


class CallPiece(msgspec.Struct, gc=False):
    """More of a tool call."""

    index: int | None = None
    id: str | None = None
    function: FunctionPiece | None = None
    extra_content: ExtraContent | None = None


class DeltaPiece(msgspec.Struct, gc=False):
    """More of a message. Reasoning comes under one of two names, from some servers under both."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[CallPiece] | None = None


class Choice(msgspec.Struct, gc=False):
    """The one choice we ask for."""

    delta: DeltaPiece | None = None
    finish_reason: str | None = None


class PromptDetails(msgspec.Struct, gc=False):
    """Parts of the prompt's tokens; the last is OpenRouter's."""

    cached_tokens: float | None = None
    cache_write_tokens: float | None = None


class UsagePiece(msgspec.Struct, gc=False):
    """Token counts: OpenAI's, and under names of their own DeepSeek's, Moonshot's and OpenRouter's."""

    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    total_tokens: float | None = None
    prompt_tokens_details: PromptDetails | None = None
    prompt_cache_hit_tokens: float | None = None
    cached_tokens: float | None = None
    cost: Any = None
    is_byok: bool | None = None

    def tokens(self) -> Tokens:
        """The counts in our terms. Never negative, and parts never larger than the whole."""
        details = self.prompt_tokens_details or PromptDetails()
        prompt = token_count(self.prompt_tokens)
        cached = details.cached_tokens or self.prompt_cache_hit_tokens or self.cached_tokens
        # Gemini and xAI leave reasoning out of the completion, but not out of the total.
        output = max(token_count(self.completion_tokens), token_count(self.total_tokens) - prompt)
        return Tokens(
            input=prompt,
            output=output,
            cached=min(prompt, token_count(cached)),
            cache_write=min(prompt, token_count(details.cache_write_tokens)),
            cost_usd=self._cost(),
            known=True,
        )

    def _cost(self) -> float | None:
        """OpenRouter's own figure; with a key of the user's own it is but its fee and says nothing."""
        if self.is_byok or not isinstance(self.cost, int | float):
            return None
        return float(self.cost) if 0 <= self.cost < _MOST_DOLLARS else None


class GroqExtra(msgspec.Struct, gc=False):
    """Where Groq puts its counts, and errors in mid-stream."""

    usage: UsagePiece | None = None
    error: Any = None


class Chunk(msgspec.Struct, gc=False):
    """One event of a reply."""

    choices: list[Choice] | None = None
    usage: UsagePiece | None = None
    error: Any = None
    object: str | None = None
    x_groq: GroqExtra | None = None


DECODER: Final = msgspec.json.Decoder(Chunk, strict=False)
