import asyncio
import re
import shlex
import shutil
import time
from pathlib import Path

import pytest

from kugetsu.errors import WorkspaceError
from kugetsu.workspace import GitWorkspace
from workspace.workspace_lab import FILES, Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


async def with_work(lab: Lab, repo: Path) -> GitWorkspace:
    workspace = await lab.create(repo)
    (workspace.path / "new").write_text("x")
    assert await workspace.commit_all("save")
    return workspace


async def refused(workspace: GitWorkspace) -> WorkspaceError:
    with pytest.raises(WorkspaceError, match=f"did not take the branch {workspace.branch}") as caught:
        await workspace.deliver()
    await workspace.close()
    assert (workspace.path / "new").read_text() == "x"
    return caught.value


def command_in(error: WorkspaceError) -> list[str]:
    return shlex.split(error.fix.removeprefix("get it with: git "))


async def test_each_delivery_brings_what_is_new(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    await workspace.deliver()
    (workspace.path / "newer").write_text("y")
    await workspace.commit_all("more")
    await workspace.deliver()
    await workspace.deliver()
    assert lab.files(repo, workspace.branch) == sorted([*FILES, "new", "newer"])


async def test_history_that_the_agent_rewrote_is_delivered_as_it_is(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    await workspace.deliver()
    lab.agent(workspace, "git commit -q --amend -m amended")
    await workspace.deliver()
    assert lab.git(repo, "log", "--format=%s", f"main..{workspace.branch}") == "amended"


async def test_a_branch_that_somebody_moved_is_not_touched(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    other = lab.commit(repo, {"theirs": "x"})
    lab.git(repo, "branch", "-q", "-f", workspace.branch, other)
    error = await refused(workspace)
    assert f"somebody else moved it to {other}" in error.message
    assert lab.git(repo, "rev-parse", workspace.branch) == other
    lab.git(repo, *command_in(error))
    assert lab.show(repo, f"{workspace.branch}-2", "new") == "x"


async def test_a_branch_that_moved_after_the_first_delivery_is_not_touched(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    await workspace.deliver()
    lab.git(repo, "branch", "-q", "-f", workspace.branch, "main")
    (workspace.path / "newer").write_text("y")
    await workspace.commit_all("more")
    await refused(workspace)
    assert lab.git(repo, "rev-parse", workspace.branch) == workspace.base


@pytest.mark.parametrize("where", ["main", "linked"])
async def test_a_branch_that_is_checked_out_is_not_moved(lab: Lab, where: str) -> None:
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    checkout = repo
    if where == "main":
        lab.git(repo, "checkout", "-q", workspace.branch)
    else:
        checkout = lab.directory / "linked"
        lab.git(repo, "worktree", "add", "-q", checkout, workspace.branch)
    error = await refused(workspace)
    assert f"it is checked out in {checkout}" in error.message
    assert lab.git(checkout, "status", "--porcelain") == ""
    assert lab.git(repo, "rev-parse", workspace.branch) == workspace.base
    lab.git(repo, *command_in(error))
    assert lab.show(repo, f"{workspace.branch}-2", "new") == "x"


async def test_a_branch_that_was_deleted_is_made_again(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    lab.git(repo, "branch", "-q", "-D", workspace.branch)
    await workspace.deliver()
    assert lab.show(repo, workspace.branch, "new") == "x"


async def test_a_source_that_is_gone_keeps_the_work(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    moved = repo.rename(lab.directory / "moved")
    with pytest.raises(WorkspaceError):
        await workspace.deliver()
    await workspace.close()
    assert (workspace.path / "new").exists()
    moved.rename(repo)
    await workspace.deliver()
    assert lab.show(repo, workspace.branch, "new") == "x"


async def test_a_lock_that_another_git_holds_is_waited_for(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    lock = repo / ".git" / "refs" / "heads" / f"{workspace.branch}.lock"
    lock.touch()

    async def release() -> None:
        await asyncio.sleep(0.4)
        lock.unlink()

    async with asyncio.TaskGroup() as group:
        group.create_task(release())
        group.create_task(workspace.deliver())
    assert lab.show(repo, workspace.branch, "new") == "x"


async def test_a_lock_that_is_never_released_is_an_error_and_stays(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kugetsu.workspace.delivery._LOCK_WAIT", 0.001)
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    lock = repo / ".git" / "refs" / "heads" / f"{workspace.branch}.lock"
    lock.touch()
    error = await refused(workspace)
    assert str(lock) in error.message
    assert lock.exists()


async def test_a_damaged_object_of_the_agent_is_not_delivered(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    blob = lab.agent(workspace, "git rev-parse HEAD:new").strip()
    path = lab.private(workspace) / "objects" / blob[:2] / blob[2:]
    path.unlink()
    await refused(workspace)
    assert lab.git(repo, "rev-parse", workspace.branch) == workspace.base
    lab.git(repo, "fsck")


async def test_an_own_reference_of_the_users_is_safe_from_a_hostile_fetch_setting(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "config", "fetch.prune", "true")
    lab.git(repo, "config", "fetch.pruneTags", "true")
    lab.git(repo, "config", "fetch.output", "compact")
    lab.git(repo, "tag", "mine")
    workspace = await with_work(lab, repo)
    await workspace.deliver()
    assert lab.git(repo, "tag") == "mine"
    assert not (repo / ".git/FETCH_HEAD").exists()


async def test_nothing_left_to_do_removes_worktree_and_repository(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    lab.agent(workspace, "mkdir -p shut/in; touch shut/in/cache.log; chmod -R a-w shut; echo x > ignored.log")
    await workspace.deliver()
    await workspace.close()
    assert await lab.forget(workspace)
    assert not lab.left_overs()
    await workspace.close()
    assert lab.show(repo, workspace.branch, "new") == "x"


KEPT = {
    "not delivered": "true",
    "modified": "echo y >> README.md",
    "untracked": "echo y > untracked",
    "a commit after the delivery": "git commit -q --allow-empty -m later",
    "a stash": "echo y >> README.md; git stash -q",
    "another branch": "git checkout -q -b other; git commit -q --allow-empty -m x; git checkout -q -",
    "a tag": "git tag -m x kept $(git commit-tree -m x HEAD^{tree})",
    "another worktree": "git worktree add -q ../mine; echo x > ../mine/x",
    "an own repository": "rm .git; git init -q; git add -A; git commit -q -m own",
}


@pytest.mark.parametrize("what", KEPT)
async def test_a_worktree_is_kept_while_it_holds_anything_that_the_source_has_not(lab: Lab, what: str) -> None:
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    if what != "not delivered":
        await workspace.deliver()
    lab.agent(workspace, KEPT[what])
    await workspace.close()
    assert (workspace.path / "new").exists()
    assert lab.private(workspace).is_dir()


async def test_a_delivery_that_was_cut_can_go_on_with_more_work(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    for milliseconds in range(0, 30, 2):
        (workspace.path / "new").write_text(str(milliseconds))
        await workspace.commit_all("more")
        delivering = asyncio.ensure_future(workspace.deliver())
        await asyncio.sleep(milliseconds / 1000)
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
    await workspace.deliver()
    assert lab.show(repo, workspace.branch, "new") == "28"
    assert not list((repo / ".git").rglob("*.lock"))


async def test_work_that_only_another_task_delivered_is_kept(lab: Lab) -> None:
    repo = lab.repository()
    first, second = await lab.create(repo), await lab.create(repo)
    for workspace in (first, second):
        lab.agent(
            workspace,
            "export GIT_AUTHOR_DATE=2000-01-01T00:00:00Z GIT_COMMITTER_DATE=2000-01-01T00:00:00Z; git commit -q --allow-empty -m same",
        )
    await first.deliver()
    await second.close()
    assert second.path.exists()
    await second.deliver()
    await second.close()
    assert not second.path.exists()
    assert lab.git(repo, "rev-parse", first.branch) == lab.git(repo, "rev-parse", second.branch)


async def test_a_changed_submodule_is_kept(lab: Lab) -> None:
    inner, outer = lab.repository("inner"), lab.repository("outer")
    lab.git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    lab.commit(outer, {})
    kept, removed = await lab.create(outer), await lab.create(outer)
    for workspace in (kept, removed):
        lab.agent(workspace, "git -c protocol.file.allow=always submodule --quiet update --init")
    lab.agent(kept, "cd sub; echo mine > README.md")
    for workspace in (kept, removed):
        await workspace.deliver()
        await workspace.close()
    assert kept.path.exists()
    assert not removed.path.exists()


async def test_a_worktree_is_kept_when_told_to(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    await workspace.close(keep=True)
    assert workspace.path.exists()
    await workspace.close()
    assert not workspace.path.exists()


async def test_what_came_after_delivery_goes_only_when_it_is_called_residue(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    (workspace.path / "work").write_text("work")
    await workspace.commit_all("work")
    await workspace.deliver()
    (workspace.path / "left-by-the-check").write_text("x")
    await workspace.close()
    assert workspace.path.exists()
    await workspace.close(residue=True)
    assert not workspace.path.exists()


async def test_residue_does_not_excuse_commits_that_nobody_has(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    await workspace.deliver()
    lab.agent(workspace, "echo x > new; git add new; git commit -qm late")
    await workspace.close(residue=True)
    assert workspace.path.exists()


async def test_caches_that_tools_leave_behind_are_not_committed(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    for name in ("__pycache__/a.cpython-311.pyc", ".pytest_cache/v/x", "sub/.kugetsu-0123.tmp", ".DS_Store"):
        (workspace.path / name).parent.mkdir(parents=True, exist_ok=True)
        (workspace.path / name).write_text("x")
    assert await workspace.commit_all("work") is False


async def test_closing_twice_or_after_everything_is_gone_raises_nothing(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    shutil.rmtree(lab.home)
    await workspace.close()
    await workspace.close()


async def test_the_message_of_a_refusal_can_be_pasted_whatever_the_path(tmp_path: Path) -> None:
    (tmp_path / "it's $HOME").mkdir()
    lab = Lab(tmp_path / "it's $HOME")
    repo = lab.repository()
    workspace = await with_work(lab, repo)
    lab.git(repo, "checkout", "-q", workspace.branch)
    error = await refused(workspace)
    found = re.search(r"get it with: (.*)\)", str(error))
    assert found
    lab.run(repo, "bash", "-c", found[1])
    assert lab.show(repo, f"{workspace.branch}-2", "new") == "x"


@pytest.mark.parametrize("committed", [False, True], ids=["at once", "after a commit"])
async def test_a_change_in_the_second_of_the_checkout_is_seen(lab: Lab, committed: bool) -> None:
    repo = lab.repository()
    while time.time() % 1 > 0.3:
        await asyncio.sleep(0.005)
    workspace = await lab.create(repo)
    text = (workspace.path / "README.md").read_text()
    command = "git commit -q --allow-empty -m one; " if committed else ""
    lab.agent(workspace, f"{command}printf %s '{'x' * len(text)}' > README.md")
    await asyncio.sleep(1.1)
    assert (await workspace.changes()).uncommitted
    assert await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.show(repo, workspace.branch, "README.md") == "x" * len(text)


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
async def test_a_change_that_git_was_told_to_look_away_from_is_work(lab: Lab, flag: str) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(workspace, f"git update-index {flag} README.md; echo changed > README.md")
    assert (await workspace.changes()).uncommitted
    assert await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.show(repo, workspace.branch, "README.md") == "changed\n"


async def test_a_new_file_outside_a_sparse_checkout_is_work_and_what_is_left_out_is_not_deleted(lab: Lab) -> None:
    repo = lab.repository(files={"README.md": "a\n", "in/a": "a\n", "out/b": "b\n"})
    workspace = await lab.create(repo)
    lab.agent(workspace, "git sparse-checkout set --cone in; mkdir -p out; echo new > out/c")
    assert await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.show(repo, workspace.branch, "out/c") == "new\n"
    assert lab.show(repo, workspace.branch, "out/b") == "b\n"


async def test_objects_that_only_the_agent_lent_are_not_taken_for_the_sources(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    elsewhere = lab.directory / "elsewhere.git"
    lab.agent(
        workspace,
        f"git checkout -qb other; git commit -q --allow-empty -m kept-nowhere; git clone -q --bare . {elsewhere};"
        f" echo {elsewhere}/objects >> $(git rev-parse --git-common-dir)/objects/info/alternates;"
        f" git checkout -q {workspace.branch}",
    )
    await workspace.deliver()
    assert not await workspace.close()
    assert workspace.path.exists()


async def test_files_that_only_the_agent_excluded_are_not_thrown_away(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, "echo '*' >> $(git rev-parse --git-common-dir)/info/exclude; echo x > hidden")
    await workspace.deliver()
    assert not await workspace.close()
    assert (workspace.path / "hidden").exists()
