import os
import time
from pathlib import Path

import pytest

from kugetsu.errors import WorkspaceError
from kugetsu.workspace import GitWorkspace
from kugetsu.workspace.private import task_id_of
from kugetsu.workspace.snapshots import NEWEST_KEPT, superfluous
from workspace.workspace_lab import FILES, Lab, fingerprint


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def message(lab: Lab, workspace: GitWorkspace, snapshot: str) -> dict[str, str]:
    text = lab.git(lab.private(workspace), "log", "-1", "--format=%b", snapshot)
    return dict(line.split(": ") for line in text.splitlines())


def count_git(lab: Lab) -> Path:
    """Put a git in the way that writes down each command; returns the list."""
    listed, folder = lab.directory / "commands", lab.directory / "bin"
    folder.mkdir()
    real = lab.run(lab.directory, "bash", "-c", "command -v git").decode().strip()
    (folder / "git").write_text(f'#!/bin/sh\necho "$*" >> {listed}\nexec {real} "$@"\n')
    (folder / "git").chmod(0o755)
    lab.environ["PATH"] = f"{folder}:{lab.environ['PATH']}"
    return listed


async def test_a_snapshot_holds_every_file_that_is_not_ignored(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, "echo changed > README.md; rm src/other.py; mkdir deep; echo x > deep/new; echo x > a.log")
    lab.agent(workspace, "printf '#!/bin/sh\\n' > run; chmod +x run; ln -s /etc/passwd link; printf '\\0\\377' > bytes")
    snapshot = await workspace.snapshot(3)
    listed = lab.git(lab.private(workspace), "ls-tree", "-r", snapshot).splitlines()
    assert {line.split("\t")[1]: line[:6] for line in listed} == {
        ".gitignore": "100644",
        "README.md": "100644",
        "bytes": "100644",
        "deep/new": "100644",
        "link": "120000",
        "run": "100755",
        "src/main.py": "100644",
    }
    assert (
        lab.git(
            lab.private(workspace),
            "rev-parse",
            f"refs/kugetsu/{task_id_of(workspace.branch)}/3",
        )
        == snapshot
    )
    assert lab.run(lab.private(workspace), "git", "cat-file", "blob", f"{snapshot}:bytes") == b"\0\xff"


