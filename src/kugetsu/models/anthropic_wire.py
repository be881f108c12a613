"""Anthropic's messages API, streamed; also spoken by several providers of other models."""

from collections.abc import Iterator
from typing import Final

import msgspec

from kugetsu.messages import Delta, ReplyEnd, StopReason, TextDelta, ThinkingDelta, ToolCallDelta, encode_json
from kugetsu.models.anthropic_events import DECODER, BlockPiece, DeltaPiece, Event, UsageCount
from kugetsu.models.anthropic_request import message_list, retired_tools, system_blocks, tool_list
from kugetsu.models.call_ids import CallIds
from kugetsu.models.encoding import EncodedTools, JsonObject
from kugetsu.models.http import Endpoint
from kugetsu.models.http_model import EventReader, HttpModel
from kugetsu.models.limiter import Limiter
from kugetsu.models.pricing import Pricing
from kugetsu.models.reporter import Reporter
from kugetsu.models.turns import turns
from kugetsu.protocols import ModelInfo, ModelRequest

API_VERSION: Final = "2023-06-01"
"""Sent as the header `anthropic-version`."""

_CUT: Final = frozenset({"max_tokens", "model_context_window_exceeded", "pause_turn"})
"""Stop reasons of replies that are not whole; the last is given for tools of the server only, which we use none of."""


class AnthropicModel(HttpModel):
    """A model behind the messages API.

    Args:
        name: `provider/model`.
        info: what is known of it.
        endpoint: where it is called.
        limiter: of all calls of it.
        pricing: what its tokens cost.
        fields: of every request: the model's name and its longest reply, which this API wants to be told.
    """

    def __init__(
        self, name: str, info: ModelInfo, endpoint: Endpoint, limiter: Limiter, pricing: Pricing, *, fields: JsonObject
    ) -> None:
        super().__init__(name, info, endpoint, limiter, fields=fields, cap_field="max_tokens")
        self._pricing = pricing
        self._tools = EncodedTools(tool_list)

    def _encoded(self, request: ModelRequest) -> bytes:
        messages = message_list(turns(request.messages, model=self.name, images=self.info.images))
        body: JsonObject = {**self._fields_of(request), "messages": messages, "stream": True}
        if system := system_blocks(request.system):
            body["system"] = system
        if request.tools:
            body["tools"] = self._tools.of(request.tools)
        elif retired := retired_tools(messages):
            body["tools"] = retired
        return encode_json(body)

    def _reader(self) -> EventReader:
        return MessageReader(self._pricing, self._endpoint.reporter)


class MessageReader:
    """Reads the events of one reply. Implements `EventReader`."""

    def __init__(self, pricing: Pricing, reporter: Reporter) -> None:
        self._pricing = pricing
        self._reporter = reporter
        self._usage = UsageCount()
        self._ids = CallIds()
        self._inputs: dict[int, bytes] = {}
        self._thinking: set[int] = set()
        self._reason = ""
        self.finished = False

    @property
    def complete(self) -> bool:
        """Whether a stop reason or the last event came."""
        return bool(self._reason) or self.finished

    def read(self, name: bytes, data: bytes) -> Iterator[Delta]:
        """Take the next event; see `EventReader`."""
        if name == b"error":
            raise self._reporter.streamed(data)
        return self._deltas(DECODER.decode(data), data)

    def end(self) -> ReplyEnd:
        """Why the reply ended; see `EventReader`."""
        stop: StopReason = "tool_calls" if self._ids else "end"
        return ReplyEnd("length" if self._reason in _CUT else stop, self._pricing.usage(self._usage.tokens()))

    def _deltas(self, event: Event, data: bytes) -> Iterator[Delta]:
        index = event.index or 0
        match event.type:
            case "content_block_delta" if event.delta:
                yield from self._more(index, event.delta)
            case "content_block_start" if event.content_block:
                yield from self._begin(index, event.content_block)
            case "content_block_stop":
                yield from self._stop(index)
            case "message_start":
                if event.message and event.message.usage:
                    self._usage.take(event.message.usage)
            case "message_delta":
                self._note_end(event)
            case "message_stop":
                self.finished = True
            case "ping":
                pass
            case "error":
                raise self._reporter.streamed(data)
            case _:
                # What it says would be lost: a reply with a gap is worse than none.
                raise self._unknown("event", event.type)

    def _begin(self, index: int, block: BlockPiece) -> Iterator[Delta]:
        match block.type:
            case "text":
                if block.text:
                    yield TextDelta(block.text)
            case "thinking":
                self._thinking.add(index)
                yield ThinkingDelta(block.thinking or "", block.signature or "")
            case "redacted_thinking":
                yield ThinkingDelta(redacted=block.data or "", closes=True)
            case "tool_use":
                if block.input:
                    self._inputs[index] = msgspec.json.encode(block.input)
                yield ToolCallDelta(index, self._ids.take(block.id), block.name or "")
            case _:
                raise self._unknown("content", block.type)

    def _more(self, index: int, delta: DeltaPiece) -> Iterator[Delta]:
        match delta.type:
            case "text_delta":
                if delta.text:
                    yield TextDelta(delta.text)
            case "input_json_delta":
                if delta.partial_json:
                    self._inputs.pop(index, None)
                    yield ToolCallDelta(index, arguments=delta.partial_json)
            case "thinking_delta":
                yield ThinkingDelta(delta.thinking or "")
            case "signature_delta":
                yield ThinkingDelta(signature=delta.signature or "")
            case _:
                raise self._unknown("content", delta.type)

    def _stop(self, index: int) -> Iterator[Delta]:
        if index in self._thinking:
            yield ThinkingDelta(closes=True)
        # Some servers give a call's arguments whole at its beginning and send no fragments.
        if whole := self._inputs.pop(index, None):
            yield ToolCallDelta(index, arguments=whole.decode())

    def _note_end(self, event: Event) -> None:
        if event.usage:
            self._usage.take(event.usage)
        reason = event.delta.stop_reason if event.delta else None
        if reason == "refusal":
            raise self._reporter.failed("refused", "the model declined to go on")
        self._reason = reason or self._reason

    def _unknown(self, what: str, name: str) -> Exception:
        return self._reporter.failed("malformed", f"unknown {what} {name!r}")
