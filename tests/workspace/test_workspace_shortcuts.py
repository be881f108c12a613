"""What is told without git must never differ from what git would say: attempts to make it."""

import os
import secrets
import time
from pathlib import Path

import pytest

from kugetsu.workspace import GitWorkspace
from kugetsu.workspace.looking import look_at
from workspace.workspace_lab import FILES, Lab

TICK = 0.02
"""Seconds in which the clock of every file system has gone on."""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def by_git(lab: Lab, workspace: GitWorkspace) -> str:
    """The tree of a worktree as git finds it, from nothing, without any index that knows of it."""
    index = lab.directory / f"index-{secrets.token_hex(4)}"
    env = {"GIT_INDEX_FILE": str(index)}
    lab.run(workspace.path, "git", "read-tree", "HEAD", env=env)
    lab.run(workspace.path, "git", "add", "--all", env=env)
    return lab.run(workspace.path, "git", "write-tree", env=env).decode().strip()


async def settled(lab: Lab, prepare: str = "true") -> tuple[GitWorkspace, str]:
    """A worktree at which nothing was changed since its last snapshot; and the tree of that."""
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, f"mkdir a b; echo 1 > a/same; echo 2 > b/same; ln -s one link; {prepare}")
    for turn in (1, 2):
        time.sleep(TICK)  # noqa: ASYNC251 - nothing else runs
        snapshot = await workspace.snapshot(turn)
    return workspace, lab.git(lab.private(workspace), "rev-parse", f"{snapshot}^{{tree}}")


FOOLS = {
    "time set back": "touch -r a/same ../time; echo 7 > a/same; touch -r ../time a/same",
    "replaced by one of the same time": "touch -r a/same ../time; echo 7 > a/new; touch -r ../time a/new; mv a/new a/same",
    "mode": "chmod +x a/same",
    "link": "ln -sfn two link",
    "link becomes a file": "rm link; echo one > link",
    "folders swapped": "mv a c; mv b a; mv c b",
    "files swapped": "mv a/same c; mv b/same a/same; mv c b/same",
    "file gone": "touch -r a ../time; rm a/same; touch -r ../time a",
    "new file": "touch -r a ../time; echo > a/new; touch -r ../time . a",
    "time of the future": "touch -d 2100-01-01 a/same; echo 7 > a/same; touch -d 2100-01-01 a/same",
    "ignored no longer": "sed -i d .gitignore",
    "ignored by force": "git add -f x.log",
    "excluded no longer": "sed -i '/excluded/d' $(git rev-parse --git-common-dir)/info/exclude",
    "user's rules": ": > ../../../user/rules",
    "user's rules elsewhere": "git config --global core.excludesFile ~/none",
    "included rules": ": > ../../../user/included",
    "new repository": "git init -q a/inner; echo x > b/new",
}


@pytest.mark.parametrize("fool", FOOLS)
async def test_a_change_is_seen_whatever_hides_it(lab: Lab, fool: str) -> None:
    (lab.user / "rules").write_text("by-user\n")
    (lab.user / "included").write_text(f"[core]\n\texcludesFile = {lab.user}/rules\n")
    lab.configure(f"include.path={lab.user}/included")
    own = "git config --unset core.excludesFile"  # that of the user, which was taken over
    exclude = "echo excluded >> $(git rev-parse --git-common-dir)/info/exclude"
    workspace, before = await settled(lab, f"echo 1 > x.log; echo 1 > by-user; echo 1 > excluded; {exclude}; {own}")
    lab.agent(workspace, FOOLS[fool])
    snapshot = await workspace.snapshot(3)
    tree = lab.git(lab.private(workspace), "rev-parse", f"{snapshot}^{{tree}}")
    if fool != "new repository":
        expected = {"ignored by force": {"x.log"}}.get(fool, set[str]())
        assert set(lab.files(lab.private(workspace), tree)) == {
            *lab.files(lab.private(workspace), by_git(lab, workspace)),
            *expected,
        }
        assert expected or tree == by_git(lab, workspace)
    assert tree != before
    assert await workspace.commit_all("work")
    lab.git(lab.private(workspace), "fsck", "--strict")


