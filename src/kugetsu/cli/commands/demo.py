"""`kugetsu demo`."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import click

from kugetsu.app.house import House
from kugetsu.app.sample import SAMPLE_TASKS, create_sample
from kugetsu.app.tuning import tune_process
from kugetsu.cli.exits import Exit, exit_code
from kugetsu.cli.foreground import run_in_foreground
from kugetsu.cli.options import json_option, write_json
from kugetsu.cli.views import ViewKind, open_view, print_results
from kugetsu.config import Settings, prepare_home, state_home
from kugetsu.tasks import TaskReport, new_task_id

INTRODUCTION = """\
This is a rehearsal: the agents' words come from scripts, no model is called and no key is needed.
Everything else is real: git, the worktrees, the commands, the edits and the tests.

Sample project with three bugs: {sample}
"""

WHAT_NEXT = """
What an agent did:   {kugetsu} show {id}
                     {kugetsu} diff {id}
                     {kugetsu} logs {id}
Take its branch:     git -C {sample} merge {branch}
With a real model:   export OPENROUTER_API_KEY=...
                     {kugetsu} run "fix the failing date parser test" --repo PATH_OR_URL \\
                         --model openrouter/stepfun/step-3.5-flash:free --check "pytest -q"
What is missing:     {kugetsu} doctor
"""


@click.command("demo")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Put the sample project here. Default: below the state directory.",
)
@click.option("--json-events", is_flag=True, help="Stream events as JSON lines on stderr instead of the live view.")
@json_option
def demo_command(directory: Path | None, *, json_events: bool, as_json: bool) -> int:
    """Watch three agents fix a sample project at the same time.

    The agents' words are rehearsed (scripted): no model is called, no key and no network are needed.
    """
    sample = directory or _new_directory()
    if not json_events:
        click.echo(INTRODUCTION.format(sample=sample), err=True)
    reports = asyncio.run(_rehearse(sample, "json" if json_events else "auto"))
    if as_json:
        write_json({"tasks": reports})
    else:
        print_results(reports, sys.stdout)
        shown = reports[0]
        click.echo(WHAT_NEXT.format(kugetsu=_program(), id=shown.id, branch=shown.branch, sample=sample))
    return _worst(reports)


def _program() -> str:
    """How the user can call this program again from where they are."""
    called = Path(sys.argv[0])
    if shutil.which("kugetsu") or called.name != "kugetsu":
        return "kugetsu"
    return str(called.relative_to(Path.cwd()) if called.is_relative_to(Path.cwd()) else called)


def _new_directory() -> Path:
    return prepare_home(state_home(os.environ)) / "demo" / new_task_id()


async def _rehearse(sample: Path, view: ViewKind) -> list[TaskReport]:
    tune_process()
    await create_sample(sample)
    # The rehearsed commands say `python3`, which not every machine has under that name: this program's own comes last.
    path = os.pathsep.join(filter(None, (os.environ.get("PATH"), str(Path(sys.executable).parent))))
    # The rehearsal is on defaults: the user's own settings are for real work.
    environ = {**os.environ, "PATH": path}
    async with House(Settings(), state_home(os.environ), environ, name="kugetsu demo") as house:
        shadows = [
            house.shadow(house.task(str(sample), task.prompt, model=f"scripted:{task.script}", check=task.check))
            for task in SAMPLE_TASKS
        ]
        with open_view(view, sys.stderr) as shown:
            return await run_in_foreground(house, shadows, shown)


def _worst(reports: list[TaskReport]) -> Exit:
    codes = {exit_code(report.state) for report in reports}
    return next((code for code in (Exit.FAILED, Exit.WAITING, Exit.CANCELLED) if code in codes), Exit.COMPLETED)
