"""What conversations are made of. Immutable, serialisable, and free of any provider's shape."""

from typing import Final, Literal, TypeAlias

import msgspec


class Text(msgspec.Struct, frozen=True, gc=False, tag="text"):
    """Plain text."""

    text: str


class Image(msgspec.Struct, frozen=True, gc=False, tag="image"):
    """A picture.

    Attributes:
        data: the file's bytes in base64.
        media_type: for example `image/png`.
    """

    data: str
    media_type: str


class Thinking(msgspec.Struct, frozen=True, gc=False, tag="thinking", omit_defaults=True):
    """A model's reasoning, carried back to its provider unchanged.

    Attributes:
        text: the readable part, may be empty.
        signature: the provider's proof of origin, empty when it gave none.
        redacted: the provider's encrypted form of reasoning that it does not show, empty otherwise.
    """

    text: str = ""
    signature: str = ""
    redacted: str = ""


class ToolCall(msgspec.Struct, frozen=True, gc=False, tag="tool_call"):
    """A model's request to run a tool.

    Attributes:
        id: joins the call to its result; unique within a conversation.
        name: the tool, possibly one that does not exist.
        arguments: JSON text exactly as the model wrote it, possibly invalid.
    """

    id: str
    name: str
    arguments: str


class Usage(msgspec.Struct, frozen=True, gc=False):
    """What model calls consumed.

    Attributes:
        input: prompt tokens, those served from the provider's cache included.
        output: generated tokens, reasoning included.
        cached: the part of `input` that the provider's cache served.
        cost_usd: price in US dollars, None when a price is unknown.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    cost_usd: float | None = 0.0

    def __add__(self, other: "Usage") -> "Usage":
        known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            input=self.input + other.input,
            output=self.output + other.output,
            cached=self.cached + other.cached,
            cost_usd=(self.cost_usd or 0.0) + (other.cost_usd or 0.0) if known else None,
        )

    @property
    def rounded(self) -> "Usage":
        """The same, the price to a millionth of a dollar."""
        return self if self.cost_usd is None else msgspec.structs.replace(self, cost_usd=round(self.cost_usd, 6))

    @property
    def tokens(self) -> int:
        """Input and output together."""
        return self.input + self.output


StopReason = Literal["end", "tool_calls", "length", "aborted"]
"""Why a reply ended: by itself, to run tools, cut by the output limit, or cut by us."""

UserOrigin = Literal["prompt", "steering", "follow_up", "notice", "summary"]
"""Which way a message on the user's side came into the conversation: three from people, and two of our own: a notice to the
agent, and the summary that stands for turns which were taken out."""

SPOKEN: Final[frozenset[UserOrigin]] = frozenset({"prompt", "steering", "follow_up"})
"""Origins of people's own words."""

InputContent: TypeAlias = Text | Image
ReplyContent: TypeAlias = Text | Thinking | ToolCall


class UserMessage(msgspec.Struct, frozen=True, gc=False, tag="user"):
    """What stands on the user's side: the task, steering in mid-run, a follow-up, or words of our own."""

    content: tuple[InputContent, ...]
    origin: UserOrigin = "prompt"


class AssistantMessage(msgspec.Struct, frozen=True, gc=False, tag="assistant"):
    """One reply of the model.

    Attributes:
        content: text, reasoning and tool calls in the order they came.
        stop: why it ended.
        usage: what this reply consumed.
        model: `provider/model` that wrote it.
    """

    content: tuple[ReplyContent, ...]
    stop: StopReason = "end"
    usage: Usage = Usage()
    model: str = ""

    @property
    def text(self) -> str:
        """All text blocks, joined."""
        return "".join(block.text for block in self.content if isinstance(block, Text))

    @property
    def calls(self) -> tuple[ToolCall, ...]:
        """All tool calls, in source order."""
        return tuple(block for block in self.content if isinstance(block, ToolCall))


class ToolResult(msgspec.Struct, frozen=True, gc=False, tag="tool_result"):
    """The one answer to a tool call.

    Attributes:
        call_id: the call it answers.
        name: the tool's name as the call gave it.
        content: what the model gets to see.
        is_error: whether the call failed, was refused or was interrupted.
    """

    call_id: str
    name: str
    content: tuple[InputContent, ...]
    is_error: bool = False

    @property
    def text(self) -> str:
        """All text blocks, joined."""
        return "".join(block.text for block in self.content if isinstance(block, Text))


Message: TypeAlias = UserMessage | AssistantMessage | ToolResult


def user(text: str, origin: UserOrigin = "prompt") -> UserMessage:
    """Make a user's message of plain text."""
    return UserMessage((Text(text),), origin)
