import asyncio
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kugetsu.protocols import Workspace, Workspaces
from kugetsu.workspace import GitWorkspace
from workspace.workspace_lab import Lab, fingerprint

DEEDS = (
    "echo {n} > file{n}",
    "echo {n} >> README.md",
    "rm -f README.md",
    "mkdir -p folder; echo {n} > folder/{n}",
    "git add -A",
    "git commit -qam {n}",
    "git add -A; git commit -qm {n}",
    "git commit -q --amend -m amended",
    "git stash -q",
    "git stash pop -q",
    "git checkout -q main",
    "git checkout -q -",
    "git checkout -q -f {branch}",
    "git checkout -q -b side{n}",
    "git checkout -q --detach",
    "git reset -q --hard HEAD~1",
    "git reset -q --soft HEAD~1",
    "git merge -q --no-edit main",
    "git merge -q --no-edit {branch}",
    "git cherry-pick {branch}",
    "git rebase -q main",
    "git branch -q -D {branch}",
    "git tag t{n}",
    "git gc -q --prune=now",
    "rm -f $(git rev-parse --git-path index)",
    "touch $(git rev-parse --git-path index.lock)",
    "rm -f $(git rev-parse --git-path index.lock)",
    "rm -f .git",
)
CALLS = ("commit_all", "changes", "deliver")


def worktree_files(path: Path) -> dict[str, bytes]:
    inside = ((file, str(file.relative_to(path))) for file in path.rglob("*") if file.is_file())
    return {name: file.read_bytes() for file, name in inside if name != ".git"}


def delivered_contents(lab: Lab, repo: Path, branch: str) -> set[tuple[str, bytes]]:
    """Every file, with every contents it has in the history of a branch."""
    listed = lab.git(repo, "log", "-m", "--root", "--no-renames", "--raw", "--no-abbrev", "--format=", branch)
    entries = {(line.split()[3], line.split("\t")[1]) for line in listed.splitlines() if line.split()[4] != "D"}
    return {(name, lab.run(repo, "git", "cat-file", "blob", blob)) for blob, name in entries}


async def live(lab: Lab, repo: Path, deeds: list[str]) -> GitWorkspace:
    workspace = await lab.create(repo)
    for number, deed in enumerate(deeds):
        if deed == "commit_all":
            await workspace.commit_all("saved")
        elif deed in CALLS:
            await getattr(workspace, deed)()
        else:
            command = deed.format(n=number, branch=workspace.branch)
            subprocess.run(  # noqa: ASYNC221 - the agent's turn
                ["bash", "-c", command],
                cwd=workspace.path,
                env={**lab.environ, **workspace.environment},
                capture_output=True,
                check=False,
            )
    return workspace


async def check_promises(lab: Lab, deeds: list[str]) -> None:
    repo = lab.repository()
    before = fingerprint(repo)
    workspace = await live(lab, repo, deeds)
    files = worktree_files(workspace.path)
    changes = await workspace.changes()
    committed = await workspace.commit_all("saved at last")
    assert committed <= changes.uncommitted
    changes = await workspace.changes()
    await workspace.deliver()
    assert worktree_files(workspace.path) == files
    listed = lab.git(repo, "rev-list", "--reverse", "--topo-order", f"{workspace.base}..{workspace.branch}").split()
    assert [commit.sha for commit in changes.commits] == listed
    commits = lab.git(lab.private(workspace), "for-each-ref", "--format=%(objectname)").split()
    await workspace.close()
    if workspace.path.exists():
        assert worktree_files(workspace.path) == files
    else:
        assert set(files.items()) <= delivered_contents(lab, repo, workspace.branch)
        assert all(lab.try_git(repo, "cat-file", "-e", commit) == 0 for commit in commits)
        assert await lab.forget(workspace)
        assert not lab.left_overs()
    assert fingerprint(repo, workspace.branch) == before


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deeds=st.lists(st.sampled_from([*DEEDS, *CALLS]), max_size=12))
def test_whatever_an_agent_does_nothing_is_lost_and_the_users_repository_is_left_alone(
    deeds: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    asyncio.run(check_promises(Lab(tmp_path_factory.mktemp("lab")), deeds))


async def test_the_parts_are_what_their_seams_ask_for(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    workspaces: Workspaces = lab.workspaces
    workspace: Workspace = await workspaces.create(lab.task(lab.repository()))
    assert workspace.path.is_dir()
