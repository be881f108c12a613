"""Pruning of mirrors: a mirror may hold the only copy of what tasks delivered, and lends its objects to tasks."""

import hashlib
import itertools
from pathlib import Path

import pytest

from app.pruning_lab import DAY, PruningLab
from kugetsu.workspace import Premises


@pytest.fixture
def lab(tmp_path: Path) -> PruningLab:
    lab = PruningLab(tmp_path)
    lab.time_of_files()
    return lab


def the_mirror(lab: PruningLab) -> Path:
    [mirror] = (lab.home / "mirrors").glob("*.git")
    return mirror


async def test_a_mirror_goes_when_it_was_not_used_for_some_days(lab: PruningLab) -> None:
    repo = lab.repository()
    first, workspace = await lab.finished(f"file://{repo}")
    mirror = the_mirror(lab)
    lab.git(repo, "fetch", "-q", mirror, f"{workspace.branch}:taken")
    lab.git(repo, "merge", "-q", "taken")
    second, workspace = await lab.begun(f"file://{repo}")  # which fetches what was merged
    lab.clock.advance(20 * DAY)
    assert await lab.gone() == [first.id]
    lab.agent(workspace, "git reset -q --hard HEAD~")
    await workspace.deliver()
    await lab.settle(second, "completed")
    lab.clock.advance(13 * DAY)
    assert await lab.gone() == []
    lab.clock.advance(2 * DAY)
    assert (await lab.item(mirror.name)).goes
    assert await lab.gone() == [second.id, mirror.name]
    await lab.finished(f"file://{repo}")
    assert the_mirror(lab) == mirror


async def test_a_mirror_stays_while_a_task_that_is_not_over_works_on_it(lab: PruningLab) -> None:
    repo = lab.repository()
    task = lab.task(f"file://{repo}")
    done, _ = await lab.finished(f"file://{repo}")
    lab.git(repo, "fetch", "-q", the_mirror(lab), "+refs/heads/*:refs/heads/*", "--update-head-ok")
    await lab.store.submit(task)
    lab.clock.advance(100 * DAY)
    assert await lab.gone() == [done.id]
    assert (await lab.item(the_mirror(lab).name)).why == f"task {task.id}, which is pending, works on it"


async def test_a_mirror_that_has_what_the_remote_has_not_stays_and_the_command_gets_it(lab: PruningLab) -> None:
    repo = lab.repository()
    task, workspace = await lab.finished(f"file://{repo}")
    lab.clock.advance(100 * DAY)
    assert await lab.gone() == [task.id]
    item = await lab.item(the_mirror(lab).name)
    assert (item.goes, item.why) == (False, f"the remote has not what is on {workspace.branch}")
    lab.run(repo, "bash", "-c", item.holding.command)
    assert lab.show(repo, "FETCH_HEAD", "new.txt") == "new\n"
    mirror = the_mirror(lab)
    lab.git(mirror, "branch", "-D", workspace.branch)
    assert await lab.gone() == [mirror.name]


async def test_a_mirror_stays_that_was_asked_for_since_the_look(lab: PruningLab) -> None:
    repo = lab.repository()
    workspace = await lab.create(f"file://{repo}")
    assert await lab.forget(workspace)
    lab.clock.advance(100 * DAY)
    pruner = lab.pruner()
    plan = await pruner.plan()
    assert [item.goes for item in plan.items] == [True]
    await lab.store.submit(lab.task(f"file://{repo}"))
    assert [done.gone for done in await pruner.carry_out(plan, lambda _done: None)] == [False]
    assert the_mirror(lab).is_dir()


async def test_a_mirror_whose_borrower_denies_it_stays(lab: PruningLab) -> None:
    repo = lab.repository()
    task, workspace = await lab.finished(f"file://{repo}", keep=True)
    (lab.private(workspace) / "objects" / "info" / "alternates").unlink()
    lab.clock.advance(100 * DAY)
    assert await lab.gone() == []
    assert (await lab.item(the_mirror(lab).name)).why == f"the repository of task {task.id} borrows its objects"


def make_slow(lab: PruningLab, mirror: Path) -> None:
    """Give a mirror so many loose objects that git would clean up; no reference leads to them."""
    found = 0
    for number in itertools.count():
        contents = b"%d\n" % number
        if hashlib.sha1(b"blob %d\0" % len(contents) + contents, usedforsecurity=False).hexdigest().startswith("17"):
            lab.run(mirror, "git", "hash-object", "-w", "--stdin", stdin=contents)
            found += 1
            if found > 27:
                return


async def test_packing_a_mirror_keeps_what_only_a_borrower_needs(lab: PruningLab) -> None:
    repo = lab.repository()
    lab.git(repo, "checkout", "-q", "-b", "topic")
    lab.commit(repo, {"topic.txt": "of the topic\n"})
    _, workspace = await lab.begun(f"file://{repo}")
    lab.agent(
        workspace,
        "git checkout -q --orphan apart; git commit -qm apart; git branch -qD $(git branch --format='%(refname:short)' | grep -v apart)",
    )
    tree = lab.agent(workspace, "git rev-parse HEAD^{tree}").strip()
    mirror = the_mirror(lab)
    # The remote forgets the topic, and the mirror every name of what the borrower stands on.
    lab.git(repo, "checkout", "-q", "main")
    lab.git(repo, "branch", "-D", "topic")
    lab.git(mirror, "branch", "-D", workspace.branch)
    await lab.create(f"file://{repo}")
    make_slow(lab, mirror)
    premises = Premises(lab.home, lab.environ)
    assert premises.needs_packing(mirror)
    before = lab.git(mirror, "cat-file", "--batch-all-objects", "--batch-check").splitlines()
    for _ in range(2):  # git packs loose objects that nothing leads to once there is a pack
        assert await lab.prune() == []
    assert not premises.needs_packing(mirror)
    assert len(list((mirror / "objects" / "pack").glob("*.pack"))) == 1
    assert lab.git(mirror, "cat-file", "--batch-all-objects", "--batch-check").splitlines() == before
    assert lab.agent(workspace, f"git ls-tree -r --name-only {tree}").split()[-1] == "topic.txt"
    assert lab.agent(workspace, "git fsck --connectivity-only --no-dangling") == ""
    assert lab.agent(workspace, "git cat-file -p HEAD:topic.txt") == "of the topic\n"
