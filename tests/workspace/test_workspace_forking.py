import shutil
from pathlib import Path

import pytest

from kugetsu.errors import WorkspaceError
from kugetsu.workspace import GitWorkspace
from workspace.workspace_lab import FILES, Lab, contents, fingerprint


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


async def begin(lab: Lab) -> tuple[Path, GitWorkspace, str]:
    """A repository, a task that works on it, and a snapshot of a commit with uncommitted work."""
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(workspace, "echo 1 > a; git add a; git commit -qm a; echo 2 > b; echo 2 > README.md; rm src/other.py")
    return repo, workspace, await workspace.snapshot(1)


async def test_a_fork_begins_as_the_original_was(lab: Lab) -> None:
    repo, original, snapshot = await begin(lab)
    files = contents(original.path)
    lab.agent(original, "echo later > b; git commit -qam later")
    before, theirs = fingerprint(original.path), fingerprint(repo)
    forked = await lab.workspaces.fork(lab.task(repo, "another way"), original.place, snapshot)
    assert contents(forked.path) == files
    assert forked.base == original.base
    assert lab.agent(forked, "git symbolic-ref --short HEAD").strip() == forked.branch
    assert lab.agent(forked, "git log --format=%s").split("\n")[:2] == ["a", "a commit"]
    assert lab.git(repo, "rev-parse", forked.branch) == original.base
    assert fingerprint(original.path) == before
    assert fingerprint(repo, forked.branch) == theirs
    lab.agent(forked, "echo mine > c")
    await forked.commit_all("mine")
    await forked.deliver()
    assert lab.git(repo, "log", "--format=%s", f"main..{forked.branch}").split() == ["mine", "a"]


async def test_a_fork_outlives_its_original(lab: Lab) -> None:
    repo, original, snapshot = await begin(lab)
    files = contents(original.path)
    forked = await lab.workspaces.fork(lab.task(repo), original.place, snapshot)
    shutil.rmtree(original.path)
    shutil.rmtree(lab.private(original))
    lab.git(repo, "branch", "-q", "-D", original.branch)
    lab.git(repo, "gc", "-q", "--prune=now")
    assert contents(forked.path) == files
    lab.git(lab.private(forked), "fsck", "--strict")
    await forked.commit_all("all")
    await forked.deliver()
    assert await forked.close()
    assert await lab.forget(forked)


async def test_a_fork_of_a_detached_or_unborn_head_stands_on_its_own_branch(lab: Lab) -> None:
    repo, original, _ = await begin(lab)
    lab.agent(original, "git checkout -q --detach; git commit -q --allow-empty -m detached")
    detached = await original.snapshot(2)
    lab.agent(original, "git checkout -q --orphan fresh")
    unborn = await original.snapshot(3)
    for snapshot, subject in ((detached, "detached"), (unborn, "a commit")):
        forked = await lab.workspaces.fork(lab.task(repo), original.place, snapshot)
        assert lab.agent(forked, "git log -1 --format=%s").strip() == subject
        assert lab.agent(forked, "git symbolic-ref --short HEAD").strip() == forked.branch
        assert contents(forked.path) == contents(original.path)


async def test_a_fork_at_the_base_begins_there_though_the_repository_went_on(lab: Lab) -> None:
    repo, original, _ = await begin(lab)
    lab.commit(repo, {"newer": "x"})
    forked = await lab.workspaces.fork(lab.task(repo), original.place, "")
    assert forked.base == original.base
    assert contents(forked.path).keys() == FILES.keys()


async def test_a_fork_of_a_snapshot_that_is_gone_leaves_nothing(lab: Lab) -> None:
    repo, original, snapshot = await begin(lab)
    theirs = fingerprint(repo)
    task = lab.task(repo)
    for gone in ("0" * 40, original.base):
        with pytest.raises(WorkspaceError, match="no longer in"):
            await lab.workspaces.fork(task, original.place, gone)
    shutil.rmtree(lab.private(original))
    with pytest.raises(WorkspaceError, match="no longer in"):
        await lab.workspaces.fork(task, original.place, snapshot)
    assert fingerprint(repo) == theirs
    assert lab.left_overs() == [original.path.name]


