import asyncio
import shutil
from pathlib import Path

import msgspec
import pytest

from kugetsu.errors import KugetsuError, LeaseLostError, RepositoryError, WorkspaceError
from kugetsu.tasks import Place, Task
from kugetsu.workspace import GitWorkspace, GitWorkspaces
from workspace.workspace_lab import FILES, Lab, contents, fingerprint
from workspace.workspace_remote import git_server

LIFE = "echo 1 > a; git add a; git commit -qm a; echo 2 > b; git add b; echo 3 > b; echo 3 > README.md; rm src/other.py"


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def fresh(lab: Lab) -> GitWorkspaces:
    """As another process has it."""
    return GitWorkspaces(lab.home, lab.environ)


async def reopen(lab: Lab, task: Task, workspace: GitWorkspace, snapshot: str = "") -> GitWorkspace:
    place = msgspec.json.decode(msgspec.json.encode(workspace.place), type=Place)
    return await fresh(lab).reopen(task, place, snapshot)


def seen(lab: Lab, workspace: GitWorkspace) -> tuple[dict[str, str], str]:
    """Everything that the agent can see."""
    look = (
        "git status --porcelain=v2 --branch -uall; git for-each-ref refs/heads refs/tags refs/stash; git diff --cached"
    )
    return contents(workspace.path), lab.agent(workspace, look)


async def begin(lab: Lab, life: str = LIFE) -> tuple[Task, GitWorkspace]:
    repo = lab.directory / "repo"
    task = lab.task(repo if repo.exists() else lab.repository())
    workspace = await lab.workspaces.create(task)
    lab.agent(workspace, life)
    return task, workspace


@pytest.mark.parametrize(
    "life",
    [
        LIFE,
        "git checkout -q -b side; git mv README.md moved; git commit -qm moved; git stash -q; echo x > *.py",
        "git checkout -q --detach; git commit -q --allow-empty -m x; printf '\\0' > bytes; ln -s nowhere link; touch i.log",
        "git branch side; echo 2 > README.md; git commit -qam 2; git checkout -q side; echo 1 > README.md; git merge -q - || true",
        "git init -q inner; echo 1 > inner/a; git update-index --assume-unchanged README.md; echo 1 > README.md",
    ],
)
async def test_a_worktree_is_found_as_it_was_left(lab: Lab, life: str) -> None:
    task, workspace = await begin(lab, life)
    before = seen(lab, workspace)
    found = await reopen(lab, task, workspace)
    assert (found.path, found.branch, found.base, found.directory, found.environment) == (
        workspace.path,
        workspace.branch,
        workspace.base,
        workspace.directory,
        workspace.environment,
    )
    assert found.place == workspace.place
    assert seen(lab, found) == before


async def test_notes_of_the_making_are_still_known(lab: Lab) -> None:
    repo = lab.repository()
    (repo / "README.md").write_text("uncommitted")
    lab.commit(repo, {".gitattributes": "*.bin filter=lfs\n"})
    (repo / "README.md").write_text("uncommitted again")
    task = lab.task(repo)
    workspace = await lab.workspaces.create(task)
    assert len(workspace.notes) == 2
    assert (await reopen(lab, task, workspace)).notes == workspace.notes


@pytest.mark.parametrize(
    "damage",
    [
        "touch $D/index.lock $D/HEAD.lock $C/packed-refs.lock $C/config.lock $C/refs/heads/main.lock $C/HEAD.lock",
        "rm .git",
        ": > .git",
        "echo 'gitdir: /nowhere' > .git",
        ": > $D/commondir; : > $D/gitdir",
        "rm -r $D/commondir $D/gitdir $D/locked",
        ": > $C/HEAD; : > $C/objects/info/alternates",
    ],
)
async def test_what_a_crash_left_half_done_is_repaired(lab: Lab, damage: str) -> None:
    task, workspace = await begin(lab)
    before = seen(lab, workspace)
    lab.agent(workspace, f"D=$(git rev-parse --absolute-git-dir); C=$(git rev-parse --git-common-dir); {damage}")
    found = await reopen(lab, task, workspace)
    assert seen(lab, found) == before
    lab.agent(found, "git add -A; git commit -qm after; git pack-refs --all")
    await found.deliver()
    assert lab.git(lab.directory / "repo", "log", "-1", "--format=%s", found.branch) == "after"


async def test_locks_in_the_users_repository_are_left_alone(lab: Lab) -> None:
    task, workspace = await begin(lab)
    theirs = lab.directory / "repo" / ".git" / "index.lock"
    theirs.touch()
    await reopen(lab, task, workspace)
    assert theirs.exists()


