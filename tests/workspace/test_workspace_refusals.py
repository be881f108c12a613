import contextlib
import importlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from kugetsu.errors import KugetsuError, RepositoryError, WorkspaceError
from kugetsu.workspace import MINIMUM_GIT, GitWorkspaces, git_version
from workspace.workspace_lab import Lab, fingerprint

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user or mount a small disk")


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture
def open_lab() -> Iterator[Lab]:
    """A lab in a directory that other users can enter."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield Lab(directory)
    shutil.rmtree(directory)


@contextlib.contextmanager
def another_user() -> Iterator[None]:
    # Python may be installed where the other user cannot read, so what asyncio imports late is imported now.
    importlib.import_module("concurrent.futures.thread")
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def give_away(path: Path) -> None:
    for each in (path, *path.rglob("*")):
        os.chown(each, NOBODY, NOBODY, follow_symlinks=False)


async def refused(lab: Lab, repo: Path | str, base: str = "") -> KugetsuError:
    """The error of a creation that fails; nothing may be left of it."""
    with pytest.raises(KugetsuError) as caught:
        await lab.create(repo, base)
    assert not lab.left_overs()
    return caught.value


async def test_a_directory_that_is_no_repository_is_named(lab: Lab) -> None:
    plain = lab.directory / "plain"
    plain.mkdir()
    error = await refused(lab, plain)
    assert isinstance(error, RepositoryError)
    assert error.message == f"{plain} is not a git repository"
    assert "git init" in error.fix


async def test_a_path_that_does_not_exist_is_named(lab: Lab) -> None:
    error = await refused(lab, lab.directory / "nowhere")
    assert isinstance(error, RepositoryError)
    assert error.message == f"{lab.directory}/nowhere does not exist"


async def test_a_file_is_no_repository(lab: Lab) -> None:
    (lab.directory / "file").write_text("x")
    error = await refused(lab, lab.directory / "file")
    assert error.message == f"{lab.directory}/file is a file, not a git repository"
    assert "does not exist" in (await refused(lab, lab.directory / "file" / "below")).message


@pytest.mark.parametrize("repo", ["", "a\0b", "\ud800", "~no-such-user-at-all/x", "ftp://host/x", "ext::sh -c id"])
async def test_what_can_be_no_repository_is_a_repository_error(lab: Lab, repo: str) -> None:
    assert isinstance(await refused(lab, repo), RepositoryError)


async def test_a_repository_without_a_commit_is_named(lab: Lab) -> None:
    repo = lab.directory / "empty"
    lab.git(lab.directory, "init", "-q", repo)
    error = await refused(lab, repo)
    assert isinstance(error, RepositoryError)
    assert error.message == f"{repo} has no commit yet"
    assert (await refused(lab, repo, "main")).message == f"{repo} has no commit yet, so no main"


async def test_an_unborn_branch_beside_others_asks_for_a_base(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "checkout", "-q", "--orphan", "fresh")
    error = await refused(lab, repo)
    assert error.message == f"fresh, the branch checked out in {repo}, has no commit yet"
    assert "`main`" in error.fix


async def test_an_unknown_base_comes_with_names_that_look_alike(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "branch", "feature/parser")
    error = await refused(lab, repo, "feature/parsre")
    assert isinstance(error, RepositoryError)
    assert error.message == f"`feature/parsre` is no branch, tag or commit of {repo}"
    assert error.fix == "did you mean `feature/parser`?"
    assert "for example, `feature/parser`, `main`" in (await refused(lab, repo, "zzz")).fix


@pytest.mark.parametrize(
    "base",
    ["-x", "--all", "main..main", "main:README.md", "^main", "a b", "\n", "main\n", "a\0b", "\ud800", "~", "README.md"],
)
async def test_a_base_that_names_no_commit_is_refused(lab: Lab, base: str) -> None:
    error = await refused(lab, lab.repository(), base)
    assert isinstance(error, RepositoryError)
    assert "is no branch, tag or commit" in error.message


async def test_a_cut_history_is_mentioned_when_the_base_is_not_found(lab: Lab) -> None:
    origin = lab.repository("origin")
    first = lab.git(origin, "rev-parse", "HEAD")
    lab.commit(origin, {"second": "x"})
    lab.git(lab.directory, "clone", "-q", "--depth=1", f"file://{origin}", "repo")
    assert "a shallow clone" in (await refused(lab, lab.directory / "repo", first)).message


async def test_a_partial_clone_is_refused_with_another_way(lab: Lab) -> None:
    origin = lab.repository("origin")
    lab.git(origin, "config", "uploadpack.allowFilter", "true")
    lab.git(lab.directory, "clone", "-q", "--filter=blob:none", f"file://{origin}", "repo")
    error = await refused(lab, lab.directory / "repo")
    assert isinstance(error, RepositoryError)
    assert "is a partial clone" in error.message
    assert "URL" in error.fix


async def test_a_branch_in_the_way_is_named(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "branch", "kugetsu")
    error = await refused(lab, repo)
    assert isinstance(error, RepositoryError)
    assert error.message.startswith(f"{repo} has a branch named kugetsu, so it cannot have kugetsu/")
    assert "git branch -m kugetsu kugetsu-old" in error.fix


@pytest.mark.parametrize("damage", ["commit", "tree", "blob", "ref"])
async def test_a_damaged_repository_is_called_damaged(lab: Lab, damage: str) -> None:
    repo = lab.repository()
    names = {"commit": "HEAD", "tree": "HEAD^{tree}", "blob": "HEAD:README.md", "ref": "HEAD"}
    name = lab.git(repo, "rev-parse", names[damage])
    victim = repo / ".git" / "objects" / name[:2] / name[2:]
    if damage == "ref":
        victim.unlink()
    else:
        victim.chmod(0o644)
        victim.write_bytes(b"garbage")
    before = fingerprint(repo)
    error = await refused(lab, repo)
    assert isinstance(error, RepositoryError)
    assert error.message.startswith(f"the repository {repo} is damaged")
    assert fingerprint(repo) == before


async def test_a_broken_configuration_is_named(lab: Lab) -> None:
    repo = lab.repository()
    (repo / ".git" / "config").write_text("[core\n")
    error = await refused(lab, repo)
    assert isinstance(error, RepositoryError)
    assert "bad config line 1" in error.message


@needs_root
async def test_a_repository_of_another_user_names_the_setting_that_trusts_it(open_lab: Lab) -> None:
    repo = open_lab.repository()
    give_away(repo)
    error = await refused(open_lab, repo / "src")
    assert isinstance(error, RepositoryError)
    assert "belongs to another user" in error.message
    assert error.fix.endswith(f"git config --global --add safe.directory {repo}")
    open_lab.configure(f"safe.directory={repo}")
    workspace = await open_lab.create(repo / "src")
    await workspace.deliver()


@needs_root
@pytest.mark.parametrize("what", ["refs/heads", "objects", "everything"])
async def test_a_repository_that_cannot_be_written_is_refused_before_any_work(open_lab: Lab, what: str) -> None:
    lab = open_lab
    repo = lab.repository()
    lab.configure(f"safe.directory={repo}")
    lab.home.mkdir()
    give_away(lab.home)
    if what == "objects":  # the branch can be made, so it is noticed at delivery only
        give_away(repo)
        for each in (repo / ".git/objects", *(repo / ".git/objects").iterdir()):
            os.chown(each, 0, 0)
    with another_user():
        if what == "objects":
            workspace = await lab.create(repo)
            (workspace.path / "new").write_text("x")
            await workspace.commit_all("save")
            with pytest.raises(WorkspaceError, match="permission"):
                await workspace.deliver()
            await workspace.close()
            assert workspace.path.exists()
            return
        error = await refused(lab, repo)
    assert isinstance(error, WorkspaceError)
    assert error.message.startswith((f"no permission in {repo}", f"cannot write in {repo}"))
    assert "the right to" in error.fix


@needs_root
async def test_a_repository_that_cannot_be_read_is_a_matter_of_permission(open_lab: Lab) -> None:
    repo = open_lab.repository()
    repo.chmod(0o700)
    with another_user():
        error = await refused(open_lab, repo)
    assert "ermission" in error.message


@needs_root
async def test_a_state_directory_that_cannot_be_written_is_named(open_lab: Lab) -> None:
    repo = open_lab.repository()
    give_away(repo)
    with another_user():
        error = await refused(open_lab, repo)
    assert isinstance(error, WorkspaceError)
    assert "Permission denied" in error.message
    assert str(open_lab.home) in error.message
    assert (
        open_lab.git(open_lab.directory, "-c", f"safe.directory={repo}", "-C", repo, "branch", "--list", "kugetsu/*")
        == ""
    )


async def test_a_state_directory_that_is_a_file_is_named(lab: Lab) -> None:
    repo = lab.repository()
    lab.home.write_text("x")
    error = await refused(lab, repo)
    assert isinstance(error, WorkspaceError)
    assert str(lab.home) in error.message


@contextlib.contextmanager
def small_disk(path: Path, kilobytes: int) -> Iterator[None]:
    path.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", path], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)


@needs_root
@pytest.mark.parametrize("kilobytes", [4, 40, 120, 200])
async def test_a_full_disk_is_named_and_nothing_is_left(lab: Lab, kilobytes: int) -> None:
    repo = lab.repository("repo", {f"{n}": os.urandom(6000).hex() for n in range(20)})
    before = fingerprint(repo)
    with small_disk(lab.home, kilobytes):
        error = await refused(lab, repo)
        assert isinstance(error, WorkspaceError)
        assert "disk is full" in error.message or "space" in error.fix
        assert str(repo) not in error.message or str(lab.home) in error.message
    assert fingerprint(repo) == before


@needs_root
async def test_a_disk_that_fills_up_later_loses_nothing(lab: Lab) -> None:
    repo = lab.repository()
    with small_disk(lab.home, 1000):
        workspace = await lab.create(repo)
        (workspace.path / "work").write_bytes(os.urandom(500_000))
        (workspace.path / "more").write_bytes(os.urandom(100_000))
        for _ in range(2):
            with pytest.raises(WorkspaceError, match=r"disk is full|free some space"):
                await workspace.commit_all("save")
            with pytest.raises(WorkspaceError, match=r"disk is full|free some space"):
                await workspace.changes()
        await workspace.close()
        assert (workspace.path / "work").stat().st_size == 500_000
        lab.run(lab.directory, "mount", "-o", "remount,size=20m", lab.home)
        assert await workspace.commit_all("save")
        await workspace.deliver()
    assert lab.git(repo, "cat-file", "-s", f"{workspace.branch}:work") == "500000"


@needs_root
async def test_a_full_disk_of_the_user_keeps_the_work_and_says_where(lab: Lab) -> None:
    with small_disk(lab.directory / "disk", 500):
        repo = lab.repository("disk/repo")
        workspace = await lab.create(repo)
        (workspace.path / "work").write_bytes(os.urandom(600_000))
        await workspace.commit_all("save")
        with pytest.raises(WorkspaceError, match=r"did not take the branch.*space.*the work is kept in"):
            await workspace.deliver()
        await workspace.close()
        assert (workspace.path / "work").exists()
        lab.run(lab.directory, "mount", "-o", "remount,size=20m", lab.directory / "disk")
        await workspace.deliver()
        assert lab.git(repo, "cat-file", "-s", f"{workspace.branch}:work") == "600000"


def fake_git(lab: Lab, script: str) -> GitWorkspaces:
    bin_ = lab.directory / "bin"
    bin_.mkdir()
    (bin_ / "git").write_text(f"#!/bin/sh\n{script}\n")
    (bin_ / "git").chmod(0o755)
    return GitWorkspaces(lab.home, environ={**lab.environ, "PATH": f"{bin_}:/usr/bin:/bin"})


async def test_an_old_git_is_named_with_the_version_that_is_needed(lab: Lab) -> None:
    repo = lab.repository()
    workspaces = fake_git(lab, "echo git version 2.20.1")
    with pytest.raises(WorkspaceError, match=r"git 2\.20\.1 is too old \(install git 2\.31 or newer\)"):
        await workspaces.create(lab.task(repo))
    assert not lab.left_overs()


async def test_a_git_that_does_not_say_its_version_is_refused(lab: Lab) -> None:
    with pytest.raises(WorkspaceError, match="does not say its version, but 'hello'"):
        await fake_git(lab, "echo hello").create(lab.task(lab.repository()))


async def test_a_missing_git_is_said(lab: Lab) -> None:
    workspaces = GitWorkspaces(lab.home, environ={"PATH": str(lab.directory), "HOME": str(lab.user)})
    with pytest.raises(WorkspaceError, match=r"git is not installed.*install git"):
        await workspaces.create(lab.task(lab.repository()))


async def test_the_git_of_this_machine_is_new_enough(lab: Lab) -> None:
    assert await git_version(lab.environ) >= MINIMUM_GIT


async def test_a_git_that_is_ended_by_a_signal_is_an_error_that_says_so(lab: Lab) -> None:
    workspaces = fake_git(lab, "case \"$*\" in *' version') echo git version 2.40;; *) kill -9 $$;; esac")
    with pytest.raises(WorkspaceError, match=r"`git rev-parse` failed in .*: it ended with code -9"):
        await workspaces.create(lab.task(lab.repository()))


async def test_an_id_that_could_leave_the_state_directory_is_refused(lab: Lab) -> None:
    task = lab.task(lab.repository())
    for bad in ("", "../x", "a/b", ".", "a b", "-x"):
        with pytest.raises(RepositoryError, match="cannot be a task's id"):
            await lab.workspaces.create(type(task)(id=bad, prompt="p", repo=task.repo, model="m"))
