"""The parts of pruning that know git: what is merged, what would be lost, who holds a task's files, what things take."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kugetsu.errors import WorkspaceError
from kugetsu.workspace.holding import held, release, take
from kugetsu.workspace.inventory import borrowed, borrowers_of, take_inventory
from kugetsu.workspace.merged import merged_in
from kugetsu.workspace.private import Private, private_of, task_id_of
from kugetsu.workspace.size import size_of
from kugetsu.workspace.unrecorded import place_of
from workspace.workspace_lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.mark.parametrize("form", ["sha1", "sha256"])
async def test_merged_is_what_a_branch_of_the_user_contains(lab: Lab, form: str) -> None:
    repo = lab.repository("repo", None, f"--object-format={form}")
    tips = {}
    for name in ("merged", "apart", "deleted", "stacked"):
        lab.git(repo, "checkout", "-q", "-b", f"kugetsu/{name}", "main")
        tips[name] = lab.commit(repo, {f"{name}.txt": "x"})
    lab.git(repo, "checkout", "-q", "-b", "kugetsu/above", "kugetsu/stacked")
    lab.git(repo, "checkout", "-q", "main")
    lab.git(repo, "merge", "-q", "--no-edit", "kugetsu/merged")
    lab.git(repo, "checkout", "-q", "-b", "other", "kugetsu/deleted")
    lab.git(repo, "branch", "-q", "-D", "kugetsu/deleted")
    asked = {f"kugetsu/{name}": tip for name, tip in tips.items()}
    asked |= {"kugetsu/unknown": "", "kugetsu/never": "1" * len(tips["merged"])}
    assert await merged_in(repo / ".git", asked, lab.environ) == {"kugetsu/merged", "kugetsu/deleted"}


async def test_nothing_is_merged_in_a_repository_without_branches_of_its_user(lab: Lab) -> None:
    repo = lab.repository()
    tip = lab.git(repo, "rev-parse", "HEAD")
    lab.git(repo, "checkout", "-q", "-b", "kugetsu/x")
    lab.git(repo, "branch", "-q", "-D", "main")
    assert await merged_in(repo / ".git", {"kugetsu/x": tip}, lab.environ) == set()


async def test_files_are_held_by_one_at_a_time_and_no_lock_stays(lab: Lab) -> None:
    private, inside, most = private_of(lab.home, "t", "kugetsu/t-x"), 0, 0

    async def hold() -> None:
        nonlocal inside, most
        async with held(private):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.002)
            inside -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(hold())
    assert most == 1
    assert lab.left_overs() == []


HOLDER = """
import asyncio, sys
from pathlib import Path
from kugetsu.workspace.holding import held
from kugetsu.workspace.private import private_of

async def main():
    async with held(private_of(Path(sys.argv[1]), "t", "kugetsu/t-x")):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def test_who_dies_lets_go(lab: Lab) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(lab.home)], stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline() == b"held\n"
        lock = lab.home / "repos" / ".t.git.lock"
        assert take_inventory(lab.home).locks == [lock]
        assert take(lock) is None
        other.kill()
        other.wait()
    descriptor = take(lock)
    assert descriptor is not None
    release(lock, descriptor)
    assert not lock.exists()


