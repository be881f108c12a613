"""The native runtime: our own agent loop, as coroutines of this process."""

import asyncio
import traceback
from collections.abc import Sequence
from functools import partial

from kugetsu.agent import (
    Agent,
    Hooks,
    Inbox,
    RetryPolicy,
    Toolbox,
    Watchdog,
    load_instructions,
    load_skills,
    system_prompt,
)
from kugetsu.concurrency import being_cancelled, first_error
from kugetsu.config import CompactionSettings, ContextSettings, LoopSettings
from kugetsu.errors import (
    AnswerNeededError,
    KugetsuError,
    LeaseLostError,
    LimitReachedError,
    ModelError,
    PausedError,
    RecordError,
    WorkspaceError,
)
from kugetsu.events import Event, Noted
from kugetsu.messages import Usage
from kugetsu.protocols import Clock, FileLocks, Model, Reserved, Seat, ToolContext
from kugetsu.tasks import Note, Outcome, Spent


class NativeRuntime:
    """Runs one task with our own loop. Implements `protocols.Runtime`."""

    name = "native"

    def __init__(
        self,
        model: Model,
        toolbox: Toolbox,
        *,
        clock: Clock,
        hooks: Hooks,
        retry: RetryPolicy,
        loops: LoopSettings | None = None,
        context: ContextSettings | None = None,
        compaction: CompactionSettings | None = None,
        writer: Model | None = None,
        call_seconds: float = 900.0,
    ) -> None:
        self._loops = loops
        self._context = context
        self._compaction = compaction
        self._writer = writer
        self._model = model
        self._toolbox = toolbox
        self._clock = clock
        self._hooks = hooks
        self._retry = retry
        self._call_seconds = call_seconds
        self._agent: Agent | None = None
        self._inbox = Inbox()
        self._pausing = False

    def hear(self, notes: Sequence[Note]) -> None:
        """Take what users say; each note once, however often it is given."""
        self._inbox.hear(notes)

    @property
    def unheard(self) -> Sequence[str]:
        """What was said to it too late."""
        return self._inbox.unheard

    @property
    def unbooked(self) -> Usage:
        """What a model call that was cut may have cost, and the session does not say."""
        return self._agent.unbooked if self._agent else Usage()

    def pause(self) -> None:
        """End the run as soon as the open turn is closed."""
        self._pausing = True
        if self._agent:
            self._agent.pausing = True

    async def close_turn(self) -> None:
        """After a run that was cut: answer the calls of the open turn."""
        if self._agent:
            await self._agent.close_turn()

    def steer(self, text: str) -> None:
        """Say something as soon as the running tool batch is done."""
        self._inbox.steer(text)

    def follow_up(self, text: str) -> None:
        """Say something when the model would otherwise stop."""
        self._inbox.follow_up(text)

    async def run(self, seat: Seat) -> Outcome:
        """Work on the task until it ends, fails or hits a limit. See `protocols.Runtime`."""
        watchdog = Watchdog(seat.task.limits, self._clock)
        agent = self._agent = await self._make_agent(seat, watchdog)
        agent.pausing = self._pausing
        try:
            with first_error():
                async with asyncio.TaskGroup() as group:
                    watching = group.create_task(watchdog.watch())
                    outcome = await _outcome_of(agent, seat, self._clock)
                    watching.cancel()
        except LimitReachedError as reached:
            outcome = _limited(reached)
            if being_cancelled():
                # Cancelled while the limit was ending the agent: a group with an error of its own forgets that.
                raise asyncio.CancelledError from reached
        agent.report()
        return outcome

    async def _make_agent(self, seat: Seat, watchdog: Watchdog) -> Agent:
        def publish(event: Event) -> None:
            watchdog.touch()
            seat.publish(event)

        async def reserve(least: Spent, most: Spent) -> Reserved | None:
            watchdog.touch()  # whoever waits for others is not idle
            return await seat.reserve(least, most)

        system = system_prompt(
            tools=self._toolbox.specs,
            facts=seat.facts,
            instructions=await asyncio.to_thread(load_instructions, seat.root, seat.directory),
            skills=await asyncio.to_thread(load_skills, seat.root),
            extra=seat.task.instructions,
        )
        context = ToolContext(
            root=seat.root,
            scratch=seat.scratch,
            environment=seat.environment,
            locks=FileLocks(),
            images=self._model.info.images,
            memory=seat.memory,
        )
        seat.session.settle()
        return Agent(
            self._model,
            self._toolbox,
            context,
            system=system,
            journal=seat.journal,
            session=seat.session,
            snapshot=seat.snapshot,
            publish=publish,
            hooks=self._hooks,
            limits=seat.task.limits,
            retry=self._retry,
            clock=self._clock,
            inbox=self._inbox,
            call_seconds=self._call_seconds,
            conversation=seat.task.id,
            loops=self._loops,
            context_settings=self._context,
            compaction=self._compaction,
            writer=self._writer,
            reserve=reserve,
            rooms=partial(seat.commands.room, seat.task.id),
        )


async def _outcome_of(agent: Agent, seat: Seat, clock: Clock) -> Outcome:
    """Run the agent; everything but a cancel becomes an outcome."""
    try:
        await agent.run(seat.task.prompt)
    except (LeaseLostError, RecordError):
        raise  # nothing can be written down, so nothing may be decided
    except ModelError as error:
        until = clock.now() + error.retry_after if error.retry_after else 0.0
        return Outcome(error.kind, str(error), until)
    except LimitReachedError as reached:
        return _limited(reached)
    except AnswerNeededError as asked:
        return Outcome("question", asked.question)
    except PausedError as paused:
        return Outcome("paused", str(paused))
    except WorkspaceError as error:
        return Outcome("workspace", str(error))
    except KugetsuError as error:
        return Outcome("internal", str(error))
    except Exception as error:  # noqa: BLE001 - a defect ends this task alone, with its name
        seat.publish(Noted(message="".join(traceback.format_exception(error))))
        return Outcome("internal", f"{type(error).__name__}: {error}")
    turns = agent.session.tally.turns
    return Outcome("completed", f"the agent finished after {turns} turn{'s' if turns != 1 else ''}")


def _limited(reached: LimitReachedError) -> Outcome:
    return Outcome(reached.kind, str(reached), reached.until)