async def test_an_empty_branch_file_is_where_the_last_snapshot_saw_it(lab: Lab) -> None:
    task, workspace = await begin(lab)
    snapshot = await workspace.snapshot(1)
    before = seen(lab, workspace)
    (lab.private(workspace) / "refs/heads" / workspace.branch).write_bytes(b"\0" * 41)
    assert seen(lab, await reopen(lab, task, workspace, snapshot)) == before


async def test_a_worktree_that_is_gone_is_made_from_the_snapshot(lab: Lab) -> None:
    task, workspace = await begin(lab)
    files, snapshot = contents(workspace.path), await workspace.snapshot(1)
    head = lab.agent(workspace, "git rev-parse HEAD")
    shutil.rmtree(workspace.path)
    found = await reopen(lab, task, workspace, snapshot)
    assert contents(found.path) == files
    assert lab.agent(found, "git rev-parse HEAD") == head


async def test_a_worktree_that_is_gone_without_a_snapshot_is_made_from_what_was_checked_out(lab: Lab) -> None:
    task, workspace = await begin(lab)
    shutil.rmtree(workspace.path)
    found = await reopen(lab, task, workspace)
    assert contents(found.path).keys() == {*FILES, "a"}
    assert lab.agent(found, "git status --porcelain") == ""


async def test_a_closed_task_goes_on_where_it_was_delivered(lab: Lab) -> None:
    task, workspace = await begin(lab)
    files, snapshot = contents(workspace.path), await workspace.snapshot(1)
    await workspace.commit_all("the rest")
    await workspace.deliver()
    assert await workspace.close()
    found = await reopen(lab, task, workspace, snapshot)
    assert contents(found.path) == files
    assert lab.agent(found, "git log --format=%s").split("\n")[:2] == ["the rest", "a"]
    assert not await found.commit_all("nothing")
    await found.deliver()
    repo = lab.directory / "repo"
    moves = lab.git(repo, "reflog", "show", "--format=%gs", found.branch).split("\n")
    assert moves == ["kugetsu: delivered", "branch: created by Kugetsu"]
    lab.agent(found, "echo more > more")
    await found.commit_all("more")
    await found.deliver()
    assert lab.git(repo, "log", "-1", "--format=%s", found.branch) == "more"
    assert len(lab.git(repo, "reflog", "show", found.branch).split("\n")) == 3
    assert await found.close()
    await found.restore(snapshot)
    assert contents(found.path) == files


@pytest.mark.parametrize("worktree", ["there", "gone"])
async def test_a_forgotten_task_is_made_again_from_its_branch(lab: Lab, worktree: str) -> None:
    task, workspace = await begin(lab)
    await workspace.commit_all("the rest")
    await workspace.deliver()
    files = contents(workspace.path)
    shutil.rmtree(lab.private(workspace))
    if worktree == "gone":
        shutil.rmtree(workspace.path)
    found = await reopen(lab, task, workspace, "0" * 40)
    assert contents(found.path) == files
    assert lab.agent(found, "git status --porcelain") == ""
    (found.path / "more").write_text("x")
    assert (await found.snapshot(1)) != ""
    await found.commit_all("more")
    await found.deliver()
    assert lab.git(lab.directory / "repo", "log", "-1", "--format=%s", found.branch) == "more"
    assert await found.close()
    assert await lab.forget(found)


async def test_files_whose_repository_is_gone_are_kept(lab: Lab) -> None:
    task, workspace = await begin(lab)
    files = contents(workspace.path)
    shutil.rmtree(lab.private(workspace))
    found = await reopen(lab, task, workspace)
    assert contents(found.path) == files
    assert await found.commit_all("saved")
    await found.deliver()
    assert set(lab.files(lab.directory / "repo", found.branch)) == set(files)


async def test_nothing_left_is_a_clear_error(lab: Lab) -> None:
    task, workspace = await begin(lab)
    shutil.rmtree(lab.home)
    lab.git(lab.directory / "repo", "branch", "-D", workspace.branch)
    with pytest.raises(WorkspaceError, match="nothing is left of the work"):
        await reopen(lab, task, workspace)
    shutil.rmtree(lab.directory / "repo")
    with pytest.raises(RepositoryError, match="does not exist"):
        await reopen(lab, task, workspace)


async def test_a_task_on_a_url_is_reopened_without_its_remote(lab: Lab) -> None:
    served = lab.directory / "served"
    served.mkdir()
    lab.repository("served/repo")
    with git_server(served) as server:
        task = lab.task(server.url("repo"))
        workspace = await lab.workspaces.create(task)
    lab.agent(workspace, LIFE)
    before, snapshot = seen(lab, workspace), await workspace.snapshot(1)
    found = await reopen(lab, task, workspace, snapshot)
    assert seen(lab, found) == before
    await found.commit_all("the rest")
    await found.deliver()
    assert await found.close()
    assert contents((await reopen(lab, task, found, snapshot)).path) == before[0]


