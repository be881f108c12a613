"""Mirrors, between the tasks that need them: when they were used last, what only they have, and their packs.

A private repository borrows a mirror's objects, also such as no reference of the mirror leads to any more: a branch that
was removed at the remote, for example. So no object of a mirror is ever removed, but with the whole mirror, and that only
when no private repository borrows from it.
"""

import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from kugetsu.removal import remove_tree
from kugetsu.workspace.discarding import discard, sweep
from kugetsu.workspace.git import Git, agent_environment
from kugetsu.workspace.lock import take_lock
from kugetsu.workspace.wording import printable

_MANY_PACKS: Final = 50
"""Packs from which on a mirror is packed anew; git itself does so from that number on (gc.autoPackLimit)."""

_MANY_LOOSE: Final = 27
"""Loose objects in one of 256 folders from which on a mirror is packed anew: 6,700 in all, as git counts (gc.auto)."""

_SAMPLE: Final = "17"
"""The folder that git itself looks at in order to estimate how many loose objects there are."""

_MODESTLY: Final = ("-c", "pack.threads=1", "-c", "pack.windowMemory=64m")
_PACK_ALL: Final = ("-a", "-d", "--keep-unreachable", "--no-write-bitmap-index", "--quiet")

_LEFT_OVER_SECONDS: Final = 86_400.0
"""Age from which on a temporary pack is no longer written by anybody."""


def last_used(mirror: Path) -> float:
    """When a task last asked for a mirror; seconds since the epoch, 0 when that is not known."""
    times = [0.0]
    for path in (mirror.with_suffix(".lock"), mirror):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return max(times)


async def own_branches(mirror: Path, environ: Mapping[str, str]) -> list[str]:
    """Branches of a mirror with commits that the remote did not have when it was last asked: what tasks delivered there.

    Raises:
        RepositoryError, WorkspaceError: git failed.
    """
    git = _git(mirror, environ)
    if not await _has_own(git, "--branches"):
        return []
    listed = await git.run("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads")
    names = listed.decode(errors="surrogateescape").splitlines()
    return [name for name in names if await _has_own(git, f"refs/heads/{name}")]


async def remove_mirror(mirror: Path, used: float, sure: Callable[[], Awaitable[bool]]) -> bool:
    """Remove a mirror that nobody needs; whether it is gone. One that is being fetched into stays.

    Args:
        mirror: which.
        used: when it was used last; if it has been since, it stays.
        sure: asked when nobody can fetch into it any more.

    Raises:
        OSError: the machine refused.
    """
    with _locked_now(mirror.with_suffix(".lock")) as ours:
        return ours and last_used(mirror) <= used and await sure() and await discard(mirror)


def is_cloned_now(clone: Path) -> bool:
    """Whether a mirror is being cloned; else a process was killed in the middle of that.

    Raises:
        OSError: the machine refused.
    """
    with _locked_now(_lock_of_clone(clone)) as ours:
        return not ours


async def remove_unfinished(clone: Path) -> bool:
    """Remove a mirror that was being cloned when a process was killed; whether it is gone.

    Raises:
        OSError: the machine refused.
    """
    with _locked_now(_lock_of_clone(clone)) as ours:
        return ours and await remove_tree(clone)


def needs_packing(mirror: Path) -> bool:
    """Whether a mirror has so many packs or loose objects that git becomes slow there."""
    objects = mirror / "objects"
    return _count(objects / "pack", ".pack") > _MANY_PACKS or _count(objects / _SAMPLE) > _MANY_LOOSE


async def pack(mirror: Path, environ: Mapping[str, str]) -> None:
    """Put all objects of a mirror into one pack, those that no reference leads to as well. Others may use it meanwhile.

    Raises:
        RepositoryError, WorkspaceError: git failed, for example on a full disk; everything is still there.
    """
    with contextlib.suppress(OSError):
        for path in [*(mirror / "objects" / "pack").iterdir()]:
            if path.name.startswith(("tmp_", ".tmp-")) and path.stat().st_mtime < time.time() - _LEFT_OVER_SECONDS:
                path.unlink()
    await _git(mirror, environ).run(*_MODESTLY, "repack", *_PACK_ALL)


async def sweep_gone(path: Path) -> bool:
    """Remove what a killed process was removing, by the name that it has meanwhile; whether it is gone."""
    return await sweep(path.with_name(path.name.removeprefix(".gone-")))


def _lock_of_clone(clone: Path) -> Path:
    """What whoever clones holds."""
    return clone.with_name(clone.name.removeprefix(".").rpartition(".")[0]).with_suffix(".lock")


@contextmanager
def _locked_now(path: Path) -> Iterator[bool]:
    """Whether the lock is ours while the block runs; not when somebody else has it. Its file stays as it is."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield take_lock(descriptor)
    finally:
        os.close(descriptor)


async def _has_own(git: Git, what: str) -> bool:
    return bool(await git.run("rev-list", "--max-count=1", what, "--not", "--remotes", "--tags", "--"))


def _git(mirror: Path, environ: Mapping[str, str]) -> Git:
    return Git(mirror, {**agent_environment(environ), "GIT_DIR": str(mirror)}, printable(mirror))


def _count(folder: Path, suffix: str = "") -> int:
    try:
        return sum(name.endswith(suffix) for name in os.listdir(folder))  # noqa: PTH208 - thousands of plain names
    except OSError:
        return 0
