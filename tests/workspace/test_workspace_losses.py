"""Work and checkouts that a removal, a look or a delivery could pass over: submodules, strange names, strange HEADs."""

import shutil
import time
from pathlib import Path

import pytest

from kugetsu.errors import WorkspaceError
from kugetsu.workspace import GitWorkspace
from kugetsu.workspace.private import task_id_of
from kugetsu.workspace.references import free_branch_at
from workspace.workspace_lab import Lab

TICK = 0.02


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


async def concluded(workspace: GitWorkspace) -> bool:
    """Let it end as a task does; whether the worktree is gone."""
    await workspace.commit_all("work")
    changes = await workspace.changes()
    await workspace.deliver()
    return await workspace.close(keep=changes.uncommitted, residue=True)


async def obstacle(lab: Lab, workspace: GitWorkspace) -> str:
    found = await lab.workspaces.undelivered(task_id_of(workspace.branch), workspace.place, given_up=True)
    if found and found.command:
        lab.run(lab.directory, "bash", "-c", found.command)
    return found.reason if found else ""


def with_submodule(lab: Lab) -> Path:
    lab.configure("protocol.file.allow=always")
    inner, outer = lab.repository("inner"), lab.repository("outer")
    lab.git(outer, "submodule", "--quiet", "add", str(inner), "sub")
    lab.commit(outer, {})
    return outer


INSIDE = "git config user.name a; git config user.email a@b; echo mine > mine; git add -A; git commit -qm inside"
UPDATE = "git submodule --quiet update --init"
INNER_WORK = {
    "submodule": f"{UPDATE}; cd sub; {INSIDE}; cd ..; git add -A; git commit -qm outside",
    "clone": f"git clone -q ../../../inner sub; cd sub; {INSIDE}; cd ..; git add -A; git commit -qm outside",
    "clone that no file names": f"git clone -q ../../../inner new; git -C new checkout -q -b x; cd new; {INSIDE}; cd ..;"
    " git add new; git commit -qm outside",
    "side branch": f"{UPDATE}; cd sub; git checkout -q -b side; {INSIDE}; git checkout -q main",
    "side branch of a clone": f"git clone -q ../../../inner sub; cd sub; git checkout -q -b side; {INSIDE};"
    " git checkout -q main",
}


@pytest.mark.parametrize("what", INNER_WORK)
async def test_commits_inside_a_submodule_keep_the_worktree_and_its_repository(lab: Lab, what: str) -> None:
    workspace = await lab.create(with_submodule(lab))
    lab.agent(workspace, INNER_WORK[what])
    assert not await concluded(workspace)
    assert await obstacle(lab, workspace) in {
        "a repository is inside its worktree",
        "uncommitted files are in its worktree",
        "a submodule has commits of its own",
    }
    assert not await lab.forget(workspace)
    assert workspace.path.is_dir()


async def test_commits_of_a_submodule_keep_the_repository_when_the_worktree_is_gone(lab: Lab) -> None:
    workspace = await lab.create(with_submodule(lab))
    lab.agent(workspace, INNER_WORK["submodule"])
    await workspace.snapshot(1)
    await workspace.deliver()
    shutil.rmtree(workspace.path)
    assert await obstacle(lab, workspace) == "a submodule has commits of its own"
    assert not await lab.forget(workspace)
    [module] = lab.private(workspace).glob("worktrees/*/modules/sub")
    (module / "HEAD").write_text("nonsense")
    assert not await lab.forget(workspace)
    shutil.rmtree(module)
    assert await lab.forget(workspace)


async def test_a_submodule_that_was_only_looked_at_keeps_nothing(lab: Lab) -> None:
    workspace = await lab.create(with_submodule(lab))
    lab.agent(workspace, f"{UPDATE}; echo x > new")
    assert await concluded(workspace)
    assert await lab.forget(workspace)


NAMED = {
    "a tag of a blob": "git tag x $(echo precious | git hash-object -w --stdin)",
    "a tag of a tree": "echo precious > p; git add p; git tag x $(git write-tree); git rm -qf p",
    "a name for a blob": "git update-ref refs/notes-of-mine $(echo precious | git hash-object -w --stdin)",
}


@pytest.mark.parametrize("what", NAMED)
async def test_what_has_a_name_and_is_no_commit_is_not_lost(lab: Lab, what: str) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, NAMED[what])
    assert await concluded(workspace)
    assert not await lab.forget(workspace)
    assert "the source has not" in await obstacle(lab, workspace)
    assert await lab.forget(workspace)  # the command has fetched it


async def test_a_directory_that_is_spelt_like_the_repository_is_seen_and_kept(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    time.sleep(TICK)  # noqa: ASYNC251 - nothing else runs
    lab.agent(workspace, "mkdir .GIT; echo precious > .GIT/notes")
    await workspace.snapshot(1)
    assert not await concluded(workspace)
    assert (workspace.path / ".GIT/notes").exists()
    assert any(".GIT" in note for note in workspace.notes)


async def test_a_commit_that_the_user_replaces_is_begun_with_as_it_is(lab: Lab) -> None:
    repo = lab.repository()
    other = lab.commit(repo, {"README.md": "replaced\n"})
    lab.git(repo, "replace", lab.commit(repo, {"README.md": "real\n"}), other)
    workspace = await lab.create(repo)
    first = await workspace.snapshot(0)
    assert (
        (workspace.path / "README.md").read_text() == lab.show(lab.private(workspace), first, "README.md") == "real\n"
    )
    time.sleep(TICK)  # noqa: ASYNC251 - nothing else runs
    lab.agent(workspace, "echo x > new.txt; echo x > README.md")
    await workspace.snapshot(1)
    await workspace.restore(first)
    assert (workspace.path / "README.md").read_text() == "real\n"


HEADS = {
    "link": "git config core.preferSymlinkRefs true; git checkout -q BRANCH; test -L .git/HEAD",
    "link in a worktree": "git config core.preferSymlinkRefs true; git worktree add -q ../tree BRANCH;"
    " test -L .git/worktrees/tree/HEAD",
    "other name": "git symbolic-ref refs/heads/mine refs/heads/BRANCH; git symbolic-ref HEAD refs/heads/mine;"
    " git reset -q --hard",
}


@pytest.mark.parametrize("head", HEADS)
async def test_a_branch_that_is_checked_out_is_not_moved_however_head_says_so(lab: Lab, head: str) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(workspace, "echo 1 > one; git add -A; git commit -qm one")
    await workspace.deliver()
    lab.run(repo, "bash", "-ec", HEADS[head].replace("BRANCH", workspace.branch))
    before = lab.git(repo, "rev-parse", workspace.branch)
    lab.agent(workspace, "echo 2 > two; git add -A; git commit -qm two")
    with pytest.raises(WorkspaceError, match="checked out"):
        await workspace.deliver()
    assert lab.git(repo, "rev-parse", workspace.branch) == before
    assert lab.git(repo, "status", "--porcelain") == ""


@pytest.mark.parametrize("head", [b"", b"nonsense\n", b"ref: refs/heads/\0\n", b"ref: refs/remotes/origin/x\n"])
async def test_of_a_head_that_is_not_plain_git_is_asked(lab: Lab, head: bytes) -> None:
    repo = lab.repository()
    assert free_branch_at(repo / ".git", "main") == ""
    lab.git(repo, "branch", "other")
    assert free_branch_at(repo / ".git", "other")
    (repo / ".git/HEAD").write_bytes(head)
    assert free_branch_at(repo / ".git", "other") == ""