async def test_a_delivery_that_was_cut_twice_is_still_ours_to_go_on_with(lab: Lab) -> None:
    task, workspace = await begin(lab)
    repo = lab.directory / "repo"
    await workspace.deliver()
    lab.agent(workspace, "git commit -q --allow-empty -m second")
    second = lab.agent(workspace, "git rev-parse HEAD").strip()
    # As if it was killed after it had moved the branch, and again before it moved it once more.
    for name in ("refs/heads/" + workspace.branch, "refs/kugetsu/tip"):
        where = repo if "heads" in name else lab.private(workspace)
        if where == repo:
            lab.git(repo, "fetch", "-q", str(lab.private(workspace)), workspace.branch)
        lab.git(where, "update-ref", name, second)
    found = await reopen(lab, task, workspace)
    lab.agent(found, "git commit -q --allow-empty -m third")
    lab.git(lab.private(found), "update-ref", "refs/kugetsu/tip", lab.agent(found, "git rev-parse HEAD").strip())
    found = await reopen(lab, task, workspace)
    lab.agent(found, "git commit -q --allow-empty -m fourth")
    await found.deliver()
    assert lab.git(repo, "log", "-1", "--format=%s", found.branch) == "fourth"


async def test_a_zombie_changes_nothing_any_more(lab: Lab) -> None:
    task, zombie = await begin(lab)
    snapshot = await zombie.snapshot(1)
    successor = await reopen(lab, task, zombie, snapshot)
    lab.agent(successor, "echo mine > mine")
    before, theirs = fingerprint(lab.home), fingerprint(lab.directory / "repo")
    for deed in (zombie.snapshot(2), zombie.restore(""), zombie.commit_all("late"), zombie.deliver()):
        with pytest.raises(LeaseLostError):
            await deed
    assert await zombie.close(residue=True) is False
    assert fingerprint(lab.home) == before
    assert fingerprint(lab.directory / "repo") == theirs
    assert await successor.snapshot(2)


async def test_a_zombie_and_its_successor_do_not_corrupt_a_snapshot(lab: Lab) -> None:
    task, zombie = await begin(lab)
    successor = await reopen(lab, task, zombie)
    zombie._owner.check = successor._owner.check  # type: ignore[method-assign]
    (zombie.path / "new").write_text("x")
    for turn in range(6):
        (zombie.path / "turn").write_text(str(turn))
        found = await asyncio.gather(zombie.snapshot(turn), successor.snapshot(turn))
        assert [lab.show(lab.private(successor), each, "turn") for each in found] == [str(turn)] * 2
    lab.git(lab.private(successor), "fsck", "--strict")


async def test_creations_that_run_into_each_other_leave_nothing_broken(lab: Lab) -> None:
    repo = lab.repository()
    task = lab.task(repo)
    before = fingerprint(repo)
    for milliseconds in range(0, 60, 12):
        zombie = asyncio.create_task(fresh(lab).create(task, again=True))
        await asyncio.sleep(milliseconds / 1000)
        both = await asyncio.gather(zombie, lab.workspaces.create(task, again=True), return_exceptions=True)
        assert all(isinstance(each, (GitWorkspace, KugetsuError)) for each in both)
        workspace = await lab.workspaces.create(task, again=True)
        assert contents(workspace.path).keys() == FILES.keys()
        assert lab.agent(workspace, "git --no-optional-locks status --porcelain") == ""
        assert fingerprint(repo, workspace.branch) == before


@pytest.mark.parametrize(
    "work", ["echo x > new", "rm README.md", "git checkout -q --detach", "echo x > src/new; git add -A"]
)
async def test_a_zombie_that_would_make_it_again_leaves_the_work(lab: Lab, work: str) -> None:
    task, workspace = await begin(lab, work)
    before = seen(lab, workspace)
    with pytest.raises(LeaseLostError):
        await fresh(lab).create(task, again=True)
    assert seen(lab, workspace) == before
    assert await workspace.snapshot(1)


async def test_verifying_makes_nothing_and_says_what_is_wrong(lab: Lab) -> None:
    repo = lab.repository()
    before = fingerprint(lab.directory)
    await lab.workspaces.verify(lab.task(repo))
    await lab.workspaces.verify(lab.task("https://127.0.0.1:1/nowhere"))
    for wrong, says in (
        (lab.task(repo, base="nope"), "is no branch"),
        (lab.task(lab.directory / "none"), "does not exist"),
        (lab.task(lab.user), "not a git repository"),
        (lab.task("ftp://host/repo"), "cannot be fetched"),
    ):
        with pytest.raises(RepositoryError, match=says):
            await lab.workspaces.verify(wrong)
    assert fingerprint(lab.directory) == before
