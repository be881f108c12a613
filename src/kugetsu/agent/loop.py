"""The agent loop: what people said, a reply, its tool calls, and again until nothing is left to do."""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from kugetsu.agent.calls import Calls, Rooms, unlimited_rooms
from kugetsu.agent.circles import check_circling
from kugetsu.agent.context import Context
from kugetsu.agent.hooks import Hooks
from kugetsu.agent.inbox import Inbox
from kugetsu.agent.limits import CallCost
from kugetsu.agent.reply import Keep, Replies
from kugetsu.agent.retry import RetryPolicy
from kugetsu.agent.spending import Spending
from kugetsu.agent.summarizer import Summarizer
from kugetsu.agent.toolbox import Toolbox
from kugetsu.agent.turns import TakeSnapshot, Turns
from kugetsu.agent.view import Frame, View
from kugetsu.config import CompactionSettings, ContextSettings, LoopSettings
from kugetsu.errors import ModelError, PausedError
from kugetsu.events import EventSink, MessageDelivered, ModelRetried, Noted, ReplyFinished, TurnStarted
from kugetsu.failpoints import reach
from kugetsu.messages import AssistantMessage, Text, ToolCall, Usage, UserMessage, user
from kugetsu.protocols import Clock, Journal, Model, ModelRequest, Reserve, SystemClock, ToolContext
from kugetsu.sessions import Entry, Heard, Renewed, Replied, Session, Tally, Wasted
from kugetsu.tasks import Limits, Spent

MOST_CUT_IN_A_ROW: Final = 3
"""So many replies without a call may be cut at the output limit one after the other before the run fails."""

CUT_WORDS: Final = "Your reply was cut at the output limit. Go on from there, in shorter steps."


RECALL: Final = "recall"
"""Name of the tool that shows what gave way."""


async def _no_snapshot(_turn: int) -> str:
    """For an agent whose worktree nobody keeps."""
    return ""


async def _reserve_nothing(_least: Spent, _most: Spent) -> None:
    """For an agent whose spending nobody bounds."""


