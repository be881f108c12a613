"""Mirrors: a remote repository, kept as a bare one on this machine and fetched before each task.

The remote's branches, and its HEAD, are under `refs/remotes/origin/`, its tags are tags. Branches of its own are those
that tasks delivered.
"""

import asyncio
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kugetsu.concurrency import finish, first_error
from kugetsu.errors import RepositoryError
from kugetsu.removal import remove_tree
from kugetsu.workspace.address import RemoteUrl
from kugetsu.workspace.base import REMOTE_HEAD
from kugetsu.workspace.git import ASKING_SECONDS, NETWORK_SECONDS, Git, user_environment
from kugetsu.workspace.lock import locked
from kugetsu.workspace.source import Source, open_source
from kugetsu.workspace.stale import run_over_locks

_REMOTE: Final = "mirrored"  # not `origin`, for which the user's own configuration may hold settings
_REFSPECS: Final = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")
_SHA256_DIGITS: Final = 64
_COMMIT: Final = re.compile(r"^([0-9a-f]{40,})\t", re.MULTILINE)


def mirror_path(home: Path, remote: RemoteUrl) -> Path:
    """Where the mirror of a URL is, or will be."""
    return home.absolute() / "mirrors" / f"{remote.mirror_name}.git"


async def open_mirror(home: Path, remote: RemoteUrl, environ: Mapping[str, str]) -> Source:
    """Open the mirror of a URL as it is, without asking the remote.

    Raises:
        RepositoryError: there is no mirror of it.
    """
    path = mirror_path(home, remote)
    if not _exists(path):
        raise RepositoryError(f"there is no copy of {remote.shown} on this machine", fix="run a task on it first")
    return await open_source(path, environ, place=remote.shown, mirror=True)


async def fetch_mirror(home: Path, remote: RemoteUrl, environ: Mapping[str, str]) -> Source:
    """Make the mirror of a URL, or bring it up to date. Many tasks and processes may do so at once.

    Raises:
        RepositoryError: the remote cannot be reached, does not let us in, or holds nothing.
        WorkspaceError: the machine refused.
        OSError: the same.
    """
    path = mirror_path(home, remote)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with locked(path.with_suffix(".lock")) as refreshes:
        if not refreshes.current:
            refreshes.begin()
            await _renew(path, remote, environ)
            refreshes.succeed()
    return await open_mirror(home, remote, environ)


def _exists(path: Path) -> bool:
    return path.is_dir()


async def _renew(path: Path, remote: RemoteUrl, environ: Mapping[str, str]) -> None:
    env = user_environment(environ, {f"remote.{_REMOTE}.url": remote.url})
    if not _exists(path):
        await _clone(path, remote, env)
        return
    git = Git(path, {**env, "GIT_DIR": str(path)}, remote.shown)
    with first_error():
        async with asyncio.TaskGroup() as group:
            head = group.create_task(_remote_head(git))
            group.create_task(_fetch(git))
    await _set_head(git, head.result()[0])


async def _clone(path: Path, remote: RemoteUrl, env: Mapping[str, str]) -> None:
    """Make a mirror under another name first, so that one that was cut is never used."""
    for left_over in path.parent.glob(f".{path.name}.*"):
        await remove_tree(left_over)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    unfinished.mkdir(mode=0o700)
    try:
        git = Git(unfinished, {**env, "GIT_DIR": str(unfinished)}, remote.shown)
        branch, object_format = await _remote_head(git)
        await git.run("init", "--quiet", "--bare", "--template=", f"--object-format={object_format}")
        await _fetch(git)
        await _set_head(git, branch)
        unfinished.rename(path)
    except BaseException:
        await finish(_remove(unfinished))
        raise


async def _remove(path: Path) -> None:
    await remove_tree(path)


async def _fetch(git: Git) -> None:
    options = ("--quiet", "--prune", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
    arguments = ("fetch", *options, _REMOTE, *_REFSPECS)
    await run_over_locks(git, git.cwd, *arguments, seconds=NETWORK_SECONDS, remote=True)


async def _remote_head(git: Git) -> tuple[str, str]:
    """The branch checked out at the remote (empty when it says none), and its object format."""
    listed = await _list_remote(git, "--symref", _REMOTE, "HEAD")
    branch = re.search(r"^ref: refs/heads/(.+)\tHEAD$", listed, re.MULTILINE)
    commit = _COMMIT.search(listed) or _COMMIT.search(await _list_remote(git, "--heads", _REMOTE))
    if commit is None:
        raise RepositoryError(f"{git.place} has no commit yet", fix="push a first one, then try again")
    return branch[1] if branch else "", "sha256" if len(commit[1]) == _SHA256_DIGITS else "sha1"


async def _list_remote(git: Git, *arguments: str) -> str:
    listed = await git.run("ls-remote", *arguments, seconds=ASKING_SECONDS, remote=True)
    return listed.decode(errors="surrogateescape")


async def _set_head(git: Git, branch: str) -> None:
    if branch:
        await run_over_locks(git, git.cwd, "symbolic-ref", REMOTE_HEAD, f"refs/remotes/origin/{branch}")
    else:
        await git.ask("symbolic-ref", "--delete", REMOTE_HEAD)  # it may never have been there
