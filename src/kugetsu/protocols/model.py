"""The seam to language models."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec

from kugetsu.messages import Delta, Message


class ModelInfo(msgspec.Struct, frozen=True):
    """What is known of a model.

    Attributes:
        context_window: tokens that fit into one call, reply included.
        max_output: most tokens of one reply.
        images: whether it takes pictures.
        priced: whether its price is known, so that money limits can hold it.
        usd_input: the most that one token of a prompt costs, in US dollars; 0 when no price is known.
        usd_output: the most that one token of a reply costs.
        usd_call: what a call costs beside its tokens.
        longest_reply: tokens of the longest reply of a call that says nothing about it; 0 for `max_output`.
    """

    context_window: int
    max_output: int
    images: bool = False
    priced: bool = False
    usd_input: float = 0.0
    usd_output: float = 0.0
    usd_call: float = 0.0
    longest_reply: int = 0

    @property
    def unbounded_reply(self) -> int:
        """Tokens of the longest reply of a call that says nothing about it."""
        return self.longest_reply or self.max_output


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool as a model sees it.

    Attributes:
        schema: JSON Schema of its arguments, as JSON text.
    """

    name: str
    description: str
    schema: msgspec.Raw


class ModelRequest(msgspec.Struct, frozen=True):
    """One call.

    Attributes:
        system: the system prompt.
        messages: the conversation; every tool call in it has its result.
        tools: what the model may call; the same tuple from call to call, so that a wire can encode it once.
        conversation: stable key of the conversation, for providers that route or cache by one.
        replies: how many replies the whole conversation holds, also those that are not sent; None when nobody counted.
            For rehearsals, which know by it what comes next.
        input_tokens: the most tokens that the prompt can have; 0 when nobody counted.
        max_output: the most tokens that the reply may have; 0 for as many as the model gives.
        about_tokens: about how many tokens the prompt has; 0 when nobody estimated. For rate limits, which count the most where
            nobody did; and a model that it does not fit learns from it.
    """

    system: str
    messages: Sequence[Message]
    tools: tuple[ToolSpec, ...] = ()
    conversation: str = ""
    replies: int | None = None
    input_tokens: int = 0
    max_output: int = 0
    about_tokens: int = 0


class Model(Protocol):
    """A language model behind some wire. Shared by many conversations at once; keeps no state of any."""

    @property
    def name(self) -> str:
        """`provider/model`."""
        ...

    @property
    def info(self) -> ModelInfo:
        """What is known of it now: that its window is another one than believed is learned from a call that did not fit."""
        ...

    def stream(self, request: ModelRequest) -> AsyncIterator[Delta]:
        """Ask for one reply, piece by piece; the last piece is a `ReplyEnd`.

        A reply that another model gives begins with a `ReplyStart`. May be called again with the same request. Closing the iterator, or cancelling the task that reads it, ends the
        call promptly.

        Raises:
            ModelError: the call failed; anything streamed so far is void. Never any other error of the network.
        """
        ...
