"""What a model would be shown of a session now, and how large that is."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from kugetsu.agent.hooks import TransformContext
from kugetsu.context import Meter, Prefix, Sizes, estimate_text
from kugetsu.messages import (
    AssistantMessage,
    Message,
    UserMessage,
    most_tokens,
    most_tokens_of_prompt,
    most_tokens_of_text,
)
from kugetsu.protocols import ToolSpec
from kugetsu.sessions import Session


class Prompt(msgspec.Struct, frozen=True):
    """What would be sent.

    Attributes:
        messages: the conversation.
        about: about how many tokens it has, with the system prompt and the tools.
        most: the most tokens that it can have.
    """

    messages: Sequence[Message]
    about: int
    most: int


class Frame:
    """What stands around every conversation of one agent, in tokens.

    Args:
        system: the system prompt.
        specs: the tools.

    Attributes:
        about: an estimate.
        most: the most that it can be.
    """

    def __init__(self, system: str, specs: Sequence[ToolSpec]) -> None:
        tools = _tools_said(tuple((spec.name, spec.description, bytes(spec.schema)) for spec in specs))
        self.about: Final = estimate_text(system) + tools[0]
        self.most: Final = most_tokens_of_text(system) + tools[1]


@lru_cache(maxsize=16)
def _tools_said(tools: tuple[tuple[str, str, bytes], ...]) -> tuple[int, int]:
    """About how many tokens all that is said of tools has, and the most: many agents have the same ones."""
    said = [f"{name} {description} {schema.decode()}" for name, description, schema in tools]
    return sum(map(estimate_text, said)), sum(map(most_tokens_of_text, said))


class View:
    """Looks at one session as its model would.

    Args:
        session: the conversation.
        frame: what stands around it.
        transform: a user's hook that changes what is sent; None for none.

    Attributes:
        meter: measures the session.
        prefix: what a provider's cache could serve of what was sent.
    """

    def __init__(self, session: Session, frame: Frame, transform: TransformContext | None) -> None:
        self.meter = Meter(frame.about, session.ratio)
        self.prefix = Prefix(frame.about)
        self._session = session
        self._frame = frame
        self._transform = transform
        self._shown = Sizes()
        self._own_from = len(session.messages)
        self._compacted_in = -1
        self._sent_in = self._sent = 0

    async def look(self) -> Prompt:
        """Measure what would be sent now. Raises what the hook raises."""
        messages = self._session.messages
        if self._transform is None:
            return Prompt(messages, self.meter.measure(messages, self._session.same_from), self._most())
        # What a hook sees to may be another prompt every time: counts say nothing but how its provider counts.
        self._learn()
        shown = await self._transform(messages)
        about = round(self.meter.ratio * (self._frame.about + sum(self._shown.look(shown))))
        return Prompt(shown, about, self._frame.most + most_tokens(shown))

    def sends(self, prompt: Prompt) -> None:
        """It goes out."""
        sizes = self.meter.sizes if self._transform is None else self._shown
        self.prefix.send(prompt.messages, sizes.look(prompt.messages))
        self._sent_in, self._sent = self._session.turn, prompt.about

    def compacted(self, gone: int) -> None:
        """Turns were taken out.

        Args:
            gone: how many messages fewer there are.
        """
        self._own_from = max(0, self._own_from - gone)
        self._compacted_in = self._session.turn

    def _most(self) -> int:
        """The most tokens of the session as it stands.

        What was counted in this run bounds what is left of it, but for a summary that nobody has counted yet. Counts of
        earlier runs were of other prompts and tools.
        """
        messages = self._session.messages
        counted = most_tokens_of_prompt(self._frame.most, messages, self._own_from)
        if self._compacted_in != self._session.turn:
            return counted
        new = [one for one in messages if isinstance(one, UserMessage) and one.origin == "summary"]
        return min(counted + most_tokens(new), self._frame.most + most_tokens(messages))

    def _learn(self) -> None:
        """See how the provider counts what was sent last."""
        if self._sent and self._session.turn > self._sent_in:
            replies = (one for one in reversed(self._session.messages) if isinstance(one, AssistantMessage))
            if reply := next(replies, None):
                self.meter.correct(self._sent, reply.usage.input)
            self._sent = 0
