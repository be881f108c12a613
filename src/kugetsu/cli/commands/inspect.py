"""`kugetsu list`, `show`, `diff` and `logs`: what is known of tasks."""

import asyncio
import os
import sys
import time
from typing import get_args

import click

from kugetsu.cli.options import json_option, open_store, write_json
from kugetsu.cli.views import print_conversation, print_details, print_listing, print_timeline
from kugetsu.config import state_home
from kugetsu.errors import UsageError
from kugetsu.tasks import TaskState
from kugetsu.workspace import branch_diff

task_argument = click.argument("task_id", metavar="ID")


@click.command("list")
@click.option("-n", "--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many.")
@click.option("--state", type=click.Choice(get_args(TaskState)), help="Show only tasks in this state.")
@json_option
def list_command(limit: int, state: TaskState | None, *, as_json: bool) -> None:
    """List tasks, newest first."""
    reports = [report for report in open_store().reports() if state in {None, report.state}][:limit]
    if as_json:
        write_json({"tasks": reports})
    else:
        print_listing(reports, sys.stdout, now=time.time())


@click.command("show")
@task_argument
@json_option
def show_command(task_id: str, *, as_json: bool) -> None:
    """Show everything that is known of a task. A unique beginning of its ID is enough."""
    report = open_store().find(task_id)
    if as_json:
        write_json(report)
    else:
        print_details(report, sys.stdout)


@click.command("diff")
@task_argument
@json_option
def diff_command(task_id: str, *, as_json: bool) -> None:
    """Show what a task changed, as a patch."""
    report = open_store().find(task_id)
    if not report.branch:
        raise UsageError(f"the task {report.id} has no branch: it ended before its worktree was made")
    patch = asyncio.run(branch_diff(state_home(os.environ), report.repo, report.base, report.branch))
    if as_json:
        text = patch.decode("utf-8", "replace")
        write_json({"id": report.id, "base": report.base, "branch": report.branch, "diff": text})
    else:
        sys.stdout.buffer.write(patch)


@click.command("logs")
@task_argument
@click.option("--full", is_flag=True, help="Show the whole conversation instead of what happened.")
@json_option
def logs_command(task_id: str, *, full: bool, as_json: bool) -> None:
    """Show what happened in a task, or with --full its whole conversation."""
    store = open_store()
    report = store.find(task_id)
    entries = store.session(report.id) if full else store.events(report.id)
    if as_json:
        for entry in entries:
            write_json(entry)
    elif full:
        print_conversation(store.session(report.id), sys.stdout)
    else:
        print_timeline(store.events(report.id), sys.stdout)