class Agent:
    """One conversation with a model that may use tools. Knows no task, no queue and no database.

    Attributes:
        session: the conversation so far, and the turn that is open; it says what the journal says, at every await.
        inbox: what people say to it while it runs.
        pausing: whether it ends as soon as the open turn is closed.
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
        session: Session | None = None,
        snapshot: TakeSnapshot = _no_snapshot,
        hooks: Hooks | None = None,
        limits: Limits | None = None,
        retry: RetryPolicy | None = None,
        clock: Clock | None = None,
        inbox: Inbox | None = None,
        call_seconds: float = 900.0,
        conversation: str = "",
        loops: LoopSettings | None = None,
        context_settings: ContextSettings | None = None,
        compaction: CompactionSettings | None = None,
        writer: Model | None = None,
        reserve: Reserve = _reserve_nothing,
        rooms: Rooms = unlimited_rooms,
    ) -> None:
        self.session = session or Session()
        self.inbox = inbox or Inbox()
        self.pausing = False
        self._system = system
        self._specs = toolbox.specs
        self._conversation = conversation
        self._publish = publish
        self._loops = loops or LoopSettings()
        self._model = model
        self._clock = clock or SystemClock()
        hooks, retry, compaction = hooks or Hooks(), retry or RetryPolicy(), compaction or CompactionSettings()
        self._spending = Spending(self.session, limits or Limits(), reserve, self._clock, publish)
        self._replies = Replies(model, retry, self._clock, publish)
        calls = Calls(
            toolbox,
            context,
            hooks=hooks,
            clock=self._clock,
            publish=publish,
            seconds=call_seconds,
            rooms=rooms,
        )
        self._turns = Turns(self.session, calls, journal=journal, snapshot=snapshot, publish=publish, inbox=self.inbox)
        self._summarizer = Summarizer(
            writer or model,
            self._spending,
            retry,
            conversation=conversation,
            clock=self._clock,
            publish=publish,
            waste=self._count_waste,
            leaving=self._least_next,
        )
        self._view = View(self.session, Frame(system, self._specs), hooks.transform_context)
        self._context = Context(
            self.session,
            model,
            self._view,
            context_settings or ContextSettings(),
            compaction,
            self._summarizer,
            recall=toolbox.find(RECALL) is not None,
            commit=self._turns.commit,
            publish=publish,
        )
        self._cut: AssistantMessage | None = None
        self._cost: CallCost | None = None
        self._cut_in_a_row = 0

    @property
    def tally(self) -> Tally:
        """What has been used so far."""
        return self.session.tally

    async def run(self, prompt: str) -> str:
        """Work on a prompt, or go on with it, until the model has nothing more to do and nobody more to say.

        When it is cancelled, at any await, the session stands as the journal has it: another run can go on from there, or
        `close_turn` brings it to an end.

        Returns:
            The model's last words.

        Raises:
            ModelError: a model call failed for good.
            LimitReachedError: turns, tokens or money are used up, or the agent goes round in circles.
            AnswerNeededError: a call asks the user.
            PausedError: it was told to pause.
            WorkspaceError: the worktree could not be kept.
            LeaseLostError, RecordError: the journal could not be written.
        """
        if not self.session.messages:
            await self._hear(user(prompt))
        left_open = self.session.open is not None
        await self._turns.resume()
        if again := self.inbox.next_retry():
            await self._hear(again.message, Renewed(), taken=again.taken)
        if left_open:
            await self._look_for_circles()
        while True:
            await self._listen()
            if not self.session.awaits_reply:
                return self.tally.last_text
            self._look_for_pause()
            await self._turns.take(await self._think())
            await self._look_for_circles()

    async def close_turn(self) -> None:
        """After a run that was cut: keep what had arrived of the reply, and answer every call of the open turn.

        Raises:
            LeaseLostError, RecordError: the journal could not be written.
        """
        cut, self._cut = self._cut, None
        wasted, self._summarizer.unbooked = self._summarizer.unbooked, Usage()
        if wasted.tokens:
            await self._count_waste(wasted)
        await self._turns.break_off(cut)

    async def _look_for_circles(self) -> None:
        """Tell an agent that goes round in circles so."""
        if self.session.awaits_reply and (words := check_circling(self.session.circling, self._loops)):
            await self._hear(words)

    async def _listen(self) -> None:
        """Take one message into the conversation, if there is one."""
        if words := self._go_on():
            await self._hear(words)
        elif incoming := self.inbox.next_message(stopping=not self.session.awaits_reply):
            await self._hear(incoming.message, taken=incoming.taken)

    def _go_on(self) -> UserMessage | None:
        """What a model is told whose words were cut before it came to an end."""
        last = self.session.messages[-1]
        if not isinstance(last, AssistantMessage) or last.stop != "length":
            self._cut_in_a_row = 0
            return None
        self._cut_in_a_row += 1
        if self._cut_in_a_row > MOST_CUT_IN_A_ROW:
            raise ModelError("malformed", f"the reply was cut at the output limit {self._cut_in_a_row} times in a row")
        return user(CUT_WORDS, "notice")

    async def _hear(self, message: UserMessage, *before: Entry, taken: Sequence[int] = ()) -> None:
        """Take a message of the user into the conversation."""
        text = "".join(block.text for block in message.content if isinstance(block, Text))
        self._publish(MessageDelivered(origin=message.origin, text=text))
        await self._turns.commit(*before, Heard(message), taken=taken)

    async def _think(self) -> AssistantMessage:
        """Get the model's next reply. It is not yet part of the conversation."""
        self._spending.check()
        turn = self.session.turn + 1
        self._publish(TurnStarted(turn=turn))
        started = self._clock.monotonic()
        arrived: list[AssistantMessage] = []
        try:
            reply = await self._ask(turn, arrived.append)
        except asyncio.CancelledError:
            for cut in arrived:
                await self._keep(self._with_unique_ids(cut))
            raise
        reach("reply.received")
        if reply.model != self._model.name:
            self._publish(
                Noted(message=f"{reply.model} was asked instead of {self._model.name}, which has no capacity")
            )
        reply = self._with_unique_ids(reply)
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

    async def _ask(self, turn: int, keep: Keep) -> AssistantMessage:
        """Get a reply; once more, with less in the conversation, when it did not fit."""

        async def shorten(error: ModelError) -> None:
            await self._context.overflowed(error)
            self._publish(ModelRetried(turn=turn, failure="context_overflow", message=str(error), attempt=1, delay=0.0))

        return await self._replies.ask(self._request, turn, keep, self._waste, shorten)

    async def _keep(self, reply: AssistantMessage) -> None:
        """Remember what had arrived when the run was cut; a reply that had just become whole is paid, and is committed."""
        if reply.stop == "aborted":
            self._cut = msgspec.structs.replace(reply, usage=self._most_for(reply))
        else:
            await self._turns.commit(Replied(self.session.turn + 1, reply))

    async def _request(self) -> ModelRequest:
        """The next call, with as much set aside for it as it may cost.

        Raises:
            LimitReachedError: too little is left.
        """
        prompt = await self._context.fit()
        cost = self._cost = CallCost(prompt.most, self._model.info)
        output = await self._spending.allow(cost, self._context.room_for_reply, self._look_for_pause)
        self._view.sends(prompt)
        return ModelRequest(
            self._system,
            prompt.messages,
            self._specs,
            self._conversation,
            self.session.replies,
            input_tokens=cost.prompt,
            max_output=output,
            about_tokens=prompt.about,
        )

    def _least_next(self) -> Spent:
        """What the next call takes at least if nothing gives way before it."""
        cost = CallCost(self._context.prompt.most, self._model.info)
        return cost.of(cost.least_output)

    def _look_for_pause(self) -> None:
        """Whoever waits for what others have set aside can pause at once."""
        if self.pausing:
            raise PausedError(f"paused after turn {self.session.turn}")

    async def _waste(self, arrived: AssistantMessage) -> None:
        """Count a reply that broke off: its provider may charge for it."""
        await self._count_waste(self._most_for(arrived))

    async def _count_waste(self, usage: Usage) -> None:
        await self._turns.commit(Wasted(usage))

    def _most_for(self, arrived: AssistantMessage) -> Usage:
        return self._cost.broken_off(arrived) if self._cost else Usage()

    def report(self) -> None:
        """Say what there is to say of the run when it is over."""
        self._context.report()

    @property
    def unbooked(self) -> Usage:
        """What calls that were cut may have cost, and the session does not say."""
        return self._summarizer.unbooked + (self._cut.usage if self._cut else Usage())

    def _with_unique_ids(self, reply: AssistantMessage) -> AssistantMessage:
        """Give calls whose id was used before a new one: results are joined to calls by id."""
        used, new = self.session.call_ids, set[str]()
        renamed: dict[int, ToolCall] = {}
        for place, block in enumerate(reply.content):
            if isinstance(block, ToolCall):
                name, number = block.id, 2
                while name in used or name in new:
                    name, number = f"{block.id}_{number}", number + 1
                new.add(name)
                if name != block.id:
                    renamed[place] = msgspec.structs.replace(block, id=name)
        if not renamed:
            return reply
        content = tuple(renamed.get(place, block) for place, block in enumerate(reply.content))
        return msgspec.structs.replace(reply, content=content)
