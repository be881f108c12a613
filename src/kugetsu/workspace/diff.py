"""The work of a task as a patch, long after its run or in the middle of it."""

import os
from collections.abc import Mapping
from pathlib import Path

from kugetsu.errors import RepositoryError
from kugetsu.workspace.address import RemoteUrl, parse_address
from kugetsu.workspace.git import Git, agent_environment
from kugetsu.workspace.mirror import open_mirror
from kugetsu.workspace.private import Private, private_of, task_id_of
from kugetsu.workspace.result import result
from kugetsu.workspace.source import Source, open_source_again
from kugetsu.workspace.state import environment, read_state
from kugetsu.workspace.wording import printable


async def branch_diff(home: Path, repo: str, base: str, branch: str, environ: Mapping[str, str] = os.environ) -> bytes:
    """The changes of a task: of its worktree while that is there, uncommitted ones included, else of its branch.

    Args:
        home: directory of all of Kugetsu's state.
        repo: path or URL as the task names it.
        base: commit the work started from.
        branch: branch of the work.
        environ: the user's environment.

    Returns:
        A patch as `git diff` prints it; bytes, because files may be in any encoding.

    Raises:
        RepositoryError: the repository, the branch or the base is gone.
        WorkspaceError: git failed.
    """
    source = await _open(home, repo, environ)
    private = private_of(home, task_id_of(branch), branch)
    if private.worktree_exists and private.exists:
        return await _of_worktree(private, base, environ)
    return await _of_branch(source, base, branch)


async def _open(home: Path, repo: str, environ: Mapping[str, str]) -> Source:
    address = parse_address(repo)
    if isinstance(address, RemoteUrl):
        return await open_mirror(home, address, environ)
    return await open_source_again(address, environ)


async def _of_worktree(private: Private, base: str, environ: Mapping[str, str]) -> bytes:
    git = Git(private.repository, agent_environment(environ), printable(private.repository))
    git = git.at(private.repository, environment(private))
    state = await read_state(private, git, base)
    async with result(private, git.at(private.worktree, {}), state) as found:
        return await _patch(git, base, found.tree)


async def _of_branch(source: Source, base: str, branch: str) -> bytes:
    [start, end] = await source.store.resolve(f"{base}^{{commit}}", f"refs/heads/{branch}^{{commit}}")
    if not end:
        raise RepositoryError(
            f"the branch {branch} is no longer in {source.place}", fix="it was removed or renamed there"
        )
    if not start:
        raise RepositoryError(f"the commit {base} is no longer in {source.place}", fix=f"see `git log {branch}` there")
    # In the user's checkout, for its attributes, but without its index, which may be damaged.
    here = source.here.at(source.here.cwd, {"GIT_INDEX_FILE": source.common / "index.kugetsu-none"})
    return await _patch(here, start, end)


async def _patch(git: Git, before: str, after: str) -> bytes:
    options = ("-r", "-p", "-M", "--no-ext-diff", "--no-textconv", "--no-relative", "--no-color")
    return await git.run("diff-tree", *options, before, after)
