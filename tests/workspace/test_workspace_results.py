import os
from pathlib import Path

import pytest

from kugetsu.errors import WorkspaceError
from kugetsu.tasks import Changes
from workspace.workspace_lab import FILES, Lab, fingerprint


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


async def test_everything_uncommitted_is_committed_once(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    (workspace.path / "README.md").write_text("changed\n")
    (workspace.path / "src/other.py").unlink()
    (workspace.path / "deep/er").mkdir(parents=True)
    (workspace.path / "deep/er/new").write_text("x")
    (workspace.path / "ignored.log").write_text("x")
    (workspace.path / "run").write_text("#!/bin/sh\n")
    (workspace.path / "run").chmod(0o755)
    (workspace.path / "link").symlink_to("/etc/passwd")
    assert await workspace.commit_all("Save the leftovers\n\nwith a body")
    assert not await workspace.commit_all("again")
    assert lab.agent(workspace, "git status --porcelain") == ""
    assert lab.agent(workspace, "git log -1 --format=%B").strip() == "Save the leftovers\n\nwith a body"
    listed = [line.split("\t") for line in lab.agent(workspace, "git ls-tree -r HEAD").splitlines()]
    assert {name: entry[:6] for entry, name in listed} == {
        ".gitignore": "100644",
        "README.md": "100644",
        "deep/er/new": "100644",
        "link": "120000",
        "run": "100755",
        "src/main.py": "100644",
    }
    assert (workspace.path / "ignored.log").exists()


async def test_changes_count_committed_and_uncommitted_work_and_change_nothing(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(
        workspace,
        "echo one > a; git add a; git commit -q -m first; git mv src/main.py src/app.py; git commit -qm second",
    )
    lab.agent(workspace, "echo staged > staged; git add staged; echo more >> README.md; printf '1\\n2\\n' > untracked")
    before = fingerprint(lab.home)
    changes = await workspace.changes()
    assert [commit.subject for commit in changes.commits] == ["first", "second"]
    assert changes.commits[-1].sha == lab.agent(workspace, "git rev-parse HEAD").strip()
    assert (changes.files_changed, changes.insertions, changes.deletions) == (5, 5, 0)
    assert changes.uncommitted
    assert await workspace.changes() == changes
    after = fingerprint(lab.home)
    assert {name: after[name] for name in before if "/objects/" not in name} == {
        name: mark for name, mark in before.items() if "/objects/" not in name
    }
    await workspace.commit_all("third")
    done = await workspace.changes()
    assert [commit.subject for commit in done.commits] == ["first", "second", "third"]
    assert (done.files_changed, done.insertions, done.deletions, done.uncommitted) == (5, 5, 0, False)


async def test_work_that_was_taken_back_is_no_change(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, "echo x > a; git add a; git commit -qm a; git rm -q a; git commit -qm b")
    changes = await workspace.changes()
    assert len(changes.commits) == 2
    assert (changes.files_changed, changes.uncommitted) == (0, False)


@pytest.mark.parametrize(
    "name",
    [b"line\nend", b"latin-\xe9", b"quo\"te'", b" lead", b"tab\t", b"-rf", b":(top)x", b"*", b"back\\slash", b"\x01"],
)
async def test_files_with_strange_names_are_saved(lab: Lab, name: bytes) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    (workspace.path / os.fsdecode(name)).write_text("x")
    assert (await workspace.changes()).files_changed == 1
    assert await workspace.commit_all("save")
    await workspace.deliver()
    assert os.fsdecode(name) in lab.files(repo, workspace.branch)


async def test_a_large_file_is_saved(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    with (workspace.path / "large").open("wb") as file:
        file.truncate(50_000_000)
    assert await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.git(repo, "cat-file", "-s", f"{workspace.branch}:large") == "50000000"


async def test_a_message_in_any_script_is_kept(lab: Lab) -> None:
    repo = lab.repository()
    lab.configure("i18n.commitEncoding=latin1")
    workspace = await lab.create(repo)
    (workspace.path / "new").write_text("x")
    await workspace.commit_all("Ünïcödé 日本\0 \udc80")
    [commit] = (await workspace.changes()).commits
    assert commit.subject == "Ünïcödé 日本  ?"


async def test_pipes_and_sockets_do_not_block(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    os.mkfifo(workspace.path / "pipe")
    (workspace.path / "new").write_text("x")
    assert await workspace.commit_all("save")
    assert not await workspace.commit_all("again")
    assert lab.files(workspace.path, "HEAD") == sorted([*FILES, "new"])


async def test_mixed_line_ends_are_saved_whatever_the_user_demands(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "config", "core.autocrlf", "true")
    lab.git(repo, "config", "core.safecrlf", "true")
    workspace = await lab.create(repo)
    (workspace.path / "mixed").write_bytes(b"a\r\nb\n")
    assert await workspace.commit_all("save")


STATES = {
    "another branch": "git checkout -q -b mine; echo 1 > a; git add a; git commit -qm a; echo 2 > b",
    "detached": "git checkout -q --detach; echo 1 > a; git add a; git commit -qm a; echo 2 > b",
    "deleted branch": "git checkout -q -b mine; git branch -q -D $(git branch --list 'kugetsu/*'); echo 1 > a; echo 2 > b",
    "no branch reference": "echo 1 > a; git add a; git commit -qm a; echo 2 > b; git update-ref -d HEAD",
    "renamed branch": "git branch -m mine; echo 1 > a; echo 2 > b",
    "orphan": "git checkout -q --orphan fresh; echo 1 > a; echo 2 > b",
    "main": "git checkout -q main; echo 1 > a; git add a; git commit -qm a; echo 2 > b",
    "no link": "echo 1 > a; echo 2 > b; rm .git",
    "broken link": "echo 1 > a; echo 2 > b; echo gitdir: /nowhere > .git",
    "own repository": "echo 1 > a; echo 2 > b; rm .git; git init -q; git add -A; git commit -qm mine",
    "damaged index": "echo 1 > a; git add a; echo 2 > b; echo garbage > $(git rev-parse --git-path index)",
    "cut index": "echo 1 > a; git add a; echo 2 > b; truncate -s 50 $(git rev-parse --git-path index)",
    "no index": "echo 1 > a; git add a; echo 2 > b; rm $(git rev-parse --git-path index)",
    "empty index": "echo 1 > a; git add a; echo 2 > b; : > $(git rev-parse --git-path index)",
    "index lock": "echo 1 > a; git add a; echo 2 > b; touch $(git rev-parse --git-path index.lock)",
    "head locks": "echo 1 > a; git add a; git commit -qm a; echo 2 > b; touch $(git rev-parse --git-path HEAD.lock);"
    "touch $(git rev-parse --git-common-dir)/$(git symbolic-ref HEAD).lock",
    "empty head": "echo 1 > a; echo 2 > b; : > $(git rev-parse --git-dir)/HEAD",
    "no administration": "echo 1 > a; echo 2 > b; rm -rf $(git rev-parse --git-dir)",
    "merge": "git checkout -q -b side; echo 1 > a; git add a; git commit -qm side; git checkout -q -;"
    "git merge -q --no-commit --no-ff side; echo 2 > b",
    "stopped sequence": "git checkout -q -b side; echo 1 > a; git add a; git commit -qm side; git checkout -q -;"
    "git cherry-pick --no-commit side; echo 2 > b",
    "split index": "git config core.splitIndex true; echo 1 > a; git add a; echo 2 > b",
    "sparse": "git config core.sparseCheckout true; echo 1 > a; git add a; echo 2 > b",
    "intent to add": "echo 1 > a; git add -N a; echo 2 > b",
    "wrong configuration": "git config core.bare true; git config core.worktree /tmp; echo 1 > a; echo 2 > b",
    "half deleted": "rm -rf src; mkdir src; echo 1 > a; echo 2 > b; git add a; git rm -rq --cached README.md",
}


@pytest.mark.parametrize("state", STATES)
async def test_the_work_is_saved_and_delivered_whatever_state_git_is_left_in(lab: Lab, state: str) -> None:
    repo = lab.repository()
    before = lab.git(repo, "rev-parse", "main")
    workspace = await lab.create(repo)
    lab.agent(workspace, STATES[state])
    assert (await workspace.changes()).uncommitted
    assert await workspace.commit_all("save")
    assert not await workspace.commit_all("again")
    changes = await workspace.changes()
    assert not changes.uncommitted
    assert changes.commits
    await workspace.deliver()
    await workspace.deliver()
    assert lab.show(repo, workspace.branch, "a") == "1\n"
    assert lab.show(repo, workspace.branch, "b") == "2\n"
    assert lab.git(repo, "merge-base", "main", workspace.branch) == before
    assert lab.git(repo, "rev-parse", workspace.branch) == changes.commits[-1].sha


async def test_a_merge_that_waits_for_its_commit_gets_it(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(workspace, STATES["merge"])
    await workspace.commit_all("save")
    assert len(lab.agent(workspace, "git rev-list --parents -1 HEAD").split()) == 3
    assert "merging" not in lab.agent(workspace, "git status")
    lab.agent(workspace, "git commit -q --allow-empty -m after")


@pytest.mark.parametrize("command", ["merge", "rebase", "cherry-pick"])
async def test_a_conflict_that_nobody_resolved_is_saved_as_it_is(lab: Lab, command: str) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(
        workspace,
        f"""git checkout -q -b side; echo theirs > README.md; git commit -qam side; git checkout -q -
        echo ours > README.md; git commit -qam ours; echo loose > loose; git {command} side > /dev/null 2>&1 || true
        grep -q '<<<<<<<' README.md""",
    )
    assert (await workspace.changes()).uncommitted
    assert await workspace.commit_all("save")
    await workspace.deliver()
    saved = lab.show(repo, workspace.branch, "README.md")
    assert "<<<<<<<" in saved
    assert "ours" in saved
    assert "theirs" in saved
    assert lab.show(repo, workspace.branch, "loose") == "loose\n"


async def test_an_agent_that_only_looked_at_something_older_loses_nothing(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(workspace, "echo 1 > a; git add a; git commit -qm work; git checkout -q main")
    changes = await workspace.changes()
    assert [commit.subject for commit in changes.commits] == ["work"]
    assert (changes.files_changed, changes.uncommitted) == (1, False)
    (workspace.path / "b").write_text("2\n")
    assert (await workspace.changes()).uncommitted
    assert await workspace.commit_all("save")
    assert not await workspace.commit_all("again")
    assert not (await workspace.changes()).uncommitted
    await workspace.deliver()
    assert lab.files(repo, workspace.branch) == sorted([*FILES, "a", "b"])
    assert lab.git(repo, "log", "--format=%s", "main..", workspace.branch) == "save\nwork"
    await workspace.close()
    assert await lab.forget(workspace)
    assert not lab.left_overs()


async def test_leftovers_on_something_older_that_do_not_fit_stay_in_the_worktree(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(workspace, "echo 1 > a; git add a; git commit -qm work; git checkout -q main; echo other > a")
    assert not await workspace.commit_all("save")
    assert (await workspace.changes()).uncommitted
    await workspace.deliver()
    await workspace.close()
    assert lab.show(repo, workspace.branch, "a") == "1\n"
    assert (workspace.path / "a").read_text() == "other\n"
    assert any("Something older" in note and str(workspace.path) in note for note in workspace.notes)


async def test_work_on_a_second_line_is_kept_and_noted(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(workspace, "echo 1 > a; git add a; git commit -qm first; git checkout -q main; echo 2 > b; git add b")
    lab.agent(workspace, "git commit -qm second; echo stash >> README.md; git stash -q")
    await workspace.deliver()
    await workspace.close()
    assert lab.files(repo, workspace.branch) == sorted([*FILES, "b"])
    private = lab.private(workspace)
    assert [note for note in workspace.notes if note.endswith(f"they are kept in {private}.")] == [
        f"Commits of `{name}` are not part of {workspace.branch}; they are kept in {private}."
        for name in (workspace.branch, "stash")
    ]
    assert lab.show(private, workspace.branch, "a") == "1\n"


async def test_repositories_inside_the_worktree_are_noted_and_kept(lab: Lab) -> None:
    repo, other = lab.repository(), lab.repository("other")
    workspace = await lab.create(repo)
    lab.agent(
        workspace, f"git clone -q {other} cloned; git init -q 'new one'; echo x > 'new one/file'; echo y > beside"
    )
    changes = await workspace.changes()
    assert (changes.files_changed, changes.uncommitted) == (1, True)
    assert await workspace.commit_all("save")
    assert not await workspace.commit_all("again")
    await workspace.deliver()
    await workspace.close()
    assert lab.files(repo, workspace.branch) == sorted([*FILES, "beside"])
    assert (workspace.path / "cloned/README.md").exists()
    assert (workspace.path / "new one/file").exists()
    assert [note.split("`")[1] for note in workspace.notes] == ["cloned", "new one/"]


async def test_a_repository_that_the_agent_committed_as_a_link_is_kept(lab: Lab) -> None:
    repo, other = lab.repository(), lab.repository("other")
    workspace = await lab.create(repo)
    lab.agent(workspace, f"git clone -q {other} cloned; git add -A 2> /dev/null; git commit -qm link")
    await workspace.changes()
    await workspace.deliver()
    await workspace.close()
    assert (workspace.path / "cloned/README.md").exists()
    assert any("`cloned`" in note for note in workspace.notes)


async def test_a_bare_worktree_is_left_when_all_was_deleted(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(workspace, "git rm -rq .; rm -rf *")
    assert (await workspace.changes()).deletions == 4
    assert await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.files(repo, workspace.branch) == []


async def test_a_worktree_that_was_removed_still_delivers_its_commits(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(workspace, "echo 1 > a; git add a; git commit -qm a; rm -rf $PWD")
    changes = await workspace.changes()
    assert (len(changes.commits), changes.files_changed, changes.uncommitted) == (1, 1, False)
    assert not await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.show(repo, workspace.branch, "a") == "1\n"
    assert any("was removed" in note for note in workspace.notes)
    await workspace.close()
    assert await lab.forget(workspace)
    assert not lab.left_overs()


async def test_a_worktree_that_became_a_link_elsewhere_is_not_followed(lab: Lab) -> None:
    repo = lab.repository()
    secret = lab.directory / "secret"
    secret.mkdir()
    (secret / "key").write_text("x")
    workspace = await lab.create(repo)
    lab.agent(workspace, f"rm -rf $PWD; ln -s {secret} $PWD")
    assert not await workspace.commit_all("save")
    assert (await workspace.changes()) == Changes()
    await workspace.close()
    assert (secret / "key").exists()


async def test_a_task_repository_that_was_removed_is_an_error_that_says_where_the_files_are(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, "rm -rf $(git rev-parse --git-common-dir)")
    for call in (workspace.changes, workspace.deliver, lambda: workspace.commit_all("save")):
        with pytest.raises(WorkspaceError, match=r"was removed \(see .*/worktrees/"):
            await call()
    await workspace.close()
    assert (workspace.path / "README.md").exists()


async def test_git_of_the_state_directorys_own_repository_is_never_used(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    lab.git(tmp_path, "init", "-q", tmp_path)
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, "rm .git; echo x > new")
    await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.try_git(tmp_path, "rev-parse", "--verify", "HEAD") != 0
    assert not (tmp_path / ".git/index").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user, for whom files are unreadable")
async def test_what_cannot_be_read_is_noted_and_kept_and_all_else_is_saved(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(workspace, "echo 1 > good; echo 2 > bad; chmod 000 bad; mkdir shut; echo 3 > shut/in; chmod 000 shut")
    for folder, folders, files in os.walk(lab.directory):
        for name in (*folders, *files, "."):
            os.chown(Path(folder) / name, 65534, 65534, follow_symlinks=False)
    opened = [
        path for path in (lab.directory, *lab.directory.parents) if path != Path("/") and not path.stat().st_mode & 1
    ]
    for path in opened:
        path.chmod(path.stat().st_mode | 0o011)
    os.setresuid(65534, 65534, 0)
    try:
        assert await workspace.commit_all("save")
        await workspace.deliver()
        await workspace.close()
        assert (workspace.path / "bad").exists()
        assert (workspace.path / "shut").exists()
    finally:
        os.setresuid(0, 0, 0)
        for path in opened:
            path.chmod(path.stat().st_mode & ~0o011)
    assert {note.split("`")[1] for note in workspace.notes} == {"bad", "shut/"}
    lab.configure("safe.directory=*")
    assert lab.show(repo, workspace.branch, "good") == "1\n"
