from pathlib import Path

import pytest

from kugetsu.errors import WorkspaceError
from kugetsu.protocols import Workspace, Workspaces
from kugetsu.testing import DirectoryWorkspaces
from tasks.task_lab import a_task


@pytest.fixture
def workspaces(tmp_path: Path) -> Workspaces:
    return DirectoryWorkspaces(tmp_path / "worktrees")


def fill(workspace: Workspace) -> None:
    (workspace.path / "inner").mkdir()
    (workspace.path / "inner" / "run").write_bytes(b"\xff\0")
    (workspace.path / "inner" / "run").chmod(0o755)
    (workspace.path / "link").symlink_to("nowhere")


def contents(workspace: Workspace) -> dict[str, object]:
    return {
        str(path.relative_to(workspace.path)): path.readlink()
        if path.is_symlink()
        else (path.stat().st_mode, path.read_bytes())
        for path in workspace.path.rglob("*")
        if not path.is_dir()
    }


async def test_a_directory_is_put_back_to_any_snapshot_exactly(workspaces: Workspaces) -> None:
    workspace = await workspaces.create(a_task())
    fill(workspace)
    first, before = await workspace.snapshot(1), contents(workspace)
    (workspace.path / "inner" / "run").chmod(0o644)
    (workspace.path / "link").unlink()
    (workspace.path / "new").write_text("new")
    second, after = await workspace.snapshot(2), contents(workspace)
    assert len(first) == len(second) == 40
    assert first != second
    for snapshot, expected in ((first, before), (second, after), (first, before), (first, before)):
        await workspace.restore(snapshot)
        assert contents(workspace) == expected
    await workspace.restore("")
    assert contents(workspace) == {}


async def test_a_snapshot_of_what_has_not_changed_is_the_same(workspaces: Workspaces) -> None:
    workspace = await workspaces.create(a_task())
    fill(workspace)
    assert await workspace.snapshot(1) == await workspace.snapshot(2)


async def test_a_directory_knows_its_snapshots_and_loses_no_power(workspaces: Workspaces) -> None:
    workspace = await workspaces.create(a_task())
    snapshot = await workspace.snapshot(1)
    assert [await workspace.holds(each) for each in ("", snapshot, "0" * 40)] == [True, True, False]
    assert not workspace.lost_power


async def test_a_directory_is_found_again_or_made_from_its_snapshot(workspaces: Workspaces) -> None:
    workspace = await workspaces.create(a_task())
    fill(workspace)
    snapshot, expected = await workspace.snapshot(1), contents(workspace)
    (workspace.path / "later").write_text("later")
    again = await workspaces.reopen(a_task(), workspace.place, snapshot)
    assert "later" in contents(again)
    workspace.path.rename(workspace.path.with_name("gone"))
    again = await workspaces.reopen(a_task(), workspace.place, snapshot)
    assert (again.path, contents(again)) == (workspace.path, expected)


async def test_a_fork_begins_as_the_original_was_and_goes_its_own_way(workspaces: Workspaces) -> None:
    original = await workspaces.create(a_task("a"))
    fill(original)
    snapshot = await original.snapshot(1)
    (original.path / "later").write_text("later")
    fork = await workspaces.fork(a_task("b"), original.place, snapshot)
    assert set(contents(fork)) == {"inner/run", "link"}
    (fork.path / "own").write_text("own")
    assert not (original.path / "own").exists()


async def test_a_directory_is_made_once_unless_an_earlier_attempt_was_cut(workspaces: Workspaces) -> None:
    workspace = await workspaces.create(a_task())
    fill(workspace)
    with pytest.raises(WorkspaceError, match="exists already"):
        await workspaces.create(a_task())
    assert contents(await workspaces.create(a_task(), again=True)) == {}


async def test_what_was_forgotten_cannot_be_restored(workspaces: Workspaces) -> None:
    workspace = await workspaces.create(a_task())
    fill(workspace)
    snapshot = await workspace.snapshot(1)
    for _ in range(2):
        assert await workspaces.forget("a", workspace.place)
    with pytest.raises(WorkspaceError, match=snapshot):
        await workspace.restore(snapshot)
    assert "link" in contents(workspace)