async def test_what_is_changed_in_the_very_moment_of_a_snapshot_is_in_the_next(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    file = workspace.path / "same-size"
    for turn in range(100, 140):
        file.write_text(str(turn))
        snapshot = await workspace.snapshot(turn)
        assert lab.show(lab.private(workspace), snapshot, "same-size") == str(turn)


async def test_the_first_snapshot_holds_what_was_changed_at_once(lab: Lab) -> None:
    repo = lab.repository()
    for number in range(12):
        workspace = await lab.create(repo)
        (workspace.path / "README.md").write_text(f"hell{number % 10}\n")
        snapshot = await workspace.snapshot(1)
        assert lab.show(lab.private(workspace), snapshot, "README.md") == f"hell{number % 10}\n"


async def test_a_commit_in_a_repository_that_a_commit_names_is_seen(lab: Lab) -> None:
    inner = "git init -q inner; git -C inner commit -q --allow-empty -m 1; git add inner; git commit -qm inner"
    workspace, before = await settled(lab, inner)
    lab.agent(workspace, "git -C inner commit -q --allow-empty -m 2")
    snapshot = await workspace.snapshot(3)
    assert lab.git(lab.private(workspace), "rev-parse", f"{snapshot}^{{tree}}") != before


@pytest.mark.parametrize(
    "hidden", ["echo 7 > README.md", "touch -r README.md ../t; echo HELLO > README.md; touch -r ../t README.md"]
)
async def test_what_comes_after_everything_was_committed_counts_as_uncommitted(lab: Lab, hidden: str) -> None:
    workspace = await lab.create(lab.repository())
    await workspace.snapshot(1)
    assert not await workspace.commit_all("nothing")
    assert not (await workspace.changes()).uncommitted
    await workspace.deliver()
    lab.agent(workspace, hidden)
    assert (await workspace.changes()).uncommitted
    assert not await workspace.close()
    assert await workspace.commit_all("late")
    changes = await workspace.changes()
    assert (changes.files_changed, changes.uncommitted) == (1, False)
    lab.agent(workspace, "echo more > new")
    assert (await workspace.changes()).uncommitted
    assert await workspace.commit_all("more")
    await workspace.deliver()
    assert await workspace.close()


NAMES = {
    "stash": "echo 1 > README.md; git stash -q",
    "branch": "git checkout -q -b mine; git commit -q --allow-empty -m mine; git checkout -q -",
    "reference": "git update-ref refs/mine $(git commit-tree -m mine HEAD^{tree})",
    "tag": "git tag -a -m mine v1; git update-ref refs/tags/v2 $(git commit-tree -m mine HEAD^{tree})",
    "packed": "git branch mine $(git commit-tree -m mine HEAD^{tree}); git pack-refs --all",
    "base branch moved": "git update-ref refs/heads/main $(git commit-tree -p main -m mine HEAD^{tree})",
    "worktree": "git worktree add -q ../mine HEAD",
    "of the worktree": "git update-ref refs/worktree/mine $(git commit-tree -m mine HEAD^{tree})",
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", NAMES)
async def test_a_worktree_stays_when_the_agent_named_other_commits(lab: Lab, name: str, when: str) -> None:
    workspace = await lab.create(lab.repository())
    await workspace.snapshot(1)
    for step in ("before", "after"):
        if step == when:
            lab.agent(workspace, NAMES[name])
        await workspace.commit_all("work")
        await workspace.changes()
        await workspace.deliver()
    assert not await workspace.close(residue=True)
    assert workspace.path.is_dir()


async def test_the_worktree_stays_when_the_branch_was_taken_from_the_source(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    (workspace.path / "new").write_text("x")
    await workspace.commit_all("work")
    await workspace.deliver()
    lab.git(repo, "branch", "-q", "-D", workspace.branch)
    assert not await workspace.close(residue=True)


async def test_after_a_clean_up_of_the_agent_everything_is_found(lab: Lab) -> None:
    workspace, before = await settled(lab, "git add -A; git commit -qm mine")
    lab.agent(workspace, "git gc -q --prune=now; git pack-refs --all")
    snapshot = await workspace.snapshot(3)
    assert lab.git(lab.private(workspace), "rev-parse", f"{snapshot}^{{tree}}") == before
    assert not await workspace.commit_all("nothing")
    assert len((await workspace.changes()).commits) == 1
    await workspace.deliver()
    assert await workspace.close()


async def test_a_snapshot_that_could_not_be_kept_is_made_of_objects_that_are_there(lab: Lab) -> None:
    workspace, _ = await settled(lab)
    (workspace.path / "new").write_text("x")
    time.sleep(TICK)  # noqa: ASYNC251 - nothing else runs
    lock = lab.private(workspace) / "refs/kugetsu" / workspace.path.name.partition("-")[0] / "3.lock"
    lock.mkdir()
    with pytest.raises(Exception, match="lock"):
        await workspace.snapshot(3)
    lock.rmdir()
    lab.agent(workspace, "git prune --expire=now")
    snapshot = await workspace.snapshot(3)
    assert lab.show(lab.private(workspace), snapshot, "new") == "x"
    lab.git(lab.private(workspace), "fsck", "--strict")


def test_a_look_at_young_files_proves_nothing_later(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1")
    index = tmp_path.parent / f"{tmp_path.name}-index"
    young = look_at(tmp_path, index, None)
    time.sleep(0.15)
    old = look_at(tmp_path, index, None)
    assert young
    assert old
    assert young.files == old.files
    assert not young.proves(old)
    assert old.proves(look_at(tmp_path, index, None))
    os.utime(tmp_path / "file")
    assert not old.proves(look_at(tmp_path, index, None))


def test_a_look_does_not_tell_of_what_it_cannot_see(tmp_path: Path) -> None:
    index = tmp_path.parent / f"{tmp_path.name}-index"
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert look_at(tmp_path, index, None)
    assert look_at(tmp_path, index, None, most=3) is None
    (tmp_path / "src" / ".git").mkdir()
    assert look_at(tmp_path, index, None) is None