async def test_without_locks_work_goes_on_but_nothing_is_removed(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    await workspace.deliver()
    lock = lab.home / "repos" / f".{task_id_of(workspace.branch)}.git.lock"
    lock.mkdir()  # nobody can open it as a file
    again = await lab.workspaces.reopen(lab.task(lab.directory / "repo"), workspace.place)
    assert again.path == workspace.path

    async def sure() -> bool:
        return True

    with pytest.raises(WorkspaceError):
        await lab.workspaces.forget(task_id_of(workspace.branch), workspace.place, sure=sure)
    assert workspace.path.is_dir()


async def test_what_is_not_sure_is_not_forgotten(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    await workspace.deliver()

    async def sure() -> bool:
        return False

    assert not await lab.workspaces.forget(task_id_of(workspace.branch), workspace.place, sure=sure)
    assert workspace.path.is_dir()


async def test_files_that_were_moved_aside_by_a_rewind_are_not_lost(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    await workspace.deliver()
    aside = lab.private(workspace) / "kugetsu-aside" / "0a" / "inner"
    aside.mkdir(parents=True)
    assert await lab.workspaces.undelivered(task_id_of(workspace.branch), workspace.place) is None
    (aside / "precious").touch()
    found = await lab.workspaces.undelivered(task_id_of(workspace.branch), workspace.place)
    assert found
    assert "precious" in lab.run(lab.directory, "bash", "-c", found.command).decode()
    assert not await lab.forget(workspace)


async def test_looking_for_what_would_be_lost_changes_no_file(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, "echo x > new; git add new; echo y > other")
    private = lab.private(workspace)
    before = {path: path.read_bytes() for path in private.rglob("*") if path.is_file() and "objects" not in path.parts}
    assert await lab.workspaces.undelivered(task_id_of(workspace.branch), workspace.place)
    after = {path: path.read_bytes() for path in private.rglob("*") if path.is_file() and "objects" not in path.parts}
    assert after == before


def test_sizes_count_what_the_disk_holds_once(tmp_path: Path) -> None:
    assert size_of([tmp_path / "missing"]) == 0
    (tmp_path / "a").mkdir()
    empty = size_of([tmp_path / "a"])
    (tmp_path / "a" / "f").write_bytes(b"x" * 1_000_000)
    once = size_of([tmp_path / "a"])
    assert once - empty >= 1_000_000
    os.link(tmp_path / "a" / "f", tmp_path / "a" / "g")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "link").symlink_to(tmp_path / "a")
    assert size_of([tmp_path / "a", tmp_path / "b"]) - once < 100_000
    with (tmp_path / "a" / "sparse").open("wb") as file:
        file.truncate(10**9)
    assert size_of([tmp_path / "a"]) - once < 100_000


def test_what_is_borrowed_is_found_however_it_is_written(tmp_path: Path) -> None:
    source = tmp_path / 'a "strange"\nname' / "objects"
    source.mkdir(parents=True)
    lines = {
        "plain": b"# a comment\n\n" + os.fsencode(tmp_path / "plain") + b"\n",
        "quoted": b'"' + os.fsencode(source).replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"\n',
        "relative": b"../../../plain\n",
        "none": b"",
    }
    for name, text in lines.items():
        info = tmp_path / "repos" / f"{name}.git" / "objects" / "info"
        info.mkdir(parents=True)
        (info / "alternates").write_bytes(text)
    lent = borrowed(tmp_path)
    assert lent == {tmp_path / "plain": ["plain", "relative"], source: ["quoted"]}
    assert borrowers_of(source.parent, lent) == ["quoted"]


def test_everything_in_the_state_directory_is_told_apart_by_its_name(tmp_path: Path) -> None:
    for name in (
        "repos/a.git",
        "repos/.gone-b.git",
        "repos/.a.git.lock",
        "repos/thing",
        "worktrees/a-fix",
        "worktrees/c",
        "worktrees/a-fix.aside-0123abcd",
        "worktrees/.gone-d-x",
        "mirrors/m-1.git",
        "mirrors/m-1.lock",
        "mirrors/.m-1.git.0123abcd",
        "scratch/a",
        "scratch/.gone-b",
    ):
        (tmp_path / name).mkdir(parents=True)
    found = take_inventory(tmp_path)
    assert found.tasks == ["a", "c"]
    assert [path.name for path in found.mirrors] == ["m-1.git"]
    assert [(name, path.name) for name, path in found.asides] == [("a-fix", "a-fix.aside-0123abcd")]
    assert sorted(path.name for path in found.gone) == [".gone-b", ".gone-b.git", ".gone-d-x"]
    assert [path.name for path in found.unfinished] == [".m-1.git.0123abcd"]
    assert [path.name for path in found.strangers] == ["thing"]
    assert take_inventory(tmp_path / "nowhere").tasks == []


async def test_what_nobody_recorded_is_known_by_its_files_unless_they_were_changed(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    await workspace.deliver()
    private = Private(lab.private(workspace), workspace.path, workspace.branch)
    found = place_of(private)
    assert found
    assert (found.base, found.branch, found.path) == (workspace.base, workspace.branch, str(workspace.path))
    lab.agent(workspace, "echo /elsewhere >> $(git rev-parse --git-common-dir)/objects/info/alternates")
    assert place_of(private) is None
