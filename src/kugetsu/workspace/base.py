"""The commit a task starts from, and the name it goes by."""

import asyncio
import difflib
import os
import re
from typing import Final

import msgspec

from kugetsu.concurrency import first_error
from kugetsu.errors import RepositoryError
from kugetsu.tasks import BRANCH_PREFIX
from kugetsu.workspace.reading import head_in, ref_in
from kugetsu.workspace.source import Source
from kugetsu.workspace.wording import printable

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_MOST_SUGGESTED: Final = 3
REMOTE_HEAD: Final = "refs/remotes/origin/HEAD"
"""Where a mirror keeps what is checked out at the remote."""


class Base(msgspec.Struct, frozen=True):
    """A commit to start from.

    Attributes:
        commit: its full id.
        name: the branch it is the tip of, without `refs/heads/` or the remote's name; empty when it is none.
        tree: its tree.
    """

    commit: str
    name: str = ""
    tree: str = ""


async def resolve_base(source: Source, wanted: str) -> Base:
    """Find the commit that a branch, remote branch, tag or any other name of git means; HEAD's for an empty one.

    Raises:
        RepositoryError: there is no such commit, with names that look alike; or there is no commit at all.
    """
    if not wanted:
        return await _checked_out(source)
    if not _CONTROL.search(wanted) and _encodable(wanted):
        for name, commit, tree in await _look_up(source, wanted):
            if commit:
                return Base(commit, _branch(name), tree)
    raise await _not_found(source, wanted)


async def _checked_out(source: Source) -> Base:
    if plain := plainly_checked_out(source):
        ref, commit = plain
        if tree := source.trees.get(commit) or await _tree(source, commit):
            return Base(commit, _branch(ref), tree)
    head = _head(source)
    with first_error():
        async with asyncio.TaskGroup() as group:
            found = group.create_task(source.here.resolve(f"{head}^{{commit}}", f"{head}^{{tree}}"))
            naming = group.create_task(source.here.ask("symbolic-ref", "--quiet", head))
    [commit, tree], named = found.result(), naming.result()
    ref = named.stdout.decode(errors="surrogateescape").removesuffix("\n")
    if commit:
        return Base(commit, _branch(ref), tree)
    raise await _no_commit(source, ref)


def plainly_checked_out(source: Source) -> tuple[str, str] | None:
    """The branch that is checked out, or HEAD, and its commit, as files say it; None when they do not."""
    if source.admin is None or source.mirror:
        return None
    try:
        ref, commit = head_in(source.admin)
    except OSError:
        return None
    commit = ref_in(source.common, ref) if ref else commit
    return (os.fsdecode(ref) or "HEAD", commit) if commit else None


async def _tree(source: Source, commit: str) -> str:
    """The tree of what may be a commit, remembered with the source; empty when it is none."""
    [found, tree] = await source.here.resolve(f"{commit}^{{commit}}", f"{commit}^{{tree}}")
    if found == commit:
        source.trees[commit] = tree
    return source.trees.get(commit, "")


def _head(source: Source) -> str:
    """The name of what is checked out: at the remote, for a mirror."""
    return REMOTE_HEAD if source.mirror else "HEAD"


async def _look_up(source: Source, wanted: str) -> list[tuple[str, str, str]]:
    """Every meaning of a name, in the order in which they count, with its commit and that one's tree, or nothing."""
    folders = ["refs/heads/", "refs/remotes/", "refs/tags/", ""]
    if source.mirror:
        folders.insert(0, "refs/remotes/origin/")
    names = [folder + wanted for folder in folders]
    found = await source.here.resolve(*(f"{name}^{{{kind}}}" for kind in ("commit", "tree") for name in names))
    return list(zip(names, found[: len(names)], found[len(names) :], strict=True))


def _branch(ref: str) -> str:
    """The name that a branch or remote branch goes by."""
    if ref.startswith("refs/heads/"):
        return ref.removeprefix("refs/heads/")
    if ref.startswith("refs/remotes/") and not ref.endswith("/HEAD"):
        return ref.removeprefix("refs/remotes/").partition("/")[2]
    return ""


def _encodable(text: str) -> bool:
    try:
        text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


async def _no_commit(source: Source, ref: str) -> RepositoryError:
    if (await source.here.ask("rev-parse", "--verify", "--quiet", _head(source))).code == 0:
        return _damaged(source, "HEAD")
    branches = await _names(source, "refs/heads", "refs/remotes")
    if not branches:
        return RepositoryError(f"{source.place} has no commit yet", fix="make a first one, then try again")
    branch = printable(_branch(ref))
    return RepositoryError(
        f"{branch}, the branch checked out in {source.place}, has no commit yet"
        if branch
        else f"{source.place} has no branch checked out",
        fix=f"name a base with --base, for example {_quoted(branches[:_MOST_SUGGESTED])}",
    )


async def _not_found(source: Source, wanted: str) -> RepositoryError:
    shown = printable(wanted.encode(errors="replace"))
    known = await _names(source, "refs/heads", "refs/remotes", "refs/tags")
    if not known:
        return RepositoryError(f"{source.place} has no commit yet, so no {shown}", fix="make a first one")
    if wanted in known:
        return _damaged(source, shown)
    near = difflib.get_close_matches(wanted, known, _MOST_SUGGESTED)
    fix = f"did you mean {_quoted(near)}?" if near else f"there are, for example, {_quoted(known[:_MOST_SUGGESTED])}"
    cut = ", whose history is cut (a shallow clone)" if source.shallow else ""
    return RepositoryError(f"`{shown}` is no branch, tag or commit of {source.place}{cut}", fix=fix)


def _damaged(source: Source, name: str) -> RepositoryError:
    return RepositoryError(
        f"the repository {source.place} is damaged: the commit of {name} cannot be read", fix="see `git fsck` there"
    )


async def _names(source: Source, *folders: str) -> list[str]:
    """Short names of what is there."""
    listed = await source.here.run("for-each-ref", "--format=%(refname:lstrip=2)", *folders)
    names = [printable(name).removeprefix("origin/" if source.mirror else "") for name in listed.splitlines()]
    return [name for name in dict.fromkeys(names) if name and name != "HEAD" and not name.startswith(BRANCH_PREFIX)]


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
