from pathlib import Path

import pytest

from workspace.workspace_lab import FILES, Lab, fingerprint

MISCHIEF = {
    "stash": "echo x >> README.md; git stash",
    "branches": "git branch -D main; git branch other; git update-ref -d refs/remotes/origin/main",
    "configuration": "git config core.bare true; git config user.name Evil; git config core.worktree /; git config -l",
    "tags": "git tag -d v1; git tag evil; git tag -f light HEAD~0",
    "worktrees": "git worktree add -q ../elsewhere; git worktree list",
    "clean-up": "git gc -q --prune=now; git reflog expire --expire=now --all; git prune; git worktree prune",
    "hooks": "mkdir -p $(git rev-parse --git-common-dir)/hooks; printf 'exit 1' > $(git rev-parse --git-path hooks)/pre-commit",
    "remote": "git remote add origin /nowhere; git remote remove origin",
    "reset": "git reset -q --hard HEAD~1; git clean -fdxq",
    "notes": "git notes add -m n; git replace HEAD HEAD~1; git bisect start",
    "rewrite": "git commit -q --amend -m amended; git checkout -q --orphan fresh; git commit -q -m fresh",
    "everything": "rm -rf .git; rm -rf *",
}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def lived_in(lab: Lab) -> Path:
    """A repository in the middle of its user's work."""
    repo = lab.repository()
    lab.git(repo, "tag", "-a", "v1", "-m", "one")
    lab.git(repo, "tag", "light")
    lab.git(repo, "branch", "topic")
    (repo / "README.md").write_text("stashed\n")
    lab.git(repo, "stash")
    lab.commit(repo, {"second": "x"})
    lab.git(repo, "fetch", "-q", ".", "topic")
    lab.git(repo, "config", "custom.key", "value")
    lab.git(repo, "pack-refs", "--all")
    (repo / "src/main.py").write_text("staged\n")
    lab.git(repo, "add", "src/main.py")
    (repo / "README.md").write_text("unstaged\n")
    (repo / "untracked").write_text("x")
    (repo / "ignored.log").write_text("x")
    return repo


@pytest.mark.parametrize("what", MISCHIEF)
async def test_nothing_of_the_users_changes_whatever_the_agent_does(lab: Lab, what: str) -> None:
    repo = lived_in(lab)
    before = fingerprint(repo)
    assert len(before) > 20
    workspace = await lab.create(repo)
    lab.agent(workspace, MISCHIEF[what])
    (workspace.path / "new").write_text("x")
    await workspace.commit_all("save")
    await workspace.changes()
    await workspace.deliver()
    await workspace.close()
    assert fingerprint(repo, workspace.branch) == before
    assert lab.show(repo, workspace.branch, "new") == "x"
    assert lab.git(repo, "stash", "list").count("\n") == 0
    lab.git(repo, "fsck", "--strict")


async def test_only_the_new_branch_appears_and_only_it_moves(lab: Lab) -> None:
    repo = lived_in(lab)
    before = lab.git(repo, "for-each-ref")
    workspace = await lab.create(repo)
    (workspace.path / "new").write_text("x")
    await workspace.commit_all("save")
    await workspace.deliver()
    after = set(lab.git(repo, "for-each-ref").splitlines())
    assert {line.split("\t")[1] for line in after - set(before.splitlines())} == {f"refs/heads/{workspace.branch}"}
    assert set(before.splitlines()) <= after


async def test_a_shallow_repository_of_the_user_is_left_as_it_is(lab: Lab) -> None:
    origin = lab.repository("origin")
    lab.commit(origin, {"second": "x"})
    lab.git(lab.directory, "clone", "-q", "--depth=1", f"file://{origin}", "repo")
    repo = lab.directory / "repo"
    before = fingerprint(repo)
    workspace = await lab.create(repo)
    (workspace.path / "new").write_text("x")
    await workspace.commit_all("save")
    await workspace.deliver()
    assert fingerprint(repo, workspace.branch) == before


async def test_the_users_untracked_files_and_mode_bits_stay(lab: Lab) -> None:
    repo = lab.repository()
    (repo / "README.md").chmod(0o600)
    before = {name: (repo / name).stat().st_mtime_ns for name in FILES}
    workspace = await lab.create(repo)
    await workspace.deliver()
    assert {name: (repo / name).stat().st_mtime_ns for name in FILES} == before
    assert (repo / "README.md").stat().st_mode & 0o777 == 0o600


async def test_settings_of_the_agent_run_nothing_when_we_use_git(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    trap = lab.directory / "trapped"
    for key in ("core.fsmonitor", "core.sshCommand", "core.editor", "diff.external", "gpg.program", "core.pager"):
        lab.agent(workspace, f"git config {key} 'touch {trap}'")
    lab.agent(
        workspace, f"mkdir ../hooks; printf '#!/bin/sh\\ntouch {trap}' > ../hooks/post-commit; chmod +x ../hooks/*"
    )
    lab.agent(workspace, "git config core.hooksPath $PWD/../hooks")
    (workspace.path / "new").write_text("x")
    await workspace.commit_all("save")
    await workspace.changes()
    await workspace.deliver()
    await workspace.close()
    assert not trap.exists()
    assert lab.show(repo, workspace.branch, "new") == "x"
