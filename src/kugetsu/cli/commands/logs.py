"""`kugetsu logs`."""

import asyncio
import sys
import time
from collections.abc import Sequence
from typing import Final

import click

from kugetsu.cli.controls import task_argument
from kugetsu.cli.foreground import say
from kugetsu.cli.options import json_option, write_json
from kugetsu.cli.records import free_tasks_of_the_dead, is_served, open_records
from kugetsu.cli.views import Timeline, print_conversation, print_log, standing
from kugetsu.errors import RecordError, UsageError
from kugetsu.events import Event, TaskFinished
from kugetsu.messages import Message
from kugetsu.protocols import Store
from kugetsu.sessions import LogLine, Session
from kugetsu.tasks import TaskRecord

LOOK_SECONDS: Final = 0.2
"""How often it is looked whether something happened."""

FREE_SECONDS: Final = 2.0
"""How often it is looked whether the task's worker still lives."""


@click.command("logs")
@task_argument
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until the task is over or halts.")
@click.option("--session", is_flag=True, help="Show the conversation instead of what happened.")
@click.option("--full", is_flag=True, help="Show the conversation with all that was rewound.")
@json_option
def logs_command(task_id: str, *, follow: bool, session: bool, full: bool, as_json: bool) -> None:
    """Show what happened in a task; or with --session its conversation, every word."""
    if follow and (session or full):
        raise UsageError("-f follows what happens, not the conversation", fix="leave out -f, or --session and --full")
    if session or full:
        _print_session(asyncio.run(_session(task_id)), full=full, as_json=as_json)
    else:
        asyncio.run(_print_events(task_id, follow=follow, as_json=as_json))


async def _session(task_id: str) -> list[LogLine]:
    async with open_records() as store:
        return await store.session((await store.find(task_id)).id)


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
    try:
        session = Session(line.entry for line in lines)
    except ValueError as error:
        raise RecordError(f"the session is damaged: {error}", fix="`--full` shows it as it is") from error
    turns = [turn for turn in session.turns() if turn]
    if session.open is None:
        return turns, session.messages
    left = session.open
    results = [left.results[call.id] for call in left.reply.calls if call.id in left.results]
    return [*turns, left.turn], [*session.messages, left.reply, *results]


async def _print_events(task_id: str, *, follow: bool, as_json: bool) -> None:
    timeline, last, freed = Timeline(sys.stdout), 0, time.monotonic()
    async with open_records() as store:
        task = (await store.find(task_id)).id
        while True:
            record = await store.find(task)  # before its events: when it is over, those are all
            events = await store.events(task, after=last)
            _print(events, timeline, as_json=as_json)
            last = events[-1].seq if events else last
            if not follow or _halted(record):
                break
            if time.monotonic() - freed > FREE_SECONDS:
                await free_tasks_of_the_dead(store)
                freed = time.monotonic()
            await asyncio.sleep(LOOK_SECONDS)
        ended_without_a_run = record.final and not (events and isinstance(events[-1], TaskFinished))
        if (follow and not record.final) or (ended_without_a_run and not as_json):
            await _say_what_next(store, record)


def _print(events: Sequence[Event], timeline: Timeline, *, as_json: bool) -> None:
    if as_json:
        for event in events:
            write_json(event)
    else:
        timeline.write(events)


def _halted(record: TaskRecord) -> bool:
    """Whether nothing happens any more, unless somebody takes the task up again. What is new waits for its first run."""
    return record.state != "running" and not (record.state == "pending" and record.runs == 0)


async def _say_what_next(store: Store, record: TaskRecord) -> None:
    say(standing(record, served=await is_served(store), now=time.time()))
