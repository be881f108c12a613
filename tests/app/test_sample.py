import os
import shlex
import sys
from pathlib import Path

import pytest

from kugetsu.app.sample import SAMPLE_TASKS, SampleTask, create_sample
from kugetsu.errors import UsageError, WorkspaceError
from kugetsu.processes import Captured, capture, clean_environment
from kugetsu.rehearsal import ScriptedCall, load_script

AGENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "an agent",
    "GIT_AUTHOR_EMAIL": "agent@example.org",
    "GIT_COMMITTER_NAME": "an agent",
    "GIT_COMMITTER_EMAIL": "agent@example.org",
}

HOSTILE = """
[user]
    useConfigOnly = true
[commit]
    gpgSign = true
[gpg]
    program = /no/such/gpg
[init]
    defaultBranch = trunk
    templateDir = {template}
[core]
    autocrlf = true
    hooksPath = {hooks}
    excludesFile = {excludes}
"""

each_task = pytest.mark.parametrize("task", SAMPLE_TASKS, ids=lambda task: task.name)


@pytest.fixture
async def sample(tmp_path: Path) -> Path:
    await create_sample(tmp_path / "sample")
    return tmp_path / "sample"


async def shell(directory: Path, command: str) -> Captured:
    env = clean_environment(os.environ, extra=AGENT)
    return await capture(["bash", "-c", command], cwd=directory, env=env, seconds=30)


async def git(directory: Path, command: str) -> str:
    done = await shell(directory, f"git {command}")
    assert done.code == 0, done.stderr.decode()
    return done.stdout.decode()


async def passing(directory: Path) -> set[str]:
    """The tasks whose checks pass."""
    return {task.name for task in SAMPLE_TASKS if (await shell(directory, task.check)).code == 0}


def edit(directory: Path, call: ScriptedCall) -> None:
    assert isinstance(call.arguments, dict)
    path = directory / call.arguments["path"]
    before = text = path.read_text()
    for change in call.arguments["edits"]:
        assert text.count(change["oldText"]) == 1, change["oldText"]
        text = text.replace(change["oldText"], change["newText"])
    # Python takes a compiled file of the same second and size for up to date, and rehearsals can be quick.
    assert len(text) != len(before)
    path.write_text(text)


async def act(directory: Path, call: ScriptedCall) -> Captured | None:
    """Do what a rehearsed call asks for, without the tools; only commands have an outcome worth a look."""
    assert isinstance(call.arguments, dict)
    match call.name:
        case "edit":
            edit(directory, call)
        case "bash":
            return await shell(directory, call.arguments["command"])
        case "read" | "grep" | "ls" | "find":
            assert (directory / call.arguments.get("path", ".")).exists()
        case _:
            raise AssertionError(f"{call.name} is no tool that this test knows")
    return None


async def rehearse(directory: Path, task: SampleTask) -> list[Captured]:
    """Play a task's script and give back how its runs of the tests ended."""
    runs = []
    for turn in load_script(task.script).turns:
        for call in turn.tool_calls:
            done = await act(directory, call)
            if done is not None and "unittest" in str(call.arguments):
                runs.append(done)
            elif done is not None:
                assert done.code == 0, done.stderr.decode()
    return runs


async def test_the_sample_is_a_clean_repository_of_two_commits_on_main(sample: Path) -> None:
    assert await git(sample, "status --porcelain --ignored") == ""
    assert await git(sample, "branch --show-current") == "main\n"
    assert len((await git(sample, "log --format=%H")).split()) == 2
    assert not list(sample.rglob("*.txt"))


async def test_every_check_fails_in_the_sample(sample: Path) -> None:
    assert await passing(sample) == set()


async def test_the_sample_runs_with_plain_unittest_and_fails_for_its_three_bugs_alone(sample: Path) -> None:
    done = await shell(sample, "python3 -m unittest")
    failed = [line for line in done.stderr.decode().splitlines() if line.startswith(("FAIL:", "ERROR:"))]
    assert {line.split("tests.test_")[1].split(".")[0] for line in failed} == {"dates", "slots", "prices"}


@each_task
async def test_a_rehearsal_sees_its_test_fail_and_repairs_its_bug_alone(sample: Path, task: SampleTask) -> None:
    first, *_, last = await rehearse(sample, task)
    assert first.code != 0
    assert last.code == 0
    assert await passing(sample) == {task.name}


async def test_all_rehearsals_together_repair_everything(sample: Path) -> None:
    for task in SAMPLE_TASKS:
        await rehearse(sample, task)
    assert (await shell(sample, "python3 -m unittest")).code == 0


@pytest.mark.parametrize(("name", "left"), [("dates", ""), ("slots", ""), ("prices", " M boathouse/prices.py")])
async def test_one_rehearsal_leaves_its_work_uncommitted(sample: Path, name: str, left: str) -> None:
    await rehearse(sample, next(task for task in SAMPLE_TASKS if task.name == name))
    assert (await git(sample, "status --porcelain")).partition("\n")[0] == left


async def test_one_rehearsal_errs_first(sample: Path) -> None:
    task = next(task for task in SAMPLE_TASKS if task.name == "slots")
    assert [done.code == 0 for done in await rehearse(sample, task)] == [False, False, True]


@each_task
def test_a_rehearsal_is_short_and_its_usage_grows(task: SampleTask) -> None:
    turns = load_script(task.script).turns
    assert 5 <= len(turns) <= 9
    assert 2 < sum(turn.delay for turn in turns) < 5
    usages = [turn.usage for turn in turns if not turn.fail]
    assert all(usage.cached < usage.input and usage.output for usage in usages)
    assert [usage.input for usage in usages] == sorted({usage.input for usage in usages})
    assert turns[-1].text
    assert not turns[-1].tool_calls


def test_one_rehearsal_meets_a_rate_limit() -> None:
    failures = [turn.fail for task in SAMPLE_TASKS for turn in load_script(task.script).turns if turn.fail]
    assert failures == ["rate_limited"]


async def test_a_hostile_git_configuration_changes_nothing(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    hooks = home / "template" / "hooks"
    hooks.mkdir(parents=True)
    for name in ("pre-commit", "commit-msg", "post-checkout"):
        (hooks / name).write_text("#!/bin/sh\nexit 1\n")
        (hooks / name).chmod(0o755)
    (home / "excludes").write_text("*.py\n")
    config = HOSTILE.format(template=hooks.parent, hooks=hooks, excludes=home / "excludes")
    (home / ".gitconfig").write_text(config)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    await create_sample(tmp_path / "other")
    assert await git(tmp_path / "other", "rev-parse main") == await git(sample, "rev-parse main")


async def test_a_directory_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(UsageError, match="is not empty"):
        await create_sample(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


async def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkspaceError, match="file/sample"):
        await create_sample(tmp_path / "file" / "sample")


async def test_a_machine_without_git_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkspaceError, match="'git'"):
        await create_sample(tmp_path / "sample")


async def test_what_git_says_when_it_fails_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "git").write_text("#!/bin/sh\necho no space left >&2\nexit 128\n")
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(WorkspaceError, match=r"git init failed in .*: no space left"):
        await create_sample(tmp_path / "sample")


def test_without_python3_on_the_path_checks_use_the_python_that_runs_kugetsu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert SAMPLE_TASKS[0].check == "python3 -m unittest tests.test_dates"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", "/a place/python")
    assert shlex.split(SAMPLE_TASKS[0].check)[0] == "/a place/python"