async def test_a_sha256_fork_works(lab: Lab) -> None:
    repo = lab.repository("repo", None, "--object-format=sha256")
    original = await lab.create(repo)
    lab.agent(original, "echo 2 > b")
    snapshot = await original.snapshot(1)
    forked = await lab.workspaces.fork(lab.task(repo), original.place, snapshot)
    assert contents(forked.path) == contents(original.path)


async def test_forgetting_removes_everything_but_the_branch_and_may_be_repeated(lab: Lab) -> None:
    repo, workspace, _ = await begin(lab)
    await workspace.commit_all("the rest")
    await workspace.deliver()
    await workspace.close()
    assert await lab.forget(workspace)
    assert await lab.forget(workspace)
    assert not lab.left_overs()
    assert lab.git(repo, "log", "-1", "--format=%s", workspace.branch) == "the rest"


async def test_a_worktree_that_was_kept_goes_with_its_task_when_all_is_delivered(lab: Lab) -> None:
    _, workspace, _ = await begin(lab)
    await workspace.commit_all("the rest")
    await workspace.deliver()
    await workspace.close(keep=True)
    assert await lab.forget(workspace)
    assert not lab.left_overs()


KEPT = {
    "not delivered": "true",
    "uncommitted": "echo y > untracked",
    "a commit after the delivery": "git commit -q --allow-empty -m later",
    "a stash": "echo y >> README.md; git stash -q",
    "another branch": "git checkout -q -b other; git commit -q --allow-empty -m x; git checkout -q -",
    "a tag": "git tag -m x kept $(git commit-tree -m x HEAD^{tree})",
    "another worktree": "git worktree add -q ../mine; echo x > ../mine/x",
    "a repository inside": "git init -q inner; cd inner; git commit -q --allow-empty -m x",
    "lent objects": "echo /nowhere >> $(git rev-parse --git-common-dir)/objects/info/alternates",
    "an excluded file": "echo precious > $(git rev-parse --git-common-dir)/info/exclude; echo x > precious",
}


@pytest.mark.parametrize("what", KEPT)
async def test_what_only_a_task_has_is_not_forgotten(lab: Lab, what: str) -> None:
    _, workspace, _ = await begin(lab)
    await workspace.commit_all("the rest")
    if what != "not delivered":
        await workspace.deliver()
    lab.agent(workspace, KEPT[what])
    assert not await lab.forget(workspace)
    assert workspace.path.is_dir()
    assert lab.private(workspace).is_dir()


async def test_work_that_only_a_snapshot_has_is_not_forgotten(lab: Lab) -> None:
    _, workspace, _ = await begin(lab)
    await workspace.deliver()
    shutil.rmtree(workspace.path)
    assert not await lab.forget(workspace)
    assert lab.private(workspace).is_dir()


async def test_work_whose_branch_was_deleted_is_not_forgotten(lab: Lab) -> None:
    repo, workspace, _ = await begin(lab)
    await workspace.commit_all("the rest")
    await workspace.deliver()
    assert await workspace.close()
    lab.git(repo, "branch", "-q", "-D", workspace.branch)
    assert not await lab.forget(workspace)
    lab.git(repo, "fetch", "-q", str(lab.private(workspace)), f"{workspace.branch}:kept")
    assert await lab.forget(workspace)


async def test_a_task_whose_source_is_gone_is_not_forgotten(lab: Lab) -> None:
    repo, workspace, _ = await begin(lab)
    await workspace.commit_all("the rest")
    await workspace.deliver()
    await workspace.close()
    shutil.rmtree(repo)
    assert not await lab.forget(workspace)
    assert lab.private(workspace).is_dir()


async def test_what_was_taken_back_does_not_stand_in_the_way(lab: Lab) -> None:
    _, workspace, _ = await begin(lab)
    lab.agent(workspace, "git commit -qam late")
    await workspace.snapshot(2)
    await workspace.restore("")
    await workspace.snapshot(3)
    await workspace.deliver()
    assert await workspace.close()
    assert await lab.forget(workspace)
