import asyncio
from functools import partial
from pathlib import Path

import pytest

from kugetsu.concurrency import finish, first_error
from kugetsu.errors import KugetsuError, RepositoryError
from kugetsu.workspace import GitWorkspaces
from workspace.workspace_lab import Lab, fingerprint


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.mark.parametrize("milliseconds", [0, 1, 3, 5, 7, 9, 11, 13, 16])
@pytest.mark.parametrize("times", [1, 2])
async def test_a_creation_cancelled_at_any_moment_leaves_nothing(lab: Lab, milliseconds: int, times: int) -> None:
    repo = lab.repository()
    before = fingerprint(repo)
    creating = asyncio.create_task(lab.create(repo))
    await asyncio.sleep(milliseconds / 1000)
    for _ in range(times):
        creating.cancel()
        await asyncio.sleep(0.002)
    try:
        workspace = await creating
    except asyncio.CancelledError:
        assert not lab.left_overs()
        assert fingerprint(repo) == before
    else:
        assert (workspace.path / "README.md").exists()


async def test_a_creation_that_fails_at_any_command_leaves_nothing(lab: Lab) -> None:
    repo = lab.repository()
    before = fingerprint(repo)
    bin_ = lab.directory / "bin"
    bin_.mkdir()
    real = lab.run(lab.directory, "bash", "-c", "command -v git").decode().strip()
    failed = 0
    for command in ("rev-parse", "cat-file", "config", "init", "read-tree", "update-ref"):
        (bin_ / "git").write_text(
            f'#!/bin/sh\ncase " $* " in *" -d "*) ;; *" {command} "*) echo fatal: no luck >&2; exit 128;; esac\n'
            f'exec {real} "$@"\n'
        )
        (bin_ / "git").chmod(0o755)
        lab.environ["PATH"] = f"{bin_}:{lab.environ['PATH']}"
        with pytest.raises(KugetsuError):
            await GitWorkspaces(lab.home, lab.environ).create(lab.task(repo))
        failed += 1
        assert not lab.left_overs()
        assert fingerprint(repo) == before
    assert failed == 6


async def test_cancelling_many_creations_leaves_nothing(lab: Lab) -> None:
    repo = lab.repository()
    before = fingerprint(repo)
    creating = [asyncio.create_task(lab.create(repo)) for _ in range(12)]
    await asyncio.sleep(0.05)
    for task in creating:
        task.cancel()
    done = await asyncio.gather(*creating, return_exceptions=True)
    finished = [each for each in done if not isinstance(each, BaseException)]
    assert all(isinstance(each, asyncio.CancelledError) for each in done if isinstance(each, BaseException))
    for workspace in finished:
        await workspace.close()
    assert not lab.left_overs()
    assert fingerprint(repo, *(workspace.branch for workspace in finished)) == before


async def test_saving_and_delivering_can_be_cancelled_and_done_again(lab: Lab) -> None:
    repo = lab.repository()
    for milliseconds in range(0, 24, 3):
        workspace = await lab.create(repo)
        (workspace.path / "new").write_text("x")
        for step in (partial(workspace.commit_all, "save"), workspace.deliver, workspace.close):
            running = asyncio.ensure_future(step())
            await asyncio.sleep(milliseconds / 1000)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        if workspace.path.exists():
            await workspace.commit_all("save")
            await workspace.deliver()
        assert lab.show(repo, workspace.branch, "new") == "x"


async def test_a_clean_up_is_finished_however_often_it_is_cancelled() -> None:
    steps = []

    async def work() -> None:
        for step in range(5):
            await asyncio.sleep(0.005)
            steps.append(step)

    cleaning = asyncio.create_task(finish(work()))
    for _ in range(3):
        await asyncio.sleep(0.002)
        cleaning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cleaning
    assert steps == [0, 1, 2, 3, 4]


async def test_a_clean_up_that_fails_says_so() -> None:
    async def work() -> None:
        raise RepositoryError("no")

    with pytest.raises(RepositoryError, match="no"):
        await finish(work())


async def test_the_first_error_of_nested_groups_is_raised_itself() -> None:
    async def fail() -> None:
        raise RepositoryError("first")

    async def inner() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    async def outer() -> None:
        with first_error():
            async with asyncio.TaskGroup() as group:
                group.create_task(inner())
                group.create_task(asyncio.sleep(10))

    with pytest.raises(RepositoryError, match="first"):
        await outer()