async def test_a_snapshot_changes_nothing_that_the_agent_or_the_user_sees(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(workspace, "echo s > staged; git add staged; echo x >> README.md; git stash -q; echo y >> README.md")
    lab.agent(workspace, "echo t > staged2; git add staged2; echo u > untracked")
    theirs, ours = fingerprint(repo), fingerprint(lab.home)
    status = lab.agent(workspace, "git status --porcelain=v2 --branch --show-stash")
    ours = fingerprint(lab.home)
    await workspace.snapshot(1)
    assert fingerprint(repo) == theirs
    after = fingerprint(lab.home)
    new = {name for name in after.keys() - ours.keys() if "/objects/" not in name}
    assert {name.partition(".git/")[2].partition("/")[0] for name in new} == {"refs", "worktrees"}
    assert all("index.kugetsu-" in name or "/refs/kugetsu/" in name for name in new)
    assert {name: after[name] for name in ours if "/objects/" not in name} == {
        name: mark for name, mark in ours.items() if "/objects/" not in name
    }
    assert lab.agent(workspace, "git status --porcelain=v2 --branch --show-stash") == status


async def test_the_message_says_where_head_and_branch_stood(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    branch = f"refs/heads/{workspace.branch}"
    first = await workspace.snapshot(1)
    assert message(lab, workspace, first) == {
        "turn": "1",
        "head": branch,
        "head-commit": workspace.base,
        "branch-commit": workspace.base,
    }
    lab.agent(
        workspace, "echo 1 > a; git add a; git commit -qm a; git checkout -q --detach; git commit -q --allow-empty -m b"
    )
    second = await workspace.snapshot(2)
    head = lab.agent(workspace, "git rev-parse HEAD").strip()
    tip = lab.agent(workspace, f"git rev-parse {workspace.branch}").strip()
    assert message(lab, workspace, second) == {
        "turn": "2",
        "head": "detached",
        "head-commit": head,
        "branch-commit": tip,
    }
    assert lab.git(lab.private(workspace), "log", "-1", "--format=%P", second) == f"{head} {tip}"
    lab.agent(workspace, "git checkout -q --orphan fresh")
    third = await workspace.snapshot(3)
    assert message(lab, workspace, third)["head"] == "refs/heads/fresh"
    assert message(lab, workspace, third)["head-commit"] == "none"
    lab.git(lab.private(workspace), "fsck", "--strict")


async def test_when_nothing_changed_the_snapshot_is_the_last_one_and_costs_no_git(lab: Lab) -> None:
    repo, listed = lab.repository(), count_git(lab)
    workspace = await lab.create(repo)
    first = await workspace.snapshot(1)
    for changed, cost in ((False, 0), (True, 2), (False, 0)):
        if changed:
            (workspace.path / "README.md").write_text("changed")
        listed.write_text("")
        assert (await workspace.snapshot(2) == first) is not changed
        assert len(listed.read_text().splitlines()) == cost
        first = await workspace.snapshot(3)


async def test_a_head_that_moved_makes_a_new_snapshot_of_the_same_files(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, "echo 1 > a")
    first = await workspace.snapshot(1)
    lab.agent(workspace, "git add a; git commit -qm a")
    second = await workspace.snapshot(2)
    lab.agent(workspace, "git checkout -q -b other")
    third = await workspace.snapshot(3)
    assert len({first, second, third}) == 3
    trees = {lab.git(lab.private(workspace), "rev-parse", f"{each}^{{tree}}") for each in (first, second, third)}
    assert len(trees) == 1


async def test_every_change_is_seen_from_turn_to_turn(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    for turn in range(8):
        (workspace.path / "same-size").write_text(str(turn))
        snapshot = await workspace.snapshot(turn)
        assert lab.show(lab.private(workspace), snapshot, "same-size") == str(turn)
    lab.agent(workspace, "rm same-size; chmod +x README.md")
    snapshot = await workspace.snapshot(9)
    assert "same-size" not in lab.files(lab.private(workspace), snapshot)
    assert lab.git(lab.private(workspace), "ls-tree", snapshot, "README.md").startswith("100755")


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
async def test_flags_of_the_agent_hide_nothing(lab: Lab, flag: str) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, f"git update-index {flag} README.md; echo hidden > README.md")
    first = await workspace.snapshot(1)
    assert lab.show(lab.private(workspace), first, "README.md") == "hidden\n"
    lab.agent(workspace, f"git update-index {flag} src/main.py; echo hidden > src/main.py")
    second = await workspace.snapshot(2)
    assert lab.show(lab.private(workspace), second, "src/main.py") == "hidden\n"


async def test_settings_of_the_agent_hide_nothing(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(
        workspace,
        "git config core.ignoreStat true; git config core.trustctime false; git config core.checkStat minimal",
    )
    lab.agent(workspace, "echo 1 > a; git add a; touch -d @1000000000 a")
    await workspace.snapshot(1)
    time.sleep(1.1)  # noqa: ASYNC251 - git counts the time of a change of a file's data in seconds
    lab.agent(workspace, "echo 2 > a; touch -d @1000000000 a")
    snapshot = await workspace.snapshot(2)
    assert lab.show(lab.private(workspace), snapshot, "a") == "2\n"


async def test_what_a_snapshot_that_failed_would_have_held_is_in_the_next(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    first = await workspace.snapshot(1)
    (workspace.path / "new").write_text("x")
    lock = lab.private(workspace) / "refs/kugetsu" / task_id_of(workspace.branch) / "2.lock"
    lock.mkdir()
    with pytest.raises(WorkspaceError):
        await workspace.snapshot(2)
    lock.rmdir()
    second = await workspace.snapshot(2)
    assert second != first
    assert lab.show(lab.private(workspace), second, "new") == "x"
    lock.with_name("before-restore.lock").mkdir()
    (workspace.path / "new").write_text("y")
    with pytest.raises(WorkspaceError):
        await workspace.restore(first)
    assert lab.show(lab.private(workspace), await workspace.snapshot(3), "new") == "y"


async def test_what_a_sparse_checkout_leaves_out_is_no_deletion(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    await workspace.snapshot(1)
    lab.agent(workspace, "git sparse-checkout set --no-cone src; echo x > src/new")
    assert not (workspace.path / "README.md").exists()
    snapshot = await workspace.snapshot(2)
    assert lab.files(lab.private(workspace), snapshot) == sorted([*FILES, "src/new"])


async def test_an_ignored_file_that_the_agent_added_is_held(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    await workspace.snapshot(1)
    lab.agent(workspace, "echo 1 > kept.log; echo 1 > other.log; git add -f kept.log")
    snapshot = await workspace.snapshot(2)
    assert lab.files(lab.private(workspace), snapshot) == sorted([*FILES, "kept.log"])
    lab.agent(workspace, "git commit -qm kept; echo 2 > kept.log")
    snapshot = await workspace.snapshot(3)
    assert lab.show(lab.private(workspace), snapshot, "kept.log") == "2\n"


async def test_what_comes_to_be_ignored_is_left_out_from_then_on(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, "mkdir node_modules; echo 1 > node_modules/a")
    first = await workspace.snapshot(1)
    assert "node_modules/a" in lab.files(lab.private(workspace), first)
    lab.agent(workspace, "echo node_modules >> .gitignore")
    second = await workspace.snapshot(2)
    assert lab.files(lab.private(workspace), second) == sorted(FILES)
    assert await workspace.snapshot(3) == second


async def test_repositories_inside_are_left_out_and_a_note_says_so(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(
        workspace,
        "git init -q inner; cd inner; echo 1 > a; git add a; git commit -qm a; cd ..; git init -q empty; echo 1 > empty/a",
    )
    first = await workspace.snapshot(1)
    assert lab.files(lab.private(workspace), first) == sorted(FILES)
    assert any("`inner` is a repository of its own" in note for note in workspace.notes)
    lab.agent(workspace, "echo 2 > inner/a")
    assert await workspace.snapshot(2) == first
    lab.agent(workspace, "echo 3 > outer")
    third = await workspace.snapshot(3)
    assert lab.files(lab.private(workspace), third) == sorted([*FILES, "outer"])


async def test_a_repository_that_a_commit_names_is_held_as_it_is_named(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(
        workspace,
        "git init -q inner; cd inner; git commit -q --allow-empty -m a; cd ..; git add inner; git commit -qm inner",
    )
    snapshot = await workspace.snapshot(1)
    assert lab.git(lab.private(workspace), "ls-tree", snapshot, "inner").startswith("160000 commit")


@pytest.mark.parametrize(
    "name", [b"line\nend", b"latin-\xe9", b"quo\"te'", b" lead", b"-rf", b":(top)x", b"*", b"add '.gitignore'"]
)
async def test_files_with_strange_names_are_held(lab: Lab, name: bytes) -> None:
    workspace = await lab.create(lab.repository())
    await workspace.snapshot(1)
    (workspace.path / os.fsdecode(name)).write_text("x")
    snapshot = await workspace.snapshot(2)
    assert os.fsdecode(name) in lab.files(lab.private(workspace), snapshot)


STATES = {
    "no link": "rm .git",
    "own repository": "rm .git; git init -q; git add -A; git commit -qm mine",
    "damaged index": "echo garbage > $(git rev-parse --git-path index)",
    "no index": "rm $(git rev-parse --git-path index)",
    "index lock": "touch $(git rev-parse --git-path index.lock)",
    "empty head": ": > $(git rev-parse --git-dir)/HEAD",
    "no administration": "rm -rf $(git rev-parse --git-dir)",
    "deleted branch": "git checkout -q --detach; git branch -q -D $(git branch --list 'kugetsu/*')",
    "packed": "git pack-refs --all; git gc -q --prune=now",
    "conflict": "git checkout -q -b side; echo 1 > README.md; git commit -qam 1; git checkout -q -; echo 2 > README.md;"
    "git commit -qam 2; git merge -q side || true",
    "hooks": "mkdir -p $(git rev-parse --git-common-dir)/hooks; cd $(git rev-parse --git-common-dir)/hooks;"
    "for name in post-index-change reference-transaction; do printf '#!/bin/sh\\nexit 1\\n' > $name; chmod +x $name; done",
}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("state", STATES)
async def test_a_snapshot_succeeds_whatever_the_agent_did_to_git(lab: Lab, state: str, again: bool) -> None:
    workspace = await lab.create(lab.repository())
    if again:
        lab.agent(workspace, "echo 0 > a")
        await workspace.snapshot(1)
    lab.agent(workspace, f"echo 1 > a; {STATES[state]}")
    (workspace.path / "b").write_text("2")
    snapshot = await workspace.snapshot(2)
    assert lab.show(lab.private(workspace), snapshot, "a") == "1\n"
    assert lab.show(lab.private(workspace), snapshot, "b") == "2"
    assert await workspace.snapshot(3) == snapshot


async def test_a_clean_up_of_the_agent_takes_nothing_away(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    (workspace.path / "new").write_text("1")
    snapshots = [await workspace.snapshot(1)]
    (workspace.path / "new").write_text("2")
    snapshots.append(await workspace.snapshot(2))
    lab.agent(workspace, "git reflog expire --expire=now --all; git gc -q --prune=now; git prune --expire=now")
    assert [lab.show(lab.private(workspace), each, "new") for each in snapshots] == ["1", "2"]


async def test_a_sha256_repository_has_snapshots(lab: Lab) -> None:
    workspace = await lab.create(lab.repository("repo", None, "--object-format=sha256"))
    (workspace.path / "new").write_text("x")
    snapshot = await workspace.snapshot(1)
    assert len(snapshot) == 64
    assert lab.show(lab.private(workspace), snapshot, "new") == "x"
    lab.git(lab.private(workspace), "fsck", "--strict")


async def test_a_worktree_that_is_gone_cannot_be_kept(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, 'rm -rf "$PWD"')
    with pytest.raises(WorkspaceError, match="was removed"):
        await workspace.snapshot(1)


def test_of_old_snapshots_those_that_a_tenth_turn_stood_at_stay() -> None:
    assert superfluous(range(50)) == []
    assert superfluous(range(1, NEWEST_KEPT + 1)) == []
    gone = superfluous(range(1, NEWEST_KEPT + 26))
    assert gone == [turn for turn in range(1, 26) if turn % 10]
    # The worktree stood at the snapshot of turn 7 until turn 12.
    assert superfluous([5, 7, 13, *range(14, 14 + NEWEST_KEPT)]) == [5, 13]
    # After turn 9 the task was put back to turn 3.
    assert superfluous([9, 4, *range(5, 5 + NEWEST_KEPT)]) == [9, 4]


async def test_snapshots_are_pruned_by_the_rule(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kugetsu.workspace.snapshots.NEWEST_KEPT", 4)
    monkeypatch.setattr("kugetsu.workspace.snapshots._PRUNED_AFTER", 24)
    workspace = await lab.create(lab.repository())
    for turn in range(1, 25):
        (workspace.path / "new").write_text(str(turn))
        await workspace.snapshot(turn)
    names = lab.git(lab.private(workspace), "for-each-ref", "--format=%(refname:lstrip=3)", "refs/kugetsu").split()
    assert sorted(map(int, names)) == [10, 20, 21, 22, 23, 24]


async def test_five_thousand_files_take_less_than_a_fifth_of_a_second(lab: Lab) -> None:
    files = {f"d{number % 50}/f{number}": f"{number}\n" for number in range(5000)}
    workspace = await lab.create(lab.repository(files=files))
    await workspace.snapshot(0)
    took = []
    for turn in range(1, 6):
        (workspace.path / "d1/f1").write_text(str(turn))
        started = time.perf_counter()
        await workspace.snapshot(turn)
        took.append(time.perf_counter() - started)
    assert min(took) < 0.2
