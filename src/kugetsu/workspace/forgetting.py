"""What a task left behind, once it is over: whether anything of it is nowhere else, and its removal."""

import asyncio
import contextlib
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.errors import RepositoryError
from kugetsu.tasks import Place
from kugetsu.workspace.changes import difference
from kugetsu.workspace.closing import (
    CLOSED,
    all_but_snapshots,
    has_unknown_commits,
    inner_repositories,
    is_own_link,
    submodules_changed,
)
from kugetsu.workspace.copies import has_ignored
from kugetsu.workspace.delivery import DELIVERED, TIP
from kugetsu.workspace.discarding import discard
from kugetsu.workspace.durable import read_refs, replace_file
from kugetsu.workspace.facts import Facts, facts_of
from kugetsu.workspace.git import Git, agent_environment
from kugetsu.workspace.owner import Owner
from kugetsu.workspace.private import Private
from kugetsu.workspace.restoring import ASIDE
from kugetsu.workspace.result import result
from kugetsu.workspace.snapshots import folder, newest_tree
from kugetsu.workspace.state import MARKER, State, environment, read_state
from kugetsu.workspace.submodules import submodules_with_commits
from kugetsu.workspace.wording import printable

_NAMED: Final = ("refs/heads", "refs/stash", "refs/tags")


class Undelivered(msgspec.Struct, frozen=True):
    """Why a task's files have to stay.

    Attributes:
        reason: in words.
        command: what brings it to the user, or shows it; empty when there is no such command.
    """

    reason: str
    command: str = ""


async def undelivered(
    private: Private, place: Place, environ: Mapping[str, str], *, given_up: bool = False, wanted: bool = False
) -> Undelivered | None:
    """What would be lost with the worktree and the private repository; None when nothing would.

    Nothing is lost when references of the source have every commit, and the files of the worktree are in the tip of the
    work, or were in the last snapshot before it went. Commits that only a snapshot has were taken back, and do not count.

    Args:
        private: where they are.
        place: as it was written down.
        environ: the user's environment.
        given_up: whether a branch that was delivered and then deleted in the source counts, as long as the source still
            has its commits.
        wanted: whether the user asked for the worktree to be kept: then ignored files count that are nowhere else.

    Raises:
        OSError, WorkspaceError: the machine refused; it is not known.
    """
    try:
        return await _Examination(private, place, environ).look(given_up=given_up, wanted=wanted)
    except RepositoryError as error:  # damaged, or the source is gone: this may be the only copy
        return Undelivered(f"it cannot be looked at: {error.message}", f"ls {shlex.quote(str(private.repository))}")


async def forget(
    private: Private, place: Place, environ: Mapping[str, str], *, given_up: bool = False, wanted: bool = False
) -> bool:
    """Remove what there is of a task but its branch in the source, if nothing is lost by it; whether it is gone.

    May be called again after it was cut anywhere. For `given_up` and `wanted` see `undelivered`.

    Raises:
        OSError, WorkspaceError: as for `undelivered`.
    """
    owner, claimed = Owner(private.repository), False
    with contextlib.suppress(OSError):  # on a full disk, for example, where nobody else can write either
        owner.claim()
        claimed = True
    found = await undelivered(private, place, environ, given_up=given_up, wanted=wanted)
    if found or (claimed and not owner.holds):
        return False
    closed = private.repository / CLOSED
    with contextlib.suppress(OSError):  # without it, and killed now, the repository stays; on a full disk all would
        await asyncio.to_thread(replace_file, closed, b"")
    if not await discard(private.worktree):
        closed.unlink(missing_ok=True)
        return False
    return await discard(private.repository)


def no_repository(private: Private) -> Undelivered:
    """What is said of a worktree whose private repository is gone."""
    where = shlex.quote(str(private.worktree))
    return Undelivered("its repository is gone, so nobody can tell what in its worktree is new", f"ls -a {where}")


