"""What happens around a worktree: a power cut, another process that was killed, a repository that went on."""

import asyncio
import importlib
import os
import shutil
import tempfile
import time
import traceback
from pathlib import Path

import pytest

from kugetsu.errors import RepositoryError, WorkspaceError
from kugetsu.workspace import GitWorkspace, branch_diff
from workspace.workspace_lab import FILES, Lab, contents


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def head(lab: Lab, workspace: GitWorkspace) -> str:
    return lab.agent(workspace, "git symbolic-ref --short HEAD").strip()


async def test_it_is_known_that_the_machine_went_down_until_the_worktree_is_whole_again(lab: Lab) -> None:
    task = lab.task(lab.repository())
    workspace = await lab.workspaces.create(task)
    boot = lab.private(workspace) / "kugetsu-boot"
    assert boot.read_text()
    snapshot = await workspace.snapshot(1)
    for make_whole in ("restore", "snapshot"):
        assert not (await lab.workspaces.reopen(task, workspace.place)).lost_power
        boot.write_text("of another time\n")
        found = await lab.workspaces.reopen(task, workspace.place)
        assert found.lost_power
        await (found.restore(snapshot) if make_whole == "restore" else found.snapshot(2))
        assert not found.lost_power
    boot.unlink()
    assert not (await lab.workspaces.reopen(task, workspace.place)).lost_power


