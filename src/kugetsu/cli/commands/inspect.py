"""`kugetsu list`, `show` and `diff`: what is known of tasks."""

import asyncio
import os
import sys
import time
from typing import Any, get_args

import click
import msgspec

from kugetsu.cli.controls import task_argument
from kugetsu.cli.options import json_option, write_json
from kugetsu.cli.records import find_current, open_records, workers_by_id
from kugetsu.cli.views import print_details, print_listing, record_fields
from kugetsu.config import state_home
from kugetsu.errors import UsageError
from kugetsu.protocols import WorkerInfo
from kugetsu.tasks import Run, TaskRecord, TaskReport, TaskState
from kugetsu.workspace import branch_diff


@click.command("list")
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many.")
@click.option(
    "--state",
    "states",
    type=click.Choice(get_args(TaskState)),
    multiple=True,
    help="Show only tasks in this state. May be repeated.",
)
@json_option
def list_command(limit: int, states: tuple[TaskState, ...], *, as_json: bool) -> None:
    """List tasks, newest first. Below one that waits stands what for."""
    reports = asyncio.run(_reports(states, limit))
    if as_json:
        write_json({"tasks": reports})
    else:
        print_listing(reports, sys.stdout, now=time.time())


async def _reports(states: tuple[TaskState, ...], most: int) -> list[TaskReport]:
    async with open_records() as store:
        return await store.reports(states=states, most=most)


@click.command("show")
@task_argument
@json_option
def show_command(task_id: str, *, as_json: bool) -> None:
    """Show everything that is known of a task. A unique beginning of its ID is enough."""
    record, runs, workers = asyncio.run(_everything(task_id))
    if as_json:
        write_json(_as_json(record, runs, workers))
    else:
        more = record_fields(record, runs, workers, time.time())
        print_details(record.shown, sys.stdout, more=more)


async def _everything(task_id: str) -> tuple[TaskRecord, list[Run], dict[str, WorkerInfo]]:
    async with open_records() as store:
        record = await find_current(store, task_id)
        return record, await store.runs(record.id), await workers_by_id(store)


def _as_json(record: TaskRecord, runs: list[Run], workers: dict[str, WorkerInfo]) -> dict[str, Any]:
    """The report, as `run` prints it, and beside it what the queue knows."""
    task, worker = record.task, workers.get(record.worker)
    return {
        **msgspec.to_builtins(record.shown),
        "key": record.key,
        "after": task.after,
        "waits_for": record.blockers,
        "deadline_at": task.deadline_at,
        "forked_from": task.forked_from,
        "most_attempts": task.attempts,
        "wanted": record.wanted,
        "wanted_reason": record.reason,
        "worker": {"name": worker.name, "pid": worker.pid} if worker else None,
        "worktree": record.place.path if record.place else "",
        "run_history": [
            {"started_at": run.started_at, "ended_at": run.ended_at, "outcome": run.outcome} for run in runs
        ],
    }


@click.command("diff")
@task_argument
@json_option
def diff_command(task_id: str, *, as_json: bool) -> None:
    """Show what a task changed, as a patch: what is in its worktree while that is there, else on its branch."""
    record = asyncio.run(_find(task_id))
    base, branch = _branch(record)
    patch = asyncio.run(branch_diff(state_home(os.environ), record.report.repo, base, branch))
    if as_json:
        write_json({"id": record.id, "base": base, "branch": branch, "diff": patch.decode("utf-8", "replace")})
        return
    sys.stdout.buffer.write(patch)


def _branch(record: TaskRecord) -> tuple[str, str]:
    if record.place:
        return record.place.base, record.place.branch
    if record.final:
        raise UsageError(f"the task {record.id} has no branch: it ended before its worktree was made")
    raise UsageError(f"the task {record.id} has no branch yet: it was not started", fix="`kugetsu show` says why")


async def _find(task_id: str) -> TaskRecord:
    async with open_records() as store:
        return await store.find(task_id)
