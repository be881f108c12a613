"""`kugetsu logs`."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from typing import Final

import click

from kugetsu.cli.controls import task_argument
from kugetsu.cli.options import json_option, server_option, write_json
from kugetsu.cli.saying import say
from kugetsu.cli.service import open_service, reach
from kugetsu.cli.views import Timeline, print_conversation, print_log, standing
from kugetsu.errors import ServerError, UsageError
from kugetsu.events import Event, TaskFinished
from kugetsu.messages import Message
from kugetsu.protocols import TaskDetails, TaskService
from kugetsu.sessions import LogLine, read_session
from kugetsu.tasks import FINAL_STATES

_BUNCH: Final = 500
_TRIES: Final = 3


@click.command("logs")
@task_argument
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until the task is over or halts.")
@click.option("--session", is_flag=True, help="Show the conversation instead of what happened.")
@click.option("--full", is_flag=True, help="Show the conversation with all that was rewound or made room.")
@server_option
@json_option
def logs_command(task_id: str, server: str, *, follow: bool, session: bool, full: bool, as_json: bool) -> None:
    """Show what happened in a task; or with --session its conversation, every word."""
    if follow and (session or full):
        raise UsageError("-f follows what happens, not the conversation", fix="leave out -f, or --session and --full")
    if session or full:
        show_session(task_id, server, full=full, as_json=as_json)
    else:
        asyncio.run(_print_events(task_id, server, follow=follow, as_json=as_json))


def show_session(task_id: str, server: str, *, full: bool, as_json: bool) -> None:
    """Print the conversation of a task; with `full` also what was rewound or made room."""
    _print_session(asyncio.run(_session(task_id, server)), full=full, as_json=as_json)


async def _session(task_id: str, server: str) -> Sequence[LogLine]:
    async with open_service(server) as tasks:
        return await tasks.session(task_id)


def _print_session(lines: Sequence[LogLine], *, full: bool, as_json: bool) -> None:
    if full:
        if as_json:
            for line in lines:
                write_json(line)
        else:
            print_log((line.entry for line in lines), sys.stdout)
        return
    turns, messages = _conversation(lines)
    if as_json:
        for message in messages:
            write_json(message)
    else:
        print_conversation(messages, sys.stdout, turns=turns)


def _conversation(lines: Sequence[LogLine]) -> tuple[list[int], list[Message]]:
    """What counts of a session, the open turn included: the numbers of its turns, and the messages."""
    session = read_session(lines)
    turns = session.seen_turns()
    if session.open is None:
        return turns, session.messages
    left = session.open
    results = [left.results[call.id] for call in left.reply.calls if call.id in left.results]
    return [*turns, left.turn], [*session.messages, left.reply, *results]


async def _print_events(task_id: str, server: str, *, follow: bool, as_json: bool) -> None:
    told, task, vain = _Told(as_json=as_json), None, 0
    while task is None:
        before = told.last
        async with reach(server) as reached:
            try:
                task = await told.tell(reached.service, task_id, follow=follow)
            except ServerError:
                # The server of this machine may be gone: another one, or its records, tell the rest.
                vain = vain + 1 if told.last is before else 0
                if not (follow and reached.ours and reached.url) or vain == _TRIES:
                    raise
    over = task.state in FINAL_STATES
    ended_without_a_run = over and not isinstance(told.last, TaskFinished)
    if (follow and not over) or (ended_without_a_run and not as_json):
        say(standing(task, now=time.time()))


class _Told:
    """What happened, printed as far as it is known; goes on where it stopped when it is asked again.

    Attributes:
        last: what was told last.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.last: Event | None = None
        self._timeline = None if as_json else Timeline(sys.stdout)

    async def tell(self, tasks: TaskService, name: str, *, follow: bool) -> TaskDetails:
        """Print what happened in a task, and what happens; the task as it is then."""
        async for events in _in_bunches(tasks.events(self._name(name), after=self._seq)):
            self._print(events)
        if follow:
            async for event in tasks.events(self._name(name), after=self._seq, follow=True):
                self._print([event])
        return await tasks.show(self._name(name))

    @property
    def _seq(self) -> int:
        return self.last.seq if self.last else 0

    def _name(self, name: str) -> str:
        """The task, once it is known: an issue may get another one meanwhile."""
        return self.last.task if self.last else name

    def _print(self, events: Sequence[Event]) -> None:
        if self._timeline:
            self._timeline.write(events)
        else:
            for event in events:
                write_json(event)
        self.last = events[-1]


async def _in_bunches(events: AsyncIterator[Event]) -> AsyncIterator[list[Event]]:
    """Events that are there already, many at a time: each printing has its price."""
    bunch: list[Event] = []
    async for event in events:
        bunch.append(event)
        if len(bunch) == _BUNCH:
            yield bunch
            bunch = []
    if bunch:
        yield bunch
