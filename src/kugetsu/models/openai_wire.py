"""OpenAI's chat completions, streamed; OpenRouter, Ollama, vLLM, LM Studio, DeepSeek, Groq and Gemini speak it too."""

from collections.abc import Iterator
from typing import Final

from kugetsu.errors import ModelError, ModelFailure
from kugetsu.messages import Delta, ReplyEnd, StopReason, TextDelta, ThinkingDelta, encode_json
from kugetsu.models.call_pieces import CallPieces
from kugetsu.models.encoding import EncodedTools, JsonObject
from kugetsu.models.http import Endpoint
from kugetsu.models.http_model import EventReader, HttpModel
from kugetsu.models.limiter import Limiter
from kugetsu.models.openai_chunks import DECODER, CallPiece, Chunk, DeltaPiece
from kugetsu.models.openai_request import message_list, tool_list
from kugetsu.models.pricing import Pricing, Tokens
from kugetsu.models.reporter import Reporter
from kugetsu.models.turns import turns
from kugetsu.protocols import ModelInfo, ModelRequest

_DONE: Final = b"[DONE]"
_CONVERSATION_LENGTH: Final = 64
_CHUNK: Final = "chat.completion.chunk"
_HEARTBEATS: Final = frozenset({b"ping", b"keepalive", b"keep-alive", b"heartbeat"})
_CUT: Final = frozenset({"length", "model_length", "max_tokens"})
"""Finish reasons, in lower case, of replies that are not whole: OpenAI's, Mistral's, and what Gemini and Anthropic call
it, which gateways pass on."""

_GAVE_UP: Final = frozenset({"error", "insufficient_system_resource", "abort"})


class OpenAIModel(HttpModel):
    """A model behind the chat completions API.

    Args:
        name: `provider/model`.
        info: what is known of it.
        endpoint: where it is called.
        limiter: of all calls of it.
        pricing: what its tokens cost.
        fields: of every request: the model's name, its longest reply, what this provider wants beside them.
        cap_field: name of the one that says how long the reply may be.
        reasoning_field: name under which reasoning is carried back; empty: it is not.
        conversation_field: name under which the conversation is told apart from others; empty: it is not.
    """

    def __init__(
        self,
        name: str,
        info: ModelInfo,
        endpoint: Endpoint,
        limiter: Limiter,
        pricing: Pricing,
        *,
        fields: JsonObject,
        cap_field: str,
        reasoning_field: str = "",
        conversation_field: str = "",
    ) -> None:
        super().__init__(name, info, endpoint, limiter, fields=fields, cap_field=cap_field)
        self._pricing = pricing
        self._reasoning_field = reasoning_field
        self._conversation_field = conversation_field
        self._tools = EncodedTools(tool_list)

    def _encoded(self, request: ModelRequest) -> bytes:
        conversation = turns(request.messages, model=self.name, images=self.info.images)
        body: JsonObject = {
            **self._fields_of(request),
            "messages": message_list(request.system, conversation, self._reasoning_field),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if request.tools:
            body["tools"] = self._tools.of(request.tools)
        if self._conversation_field and request.conversation:
            body[self._conversation_field] = request.conversation[:_CONVERSATION_LENGTH]
        return encode_json(body)

    def _reader(self) -> EventReader:
        return ChunkReader(self._pricing, self._endpoint.reporter)


class ChunkReader:
    """Reads the chunks of one reply. Implements `EventReader`."""

    def __init__(self, pricing: Pricing, reporter: Reporter) -> None:
        self._pricing = pricing
        self._reporter = reporter
        self._calls = CallPieces()
        self._tokens = Tokens()
        self._reason = ""
        self._refusal = ""
        self._begun = False
        self.finished = False

    @property
    def complete(self) -> bool:
        """Whether a finish reason came, or the mark of the end after some content."""
        return bool(self._reason) or (self.finished and self._begun)

    def read(self, name: bytes, data: bytes) -> list[Delta]:
        """Take the next event; see `EventReader`."""
        if data.startswith(_DONE):
            self.finished = True
            return []
        if name == b"error":
            raise self._reporter.streamed(data)
        chunk = DECODER.decode(data)
        if chunk.error or (chunk.x_groq and chunk.x_groq.error):
            raise self._reporter.streamed(data)
        if usage := chunk.usage or (chunk.x_groq and chunk.x_groq.usage):
            self._tokens = usage.tokens()
        if not chunk.choices:
            self._check_bare(chunk, name, data)
            return []
        self._begun = True
        choice = chunk.choices[0]
        deltas = list(self._deltas(choice.delta)) if choice.delta else []
        if choice.finish_reason:
            self._finish(choice.finish_reason, data)
        return deltas

    def end(self) -> ReplyEnd:
        """Why the reply ended; see `EventReader`."""
        stop: StopReason = "tool_calls" if self._calls else "end"
        return ReplyEnd("length" if self._reason.lower() in _CUT else stop, self._pricing.usage(self._tokens))

    def _deltas(self, delta: DeltaPiece) -> Iterator[Delta]:
        if reasoning := delta.reasoning_content or delta.reasoning:
            yield ThinkingDelta(reasoning)
        if delta.content:
            yield TextDelta(delta.content)
        self._refusal += delta.refusal or ""
        for piece in delta.tool_calls or ():
            yield from self._call(piece)

    def _call(self, piece: CallPiece) -> Iterator[Delta]:
        google = piece.extra_content and piece.extra_content.google
        if google and google.thought_signature:
            # Kept as reasoning right before its call, which is where the request looks for it.
            yield ThinkingDelta(signature=google.thought_signature, closes=True)
        yield self._calls.take(piece)

    def _finish(self, reason: str, data: bytes) -> None:
        if reason == "content_filter" or (self._refusal and not self._calls):
            raise self._reporter.failed("refused", self._refusal or "the provider's filter cut the reply")
        if reason in _GAVE_UP or "malformed_function_call" in reason.lower():
            raise self._broken(reason, data)
        self._reason = reason

    def _broken(self, reason: str, data: bytes) -> ModelError:
        """The provider gave up in mid-reply (OpenRouter, DeepSeek, vLLM), or its model did (Gemini)."""
        if reason == "error":
            return self._reporter.streamed(data)
        kind: ModelFailure = "malformed" if "malformed" in reason.lower() else "overloaded"
        return self._reporter.failed(kind, f"the reply ended with {reason!r}")

    def _check_bare(self, chunk: Chunk, name: bytes, data: bytes) -> None:
        """Raise for a chunk that says nothing we know: what it might have said would be lost."""
        if chunk.choices is not None or chunk.usage or chunk.x_groq or chunk.object == _CHUNK or name in _HEARTBEATS:
            return
        if chunk.object == "error":
            raise self._reporter.streamed(data)
        raise self._reporter.failed("malformed", f"unknown event {data.decode('utf-8', 'replace')}")