class _Examination:
    """Looks at one task's files; each question is a method, and the answer is what stands against their removal."""

    def __init__(self, private: Private, place: Place, environ: Mapping[str, str]) -> None:
        git = Git(private.repository, agent_environment(environ), printable(private.repository))
        self._private = private
        self._base = place.base
        self._facts: Facts = facts_of(place)
        # Not marked as the task's: whoever takes the task up again need not end what only looks.
        self._git = git.at(private.repository, {**environment(private), MARKER: ""})
        self._common = Path(self._facts.common)
        self._source = git.at(self._common, {"GIT_DIR": self._common})

    async def look(self, *, given_up: bool, wanted: bool) -> Undelivered | None:
        private = self._private
        if not (self._common / "objects").is_dir():
            raise RepositoryError(f"the repository it came from, {printable(self._common)}, is gone")
        if private.rules != self._facts.rules:
            return self._found("its list of borrowed objects or of ignored files was changed", self._show("log --all"))
        if moved := self._moved_aside():
            return moved
        state = await read_state(private, self._git, self._base)
        return (
            await self._files(state)
            or await self._submodules(state)
            or await self._commits(given_up=given_up)
            or await self._names()
            or (await self._ignored() if wanted and private.worktree_exists else None)
        )

    async def _files(self, state: State) -> Undelivered | None:
        private = self._private
        if not private.worktree_exists:
            return await self._last_snapshot(state)
        if not is_own_link(private):
            return self._found("a repository of its own is in its worktree", f"git -C {self._worktree} log --all")
        async with result(private, self._git.at(private.worktree, {}), state) as found:
            if found.uncommitted:
                kept = f"git -C {self._worktree} add -A && git -C {self._worktree} commit -m kept"
                return self._found("uncommitted files are in its worktree", f"{kept} && {self._fetch_head}")
            inner = inner_repositories(private, await difference(self._git, self._base, found.tree))
        if inner:
            where = private.worktree / os.fsdecode(inner[0])
            return self._found("a repository is inside its worktree", f"git -C {shlex.quote(str(where))} log --all")
        if await submodules_changed(private, self._git):
            command = f"git -C {self._worktree} status --ignore-submodules=none"
            return self._found("submodules in its worktree were changed", command)
        return None

    async def _last_snapshot(self, state: State) -> Undelivered | None:
        """The files of a worktree that is gone are in the tip: either we removed it, or the last snapshot says so."""
        private = self._private
        if (private.repository / CLOSED).exists():
            return None
        if await newest_tree(self._git, private.task_id) in {"", state.tip_tree}:
            return None
        listed = f"--git-dir={shlex.quote(str(private.repository))} for-each-ref {folder(private.task_id)}"
        return self._found("its worktree is gone, and only its last snapshot has the files", f"git {listed}")

    async def _submodules(self, state: State) -> Undelivered | None:
        """Commits in submodules are in repositories of their own, which go with the worktree or with its repository."""
        tree = state.tip_tree if self._private.worktree_exists else ""
        found = await submodules_with_commits(self._private, self._git, tree)
        if not found:
            return None
        where = f"--git-dir={shlex.quote(str(found[0]))} --work-tree={shlex.quote(str(found[0].parent))}"
        return self._found("a submodule has commits of its own", f"git {where} log --all --not --remotes")

    async def _ignored(self) -> Undelivered | None:
        if not await has_ignored(self._private, self._git, self._source):
            return None
        return self._found(
            "its user asked to keep the worktree, and ignored files in it are nowhere else",
            f"git -C {self._worktree} status --short --ignored",
        )

    async def _commits(self, *, given_up: bool) -> Undelivered | None:
        private = self._private
        if len(os.listdir(private.admin.parent)) > 1:  # noqa: PTH208 - a few names; the agent made worktrees of its own
            return self._found("it has more than one worktree", self._show("worktree list"))
        everything = all_but_snapshots(private)
        if not await has_unknown_commits(self._git, *everything):
            return None
        if given_up and await self._only_what_was_deleted(everything):
            return None
        return self._found("it has commits that are on no branch of the source", await self._fetch_unknown())

    async def _only_what_was_deleted(self, everything: tuple[str, ...]) -> bool:
        """Whether all commits were delivered on the branch, and the source still has them, though no branch does."""
        [commit] = read_refs(self._private.repository, DELIVERED)
        [there] = await self._source.resolve(f"{commit}^{{commit}}") if commit else [""]
        return bool(there) and not await has_unknown_commits(self._git, *everything, f"^{there}")

    async def _names(self) -> Undelivered | None:
        """What has a name and is no commit: a tag with a message is an object beside the commit that it is about."""
        listed = await self._git.run("for-each-ref", "--format=%(objecttype) %(objectname) %(refname)")
        named = [line.split(b" ", 2) for line in listed.splitlines()]
        made = {name: ref for kind, name, ref in named if kind != b"commit"}
        if not made:
            return None
        asked = b"".join(name + b"\n" for name in made)
        answers = (await self._source.run("cat-file", "--batch-check=%(objecttype)", stdin=asked)).splitlines()
        missing = [ref for ref, answer in zip(made.values(), answers, strict=True) if answer.endswith(b" missing")]
        if not missing:
            return None
        what = "tags that" if missing[0].startswith(b"refs/tags/") else "names for what"
        name = shlex.quote(os.fsdecode(missing[0]))
        return self._found(f"it has {what} the source has not", self._fetch(f"{name}:{name}"))

    async def _fetch_unknown(self) -> str:
        """The command that fetches the first name of what the source has not: the branch, the stash, what is checked out."""
        listed = (await self._git.run("for-each-ref", "--format=%(refname)", *_NAMED)).splitlines()
        own = os.fsencode(f"refs/heads/{self._private.branch}")
        for name in (*sorted(listed, key=lambda ref: ref != own), TIP.encode()):
            text = os.fsdecode(name)
            if (await self._git.resolve(f"{text}^{{commit}}"))[0] and await has_unknown_commits(self._git, text):
                return self._fetch(f"{shlex.quote(text)}:{self._new_branch}")
        admin = shlex.quote(str(self._private.admin))
        return f"git --git-dir={admin} push {self._user_repository} HEAD:{self._new_branch}"

    def _moved_aside(self) -> Undelivered | None:
        """What stood in the way of a rewind, and no commit can hold."""
        aside = self._private.repository / ASIDE
        if not aside.is_dir() or not any(files for _, _, files in os.walk(aside)):
            return None
        return self._found("files were moved aside when it was put back", f"ls -R {shlex.quote(str(aside))}")

    def _found(self, reason: str, command: str) -> Undelivered:
        return Undelivered(reason, command)

    def _show(self, arguments: str) -> str:
        return f"git --git-dir={shlex.quote(str(self._private.repository))} {arguments}"

    def _fetch(self, refspec: str) -> str:
        return f"git -C {self._user_repository} fetch {shlex.quote(str(self._private.repository))} {refspec}"

    @property
    def _fetch_head(self) -> str:
        return f"git -C {self._user_repository} fetch {self._worktree} HEAD:{self._new_branch}"

    @property
    def _new_branch(self) -> str:
        return f"refs/heads/{self._private.branch}-2"

    @property
    def _worktree(self) -> str:
        return shlex.quote(str(self._private.worktree))

    @property
    def _user_repository(self) -> str:
        """The repository as its user names it: the checkout that it is in, if it is in one."""
        common = self._common
        return shlex.quote(str(common.parent if common.name == ".git" else common))
