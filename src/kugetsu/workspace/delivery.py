"""Bringing a task's work into the repository it came from."""

import asyncio
import shlex
from typing import Final

from kugetsu.concurrency import finish
from kugetsu.errors import KugetsuError, WorkspaceError
from kugetsu.workspace.durable import read_refs, write_ref
from kugetsu.workspace.git import Git
from kugetsu.workspace.private import Private
from kugetsu.workspace.references import free_branch_at
from kugetsu.workspace.source import Source
from kugetsu.workspace.wording import printable

TIP: Final = "refs/kugetsu/tip"
"""Name in the private repository of the commit that is, or could not be, delivered."""

DELIVERED: Final = "refs/kugetsu/delivered"
"""Name in the private repository of the commit at which we left the branch in the source."""

_FETCH: Final = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")
_LOCK_TRIES: Final = 7
_LOCK_WAIT: Final = 0.05


async def deliver(source: Source, private: Private, tip: str, last: str) -> None:
    """Make the task's branch in the source point to the work. Nothing happens when it does already.

    Args:
        source: where to.
        private: where from.
        tip: the commit that is the work.
        last: the commit at which we left the branch; when it is anywhere else, and not at the commit of a delivery
            that was cancelled, somebody moved it.

    Raises:
        WorkspaceError: the source did not take it. The work stays; the message says where, and how to get it.
        OSError: the machine refused.
    """
    if await asyncio.to_thread(free_branch_at, source.common, private.branch) == tip:
        return
    [tried] = read_refs(private.repository, TIP)
    await asyncio.to_thread(write_ref, private.repository, TIP, tip)
    try:
        current, checked_out = await branch_in(source, private.branch)
        if current == tip:
            return
        if checked_out:
            raise WorkspaceError(f"it is checked out in {checked_out}")
        if current not in {"", last, tried}:
            raise WorkspaceError(f"somebody else moved it to {current}")
        await _patiently(source.store, "fetch", *_FETCH, str(private.repository), TIP)
        await _move(source, private.branch, tip, current)
    except KugetsuError as error:
        raise _refused(source, private, error) from error


async def _move(source: Source, branch: str, tip: str, current: str) -> None:
    """Move the branch, unless somebody else brought it there meanwhile."""
    try:
        arguments = ("update-ref", "-m", "kugetsu: delivered", f"refs/heads/{branch}", tip, current)
        await _patiently(source.store, *arguments, whole=True)
    except KugetsuError:
        if (await branch_in(source, branch))[0] != tip:
            raise


async def branch_in(source: Source, branch: str) -> tuple[str, str]:
    """The commit of a branch of the source (empty when it is gone), and where it is checked out (empty: nowhere)."""
    if plain := await asyncio.to_thread(free_branch_at, source.common, branch):
        return plain, ""
    ref = f"refs/heads/{branch}"
    listed = await source.store.run("for-each-ref", "--format=%(refname) %(objectname) %(worktreepath)", ref)
    for line in listed.splitlines():
        name, commit, worktree = line.split(b" ", 2)
        if name == ref.encode():
            return commit.decode(), printable(worktree)
    return "", ""


async def _patiently(git: Git, *arguments: str, whole: bool = False) -> None:
    """Run git; again when another git holds a lock, for a few seconds. `whole`: a cancel waits for the command."""
    for attempt in range(_LOCK_TRIES):
        done = await (finish(git.ask(*arguments)) if whole else git.ask(*arguments))
        if done.code == 0:
            return
        if b".lock': File exists" not in done.stderr or attempt == _LOCK_TRIES - 1:
            raise git.failure(done, arguments[0])
        await asyncio.sleep(_LOCK_WAIT * 2**attempt)


def _refused(source: Source, private: Private, error: KugetsuError) -> WorkspaceError:
    """The work is not where the user looks for it: say where it is, and the command that brings it there."""
    target = shlex.quote(str(source.here.cwd))
    command = f"git -C {target} fetch {shlex.quote(str(private.repository))} {TIP}:refs/heads/{private.branch}-2"
    return WorkspaceError(
        f"{source.place} did not take the branch {private.branch}: {error};"
        f" the work is kept in {printable(private.repository)}",
        fix=f"get it with: {command}",
    )