async def test_a_workspace_knows_which_snapshots_it_holds(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    snapshot = await workspace.snapshot(1)
    found = [await workspace.holds(each) for each in ("", snapshot, "0" * 40, workspace.base, "HEAD", "a\nb")]
    assert found == [True, True, False, False, False, False]


async def test_a_failure_of_git_is_not_taken_for_a_pruned_snapshot(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    snapshot = await workspace.snapshot(1)
    lab.agent(workspace, "git config core.repositoryformatversion 99")
    for deed in (workspace.holds(snapshot), workspace.restore(snapshot)):
        with pytest.raises(WorkspaceError, match="configuration"):
            await deed


async def test_a_fork_goes_back_to_turns_before_it_began_also_when_forked_again(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    snapshots, files = [], []
    for turn in (1, 2, 3):
        lab.agent(workspace, f"echo {turn} > f{turn}; git add f{turn}; git commit -qm {turn}")
        snapshots.append(await workspace.snapshot(turn))
        files.append(contents(workspace.path))
    first = await lab.workspaces.fork(lab.task(repo), workspace.place, snapshots[1])
    lab.agent(first, "echo mine > mine")
    await first.snapshot(3)
    second = await lab.workspaces.fork(lab.task(repo), first.place, snapshots[1])
    for gone in (workspace, first):
        held = await first.holds(snapshots[2])
        shutil.rmtree(lab.private(gone))
        assert not held
    for turn in (0, 1, 0):
        await second.restore(snapshots[turn])
        assert contents(second.path) == files[turn]
        assert head(lab, second) == second.branch
        assert lab.agent(second, "git log -1 --format=%s").strip() == str(turn + 1)
    assert [name for name in lab.agent(second, "git branch --format='%(refname:short)'").split() if "/" in name] == [
        second.branch
    ]


async def test_branches_that_became_folders_do_not_stop_a_restore(lab: Lab) -> None:
    task = lab.task(lab.repository())
    workspace = await lab.workspaces.create(task)
    lab.agent(workspace, "git checkout -q -b feature; echo 1 > one; git add -A; git commit -qm one")
    first = await workspace.snapshot(1)
    lab.agent(workspace, "git branch -m feature feature/parser; git commit -q --allow-empty -m two")
    tip = lab.agent(workspace, "git rev-parse HEAD").strip()
    second = await workspace.snapshot(2)
    await workspace.restore(first)
    assert head(lab, workspace) == "feature"
    kept = lab.git(lab.private(workspace), "rev-parse", f"refs/kugetsu/{task.id}/before-restore")
    assert lab.try_git(lab.private(workspace), "merge-base", "--is-ancestor", tip, kept) == 0
    await workspace.restore(second)
    assert head(lab, workspace) == "feature/parser"
    found = await lab.workspaces.reopen(task, workspace.place, second)
    assert head(lab, found) == "feature/parser"


async def test_a_restore_that_was_cut_and_cannot_be_completed_gives_way_to_another(lab: Lab) -> None:
    task = lab.task(lab.repository())
    workspace = await lab.workspaces.create(task)
    lab.agent(workspace, "echo 1 > one")
    snapshot = await workspace.snapshot(1)
    await workspace.restore("")
    (lab.private(workspace) / "kugetsu-restoring").write_text("0" * 40)
    with pytest.raises(WorkspaceError, match="no longer in"):
        await lab.workspaces.reopen(task, workspace.place)
    found = await lab.workspaces.reopen(task, workspace.place, snapshot)
    assert (found.path / "one").read_text() == "1\n"
    assert not (lab.private(workspace) / "kugetsu-restoring").exists()


CLOSED = {
    "a read-only folder": "echo 2 > d/f; echo 3 > d/g; chmod a-w d",
    "a read-only folder with a file less": "rm d/f; chmod a-w d",
    "an unreadable folder": "echo 2 > d/f; chmod 000 d",
    "a read-only worktree": "echo 2 > d/f; rm h; chmod 555 .",
    "an unreadable folder where a file belongs": "rm h; mkdir h; echo 1 > h/x; chmod 000 h",
}


@pytest.mark.parametrize("after", CLOSED)
def test_folders_that_were_closed_are_put_back(after: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        child = os.fork()
        if child == 0:
            _as_nobody(Path(name), after)
        assert os.waitpid(child, 0)[1] == 0


def _as_nobody(directory: Path, after: str) -> None:
    """Ends this process, which is not root any more: for root nothing is closed."""
    code = 1
    try:
        importlib.import_module("concurrent.futures.thread")  # what is imported late may not be readable for nobody
        if os.geteuid() == 0:
            os.chown(directory, 65534, 65534)
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        asyncio.run(_put_back_closed(directory, CLOSED[after]))
        code = 0
    except BaseException:  # noqa: BLE001 - whatever it is, this child ends here
        traceback.print_exc()
    finally:
        os._exit(code)


async def _put_back_closed(directory: Path, after: str) -> None:
    lab = Lab(directory)
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, "mkdir d; echo 1 > d/f; echo 1 > h")
    snapshot, files = await workspace.snapshot(1), contents(workspace.path)
    lab.agent(workspace, after)
    await workspace.restore(snapshot)
    assert contents(workspace.path) == files


async def test_an_ignored_folder_stays_as_closed_as_it_was(lab: Lab) -> None:
    workspace = await lab.create(lab.repository(files={".gitignore": "cache\n"}))
    snapshot = await workspace.snapshot(1)
    lab.agent(workspace, "mkdir cache open; echo 1 > cache/f; echo 1 > open/f; chmod 555 cache open")
    await workspace.restore(snapshot)
    assert (workspace.path / "cache").stat().st_mode & 0o777 == 0o555
    assert not (workspace.path / "open").exists()


async def test_a_snapshot_is_never_older_than_the_one_before(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    task = lab.task(lab.repository())
    workspace = await lab.workspaces.create(task)
    real = time.time
    for turn in range(1, 5):
        if turn == 3:
            monkeypatch.setattr(time, "time", lambda: real() - 3600)
            workspace = await lab.workspaces.reopen(task, workspace.place)
        (workspace.path / "f").write_text(str(turn))
        await workspace.snapshot(turn)
    options = ("--sort=creatordate", "--format=%(refname:lstrip=3)", f"refs/kugetsu/{task.id}")
    assert lab.git(lab.private(workspace), "for-each-ref", *options).split() == ["1", "2", "3", "4"]


async def test_a_subdirectory_that_left_the_checkout_is_no_obstacle(lab: Lab) -> None:
    repo = lab.repository()
    task = lab.task(repo / "src")
    workspace = await lab.workspaces.create(task)
    lab.agent(workspace, "echo 1 > src/one")
    lab.git(repo, "rm", "-rq", "src")
    lab.git(repo, "commit", "-qm", "no src")
    found = await lab.workspaces.reopen(task, workspace.place)
    assert found.directory == workspace.path / "src"
    await found.commit_all("one")
    await found.deliver()
    assert await found.close()
    assert b"src/one" in await branch_diff(lab.home, task.repo, found.base, found.branch, lab.environ)
    shutil.rmtree(repo)
    with pytest.raises(RepositoryError, match="does not exist"):
        await lab.workspaces.reopen(task, workspace.place)


async def test_what_was_touched_before_the_task_began_is_moved_aside(lab: Lab) -> None:
    repo = lab.repository()
    task = lab.task(repo)
    workspace = await lab.workspaces.create(task)
    path = workspace.path
    del workspace  # as if its process was killed
    (path / "README.md").write_text("an editor")
    again = await lab.workspaces.create(task, again=True)
    assert contents(again.path).keys() == FILES.keys()
    [aside] = [each for each in path.parent.iterdir() if each != path]
    assert (aside / "README.md").read_text() == "an editor"
    assert any(str(aside) in note for note in again.notes)


async def test_a_base_that_is_gone_is_named_with_the_place_of_the_files(lab: Lab) -> None:
    repo = lab.repository()
    task = lab.task(repo)
    workspace = await lab.workspaces.create(task)
    await workspace.snapshot(1)
    lab.git(repo, "commit", "-q", "--amend", "-m", "other")
    lab.git(repo, "branch", "-q", "-D", workspace.branch)
    lab.git(repo, "reflog", "expire", "--expire=now", "--all")
    lab.git(repo, "gc", "-q", "--prune=now")
    with pytest.raises(WorkspaceError, match=r"is no longer in .*; the files are in") as raised:
        await lab.workspaces.reopen(task, workspace.place)
    assert str(workspace.path) in str(raised.value)


async def test_files_that_a_sparse_checkout_left_out_come_back(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    before, files = await workspace.snapshot(1), contents(workspace.path)
    lab.agent(workspace, "git sparse-checkout set --no-cone src; echo 1 > src/new")
    sparse, fewer = await workspace.snapshot(2), contents(workspace.path)
    assert "README.md" not in fewer
    lab.agent(workspace, "echo 2 > src/new")
    await workspace.restore(sparse)
    assert contents(workspace.path) == fewer
    await workspace.restore(before)
    assert contents(workspace.path) == files
    assert lab.agent(workspace, "git status --porcelain") == ""
