"""What is remembered of a repository from one task to the next must not outlive a change of it."""

import shutil
import time
from pathlib import Path

import pytest

from kugetsu.errors import RepositoryError
from kugetsu.workspace import GitWorkspace
from workspace.workspace_lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


async def twice(lab: Lab, repo: Path) -> GitWorkspace:
    """The second workspace of a repository, of which everything is remembered."""
    await lab.create(repo)
    time.sleep(0.15)  # noqa: ASYNC251 - what was changed just now is not remembered
    await lab.create(repo)
    return await lab.create(repo)


def is_dirty(workspace: GitWorkspace) -> bool:
    return any("Uncommitted work" in note for note in workspace.notes)


async def test_a_task_that_changes_nothing_takes_a_handful_of_git_commands(lab: Lab) -> None:
    listed, folder = lab.directory / "commands", lab.directory / "bin"
    folder.mkdir()
    real = lab.run(lab.directory, "bash", "-c", "command -v git").decode().strip()
    (folder / "git").write_text(f'#!/bin/sh\necho "$*" >> {listed}\nexec {real} "$@"\n')
    (folder / "git").chmod(0o755)
    repo = lab.repository()
    lab.environ["PATH"] = f"{folder}:{lab.environ['PATH']}"
    await twice(lab, repo)
    listed.write_text("")
    workspace = await lab.create(repo)
    for turn in range(5):
        await workspace.snapshot(turn)
    assert not await workspace.commit_all("work")
    assert (await workspace.changes()).files_changed == 0
    await workspace.deliver()
    assert await workspace.close(residue=True)
    assert len(listed.read_text().splitlines()) <= 4


async def test_a_new_commit_branch_and_tag_are_seen(lab: Lab) -> None:
    repo = lab.repository()
    await twice(lab, repo)
    commit = lab.commit(repo, {"new": "x"})
    lab.git(repo, "tag", "v1")
    workspace = await lab.create(repo)
    assert workspace.base == commit
    assert lab.agent(workspace, "git tag; git branch -r").split() == ["v1", "origin/main"]
    lab.git(repo, "checkout", "-q", "-b", "other")
    lab.git(repo, "pack-refs", "--all")
    assert lab.agent(await lab.create(repo), "git branch -r").split() == ["origin/other"]
    lab.git(repo, "tag", "-d", "v1")
    assert not lab.agent(await lab.create(repo), "git tag")
    lab.git(repo, "checkout", "-q", "--detach")
    assert not lab.agent(await lab.create(repo), "git branch -r")


async def test_uncommitted_work_is_noticed_when_it_comes_and_when_it_goes(lab: Lab) -> None:
    repo = lab.repository()
    assert not is_dirty(await twice(lab, repo))
    (repo / "README.md").write_text("HELLO\n")
    assert is_dirty(await lab.create(repo))
    assert is_dirty(await twice(lab, repo))
    lab.git(repo, "checkout", "README.md")
    assert not is_dirty(await twice(lab, repo))
    (repo / "new.log").write_text("ignored")
    assert not is_dirty(await twice(lab, repo))
    (repo / ".git/info/exclude").write_text("")
    lab.configure(f"core.excludesFile={lab.user}/none")
    (repo / "untracked").write_text("x")
    assert is_dirty(await lab.create(repo))
    (repo / ".git/info/exclude").write_text("untracked\n")
    assert not is_dirty(await twice(lab, repo))
    lab.git(
        repo,
        "reset",
        "-q",
        "--soft",
        lab.git(repo, "commit-tree", "-m", "x", "4b825dc642cb6eb9a060e54bf8d69288fbee4904"),
    )
    assert is_dirty(await lab.create(repo))


async def test_settings_of_repository_and_user_are_seen(lab: Lab) -> None:
    repo = lab.repository()
    await twice(lab, repo)
    lab.git(repo, "config", "user.name", "Renamed")
    assert lab.agent(await lab.create(repo), "git var GIT_AUTHOR_IDENT").startswith("Renamed <una@example.org>")
    (lab.user / "more").write_text("[user]\n\temail = other@example.org\n")
    lab.git(repo, "config", "include.path", str(lab.user / "more"))
    assert "<other@example.org>" in lab.agent(await twice(lab, repo), "git var GIT_AUTHOR_IDENT")
    (lab.user / "more").write_text("[user]\n\temail = third@example.org\n")
    assert "<third@example.org>" in lab.agent(await lab.create(repo), "git var GIT_AUTHOR_IDENT")
    lab.git(repo, "config", "extensions.partialClone", "origin")
    with pytest.raises(RepositoryError, match="partial clone"):
        await lab.create(repo)


async def test_another_repository_in_the_same_place_is_another(lab: Lab) -> None:
    repo = lab.repository()
    await twice(lab, repo)
    shutil.rmtree(repo / ".git")
    with pytest.raises(RepositoryError):
        await lab.create(repo)
    lab.git(repo, "init", "-q", "--object-format=sha256")
    assert lab.commit(repo, {"new": "x"}) == (await lab.create(repo)).base
    inner = repo / "src"
    await twice(lab, inner)
    lab.git(inner, "init", "-q")
    assert lab.commit(inner, {"new": "x"}) == (await lab.create(inner)).base


async def test_a_repository_with_strange_tags_is_worked_on(lab: Lab) -> None:
    repo = lab.repository()
    for name in ("v1", "a/b", "ünï", "x.y"):
        lab.git(repo, "tag", "-a", "-m", name, name)
    lab.git(repo, "symbolic-ref", "refs/tags/alias", "refs/heads/main")
    for _ in range(2):
        assert set(lab.agent(await lab.create(repo), "git tag").split()) == {"v1", "a/b", "ünï", "x.y", "alias"}
        lab.git(repo, "pack-refs", "--all")


async def test_a_branch_that_is_there_already_is_refused_and_stays(lab: Lab) -> None:
    repo = lab.repository()
    await twice(lab, repo)
    task = lab.task(repo)
    branch = f"kugetsu/{task.id}-fix-the-parser"
    commit = lab.commit(repo, {"new": "x"})
    lab.git(repo, "branch", branch, commit)
    with pytest.raises(RepositoryError, match="already"):
        await lab.workspaces.create(task)
    assert lab.git(repo, "rev-parse", branch) == commit
    assert not [name for name in lab.left_overs() if task.id in name]
