"""What pruning could take although somebody needs it: what changed since the look, and what counts as kept elsewhere."""

from pathlib import Path

import msgspec
import pytest

from app.pruning_lab import DAY, PruningLab
from kugetsu.app.clearing import Done
from kugetsu.tasks import Ending, Outcome, Retry, Task
from kugetsu.workspace import GitWorkspace


@pytest.fixture
def lab(tmp_path: Path) -> PruningLab:
    return PruningLab(tmp_path)


def aside_of(lab: PruningLab, workspace: GitWorkspace, text: str) -> Path:
    """A worktree that was moved aside long ago, with one file."""
    path = lab.home / "worktrees" / f"{workspace.path.name}.aside-12345678"
    path.mkdir()
    (path / "file.txt").write_text(text)
    lab.time_of_files()
    lab.clock.advance(30 * DAY)
    return path


async def test_a_worktree_that_was_moved_aside_is_looked_at_again_before_it_goes(lab: PruningLab) -> None:
    _, workspace = await lab.finished(lab.repository())
    aside = aside_of(lab, workspace, "print(1)\n")
    pruner = lab.pruner()
    plan = await pruner.plan()
    assert [item.goes for item in plan.items if item.holding.kind == "aside"] == [True]
    (aside / "file.txt").write_text("nowhere else\n")
    told: list[Done] = []
    await pruner.carry_out(plan, told.append)
    assert [(done.gone, done.why) for done in told if done.item.holding.kind == "aside"] == [
        (False, "files in it may be nowhere else")
    ]
    assert (aside / "file.txt").read_text() == "nowhere else\n"
    (aside / "file.txt").write_text("print(2)\n")
    assert await lab.gone() == [aside.name]


async def test_what_no_reference_leads_to_counts_as_nowhere_else(lab: PruningLab) -> None:
    repo = lab.repository()
    _, workspace = await lab.finished(repo)
    (repo / "staged").write_text("staged once\n")
    lab.git(repo, "add", "staged")
    lab.git(repo, "reset", "-q", "--hard")
    aside = aside_of(lab, workspace, "staged once\n")
    assert aside.name not in await lab.gone()
    lab.commit(repo, {"staged": "staged once\n"})
    lab.commit(repo, {"staged": "changed since\n"})
    assert await lab.gone() == [aside.name]


async def failed_fork(lab: PruningLab, task: Task) -> Task:
    new = msgspec.structs.replace(task, id=f"{task.id}f", forked_from=f"{task.id}:1")
    claim = (await lab.store.submit(new, worker="w")).claim
    assert claim
    ending = Ending(state="failed", outcome=Outcome("completed", "it never began"), report=claim.record.report)
    await lab.store.settle(claim.lease, ending)
    return new


async def test_a_fork_that_is_tried_again_after_the_look_finds_what_it_begins_with(lab: PruningLab) -> None:
    task, workspace = await lab.finished(lab.repository())
    fork = await failed_fork(lab, task)
    pruner = lab.pruner()
    plan = await pruner.plan(days=0)
    assert [item.goes for item in plan.items] == [True]
    await lab.store.control(fork.id, Retry())
    done = await pruner.carry_out(plan, lambda _done: None)
    assert [(each.gone, each.why) for each in done] == [(False, "somebody has begun to use it")]
    assert (await lab.item(task.id)).why == f"task {fork.id}, which has not begun, is a fork of it"
    assert lab.private(workspace).is_dir()


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("where", [".", "src", "link"])
async def test_a_worktree_that_a_task_is_to_work_on_stays(lab: PruningLab, where: str, when: str) -> None:
    task, workspace = await lab.finished(lab.repository(), keep=True)
    (lab.directory / "link").symlink_to(workspace.path)
    repo = lab.directory / "link" if where == "link" else workspace.path / where
    new, pruner = lab.task(repo), lab.pruner()
    if when == "before":
        await lab.store.submit(new)
        assert (await lab.item(task.id, days=0)).why == f"task {new.id}, which has not begun, works on it"
    plan = await pruner.plan(days=0)
    if when == "after":
        assert [item.goes for item in plan.items] == [True]
        await lab.store.submit(new)
    assert not any(done.gone for done in await pruner.carry_out(plan, lambda _done: None))
    assert workspace.path.is_dir()


async def test_a_kept_worktree_stays_while_ignored_files_in_it_are_nowhere_else(lab: PruningLab) -> None:
    repo = lab.repository()
    task, workspace = await lab.finished(repo, keep=True)
    (workspace.path / "result.log").write_text("a report that the user asked for\n")
    lab.clock.advance(1000 * DAY)
    item = await lab.item(task.id)
    assert (item.goes, item.why) == (
        False,
        "its user asked to keep the worktree, and ignored files in it are nowhere else",
    )
    assert "result.log" in lab.run(lab.directory, "bash", "-c", item.holding.command).decode()
    assert await lab.gone(days=0) == []
    assert (workspace.path / "result.log").exists()


async def test_a_kept_worktree_goes_when_its_ignored_files_are_copies_or_caches(lab: PruningLab) -> None:
    task, workspace = await lab.finished(lab.repository(), keep=True)
    (workspace.path / "copy.log").write_text("print(1)\n")
    (workspace.path / "src/__pycache__").mkdir()
    (workspace.path / "src/__pycache__/main.cpython-311.pyc").write_bytes(b"made anew")
    lab.clock.advance(30 * DAY)
    assert await lab.gone() == [task.id]


async def test_ignored_files_that_nobody_asked_to_keep_hinder_nothing(lab: PruningLab) -> None:
    task, workspace = await lab.begun(lab.repository())
    await workspace.deliver()
    await lab.settle(task, "completed")
    (workspace.path / "result.log").write_text("x")
    lab.clock.advance(30 * DAY)
    assert await lab.gone() == [task.id]
