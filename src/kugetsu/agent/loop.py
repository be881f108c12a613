"""The agent loop: a reply, its tool calls, what people said meanwhile, and again until nothing is left to do."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from kugetsu.agent.calls import CUT_REPLY, NOT_STARTED, Calls
from kugetsu.agent.hooks import Hooks
from kugetsu.agent.inbox import Inbox
from kugetsu.agent.limits import check_budget
from kugetsu.agent.reply import Replies
from kugetsu.agent.retry import RetryPolicy
from kugetsu.agent.toolbox import Toolbox
from kugetsu.concurrency import finish
from kugetsu.errors import ModelError
from kugetsu.events import EventSink, MessageDelivered, ReplyFinished, TurnFinished, TurnStarted
from kugetsu.messages import AssistantMessage, Message, Text, ToolCall, ToolResult, UserMessage, user
from kugetsu.protocols import Clock, Journal, Model, ModelRequest, SystemClock, Tally, ToolContext
from kugetsu.tasks import Limits

MOST_CUT_IN_A_ROW: Final = 3
"""So many replies without a call may be cut at the output limit one after the other before the run fails."""

CUT_WORDS: Final = "Your reply was cut at the output limit. Go on from there, in shorter steps."


class Agent:
    """One conversation with a model that may use tools. Knows no task, no queue and no database.

    Attributes:
        messages: the conversation so far; every call in it has its result whenever the agent is not running.
        inbox: what people say to it while it runs.
        tally: what it has used.
    """

    def __init__(
        self,
        model: Model,
        toolbox: Toolbox,
        context: ToolContext,
        *,
        system: str,
        journal: Journal,
        publish: EventSink,
        hooks: Hooks | None = None,
        limits: Limits | None = None,
        retry: RetryPolicy | None = None,
        clock: Clock | None = None,
        inbox: Inbox | None = None,
        call_seconds: float = 900.0,
        conversation: str = "",
    ) -> None:
        self.messages: list[Message] = []
        self.inbox = inbox or Inbox()
        self.tally = Tally()
        self._system = system
        self._specs = toolbox.specs
        self._conversation = conversation
        self._journal = journal
        self._publish = publish
        self._hooks = hooks or Hooks()
        self._limits = limits or Limits()
        self._clock = clock or SystemClock()
        self._replies = Replies(model, retry or RetryPolicy(), self._clock, publish)
        self._calls = Calls(
            toolbox, context, hooks=self._hooks, clock=self._clock, publish=publish, seconds=call_seconds
        )
        self._call_ids: set[str] = set()
        self._cut_in_a_row = 0

    async def run(self, prompt: str) -> str:
        """Work on a prompt until the model has nothing more to do and nobody more to say.

        When it is cancelled, at any await, the partial reply is kept and every call gets its result.

        Returns:
            The model's last words.

        Raises:
            ModelError: a model call failed for good.
            LimitReachedError: turns, tokens or money are used up.
            RecordError: the journal could not be written.
        """
        await self._hear(user(prompt))
        while True:
            reply = await self._think()
            await self._act(reply)
            message = self._go_on(reply) or self.inbox.next_message(stopping=not reply.calls)
            if message:
                await self._hear(message)
            elif not reply.calls:
                return reply.text

    def _go_on(self, reply: AssistantMessage) -> UserMessage | None:
        """What a model is told whose words were cut before it came to an end; its calls, if any, are answered so."""
        if reply.stop != "length" or reply.calls:
            self._cut_in_a_row = 0
            return None
        self._cut_in_a_row += 1
        if self._cut_in_a_row > MOST_CUT_IN_A_ROW:
            raise ModelError("malformed", f"the reply was cut at the output limit {self._cut_in_a_row} times in a row")
        return user(CUT_WORDS, "follow_up")

    async def _hear(self, message: UserMessage) -> None:
        """Take a message of the user into the conversation."""
        await self._keep(message)
        text = "".join(block.text for block in message.content if isinstance(block, Text))
        self._publish(MessageDelivered(origin=message.origin, text=text))

    async def _think(self) -> AssistantMessage:
        """Get the model's next reply. It is counted, but not yet part of the conversation."""
        check_budget(self._limits, self.tally)
        turn = self.tally.turns + 1
        self._publish(TurnStarted(turn=turn))
        started = self._clock.monotonic()
        partial: list[AssistantMessage] = []
        try:
            reply = self._counted(await self._replies.ask(await self._request(), turn, partial.append))
        except asyncio.CancelledError:
            for cut in partial:
                await self._keep_cut(cut)
            raise
        self._publish(
            ReplyFinished(
                turn=turn,
                text=reply.text,
                calls=tuple(call.name for call in reply.calls),
                stop=reply.stop,
                usage=reply.usage,
                seconds=self._clock.monotonic() - started,
            )
        )
        return reply

    async def _keep_cut(self, reply: AssistantMessage) -> None:
        """Keep what had arrived of a reply when it was cancelled; one that had just become whole counts as one."""
        if reply.stop != "aborted":
            reply = self._counted(reply)
        if reply.content:
            results = self._calls.refuse(self.tally.turns, reply.calls, NOT_STARTED)
            self.tally.tool_calls += len(results)
            await self._keep(reply, *results)

    async def _act(self, reply: AssistantMessage) -> None:
        """Get a reply and the results of its calls into the conversation: both, whatever happens in between."""
        turn, results = self.tally.turns, list[ToolResult]()
        try:
            await self._keep(reply)
            if reply.stop == "length":
                results.extend(self._calls.refuse(turn, reply.calls, CUT_REPLY))
            else:
                await self._calls.run(turn, reply.calls, results)
        finally:
            if self.messages[-1] is reply:
                results.extend(self._calls.refuse(turn, reply.calls[len(results) :], NOT_STARTED))
                self.tally.tool_calls += len(results)
                await self._keep(*results)
        self._publish(TurnFinished(turn=turn, usage=self.tally.usage))

    async def _request(self) -> ModelRequest:
        messages: Sequence[Message] = self.messages
        if self._hooks.transform_context is not None:
            messages = await self._hooks.transform_context(messages)
        return ModelRequest(self._system, messages, self._specs, self._conversation)

    async def _keep(self, *messages: Message) -> None:
        """Write messages down before anything depends on them. Done to its end, also when it is cancelled meanwhile."""
        if messages:
            await finish(self._write(messages))

    async def _write(self, messages: tuple[Message, ...]) -> None:
        await self._journal.append(*messages)
        self.messages.extend(messages)

    def _counted(self, reply: AssistantMessage) -> AssistantMessage:
        """Count a reply that is whole, and make it fit into the conversation."""
        self.tally.turns += 1
        self.tally.usage += reply.usage
        self.tally.spent_usd += reply.usage.cost_usd or 0.0
        self.tally.last_text = reply.text or self.tally.last_text
        return self._with_unique_ids(reply)

    def _with_unique_ids(self, reply: AssistantMessage) -> AssistantMessage:
        """Give calls whose id was used before a new one: results are joined to calls by id."""
        renamed: dict[int, ToolCall] = {}
        for place, block in enumerate(reply.content):
            if isinstance(block, ToolCall):
                name, number = block.id, 2
                while name in self._call_ids:
                    name, number = f"{block.id}_{number}", number + 1
                self._call_ids.add(name)
                if name != block.id:
                    renamed[place] = msgspec.structs.replace(block, id=name)
        if not renamed:
            return reply
        content = tuple(renamed.get(place, block) for place, block in enumerate(reply.content))
        return msgspec.structs.replace(reply, content=content)
