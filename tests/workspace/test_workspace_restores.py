import os
from pathlib import Path

import pytest

from kugetsu.errors import WorkspaceError
from kugetsu.workspace import GitWorkspace
from kugetsu.workspace.private import task_id_of
from workspace.workspace_lab import FILES, Lab, contents, fingerprint


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def before(lab: Lab, workspace: GitWorkspace) -> str:
    """The commit of what was there before the last restore."""
    return lab.git(lab.private(workspace), "rev-parse", f"refs/kugetsu/{task_id_of(workspace.branch)}/before-restore")


def standing(lab: Lab, workspace: GitWorkspace) -> list[str]:
    return lab.agent(
        workspace, f"git symbolic-ref -q HEAD || echo detached; git rev-parse HEAD {workspace.branch}"
    ).split("\n")


async def test_files_come_back_exactly_and_what_came_later_goes(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(workspace, "printf '\\0\\377' > bytes; printf x > run; chmod +x run; ln -s nowhere link; rm src/other.py")
    (workspace.path / os.fsdecode(b"latin-\xe9\n")).write_text("x")
    files = contents(workspace.path)
    snapshot = await workspace.snapshot(1)
    theirs = fingerprint(repo)
    lab.agent(
        workspace,
        "chmod -x run; rm bytes link; ln -s elsewhere link; rm -rf src; echo x > src; mkdir -p late/r; echo x > late/r/x",
    )
    lab.agent(workspace, "echo x > README.md; rm -f latin*; echo x > kept.log")
    later = contents(workspace.path)
    await workspace.restore(snapshot)
    assert contents(workspace.path) == files | {"kept.log": later["kept.log"]}
    assert not (workspace.path / "late").exists()
    await workspace.restore(snapshot)
    assert contents(workspace.path) == files | {"kept.log": later["kept.log"]}
    assert fingerprint(repo) == theirs


async def test_what_was_there_before_can_be_had_back(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    first = await workspace.snapshot(1)
    lab.agent(
        workspace,
        "echo 1 > a; git add a; git commit -qm a; echo 2 > b; git checkout -q -b other; git commit -q --allow-empty -m c",
    )
    files, there = contents(workspace.path), standing(lab, workspace)
    await workspace.restore(first)
    kept = before(lab, workspace)
    assert contents(workspace.path).keys() == FILES.keys()
    assert lab.try_git(lab.private(workspace), "merge-base", "--is-ancestor", there[2], kept) == 0
    await workspace.restore(kept)
    assert contents(workspace.path) == files
    assert standing(lab, workspace) == there


async def test_head_branch_and_index_come_back(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    places = []
    for number, step in enumerate(
        (
            "echo 1 > a; git add a; git commit -qm a; echo 2 > b",
            "git checkout -q --detach; git commit -q --allow-empty -m c",
            "git checkout -q -b side; git commit -q --allow-empty -m d; echo 3 > b",
            "git branch -q -D {branch}; git branch -m kugetsu-renamed",
        )
    ):
        lab.agent(workspace, step.format(branch=workspace.branch))
        here = f"git symbolic-ref -q HEAD || true; git rev-parse HEAD; git rev-parse -q --verify {workspace.branch} || true"
        see = f"{here}; git diff HEAD; git ls-files -o --exclude-standard"
        places.append((await workspace.snapshot(number), see, lab.agent(workspace, see)))
    for number in (1, 3, 0, 2, 1):
        snapshot, see, seen = places[number]
        await workspace.restore(snapshot)
        assert lab.agent(workspace, see) == seen
        assert lab.agent(workspace, "git diff --cached --stat") == ""
    await workspace.restore("")
    assert standing(lab, workspace)[:3] == [f"refs/heads/{workspace.branch}", workspace.base, workspace.base]
    assert lab.agent(workspace, "git status --porcelain --ignored") == ""


async def test_an_unborn_branch_comes_back(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, "git checkout -q --orphan fresh; echo 1 > a")
    snapshot = await workspace.snapshot(1)
    lab.agent(workspace, "git add -A; git commit -qm born")
    born = lab.agent(workspace, "git rev-parse HEAD").strip()
    await workspace.restore(snapshot)
    assert lab.agent(workspace, "git symbolic-ref HEAD").strip() == "refs/heads/fresh"
    assert lab.try_git(workspace.path, "rev-parse", "--verify", "-q", "HEAD") == 1
    assert contents(workspace.path).keys() == {*FILES, "a"}
    assert lab.try_git(lab.private(workspace), "merge-base", "--is-ancestor", born, before(lab, workspace)) == 0


BEGUN = {
    "merge": "git merge -q side || true",
    "rebase": "git rebase -q side || true",
    "cherry-pick": "git cherry-pick side || true",
    "revert": "git revert --no-edit HEAD~1 || true",
    "bisect": "git bisect start -q HEAD HEAD~1 || true",
    "stash": "git stash -q",
}


@pytest.mark.parametrize("begun", BEGUN)
async def test_what_git_has_begun_is_over_afterwards(lab: Lab, begun: str) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, "git checkout -q -b side; echo 1 > README.md; git commit -qam 1; git checkout -q -")
    lab.agent(workspace, "echo 2 > README.md; git commit -qam 2; echo 3 > README.md; git commit -qam 3; echo 4 > a")
    snapshot = await workspace.snapshot(1)
    files, there = contents(workspace.path), standing(lab, workspace)
    lab.agent(workspace, f"rm a; {BEGUN[begun]}")
    await workspace.restore(snapshot)
    assert contents(workspace.path) == files
    assert standing(lab, workspace) == there
    assert "in progress" not in lab.agent(workspace, "git status")
    assert "You are currently" not in lab.agent(workspace, "git status")


async def test_repositories_inside_stay_where_they_are(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    first = await workspace.snapshot(1)
    lab.agent(
        workspace,
        "mkdir deep; git init -q deep/inner; cd deep/inner; echo 1 > a; git add a; git commit -qm a; echo 2 > b; echo 3 > ../c",
    )
    await workspace.restore(first)
    assert contents(workspace.path).keys() >= {"deep/inner/a", "deep/inner/b", *FILES}
    assert not (workspace.path / "deep/c").exists()


async def test_what_no_commit_can_hold_is_moved_out_of_the_way(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    first = await workspace.snapshot(1)
    lab.agent(workspace, "rm -r src")
    await workspace.snapshot(2)
    lab.agent(
        workspace,
        "git init -q src; cd src; echo mine > main.py; git add main.py; git commit -qm a; echo 2 > b",
    )
    lab.agent(workspace, "rm README.md; mkdir README.md; echo x > README.md/x.log; git init -q README.md/r")
    await workspace.restore(first)
    assert (workspace.path / "src/main.py").read_text() == FILES["src/main.py"]
    assert (workspace.path / "README.md").read_text() == FILES["README.md"]
    [aside] = (lab.private(workspace) / "kugetsu-aside").iterdir()
    assert (aside / "src/main.py").read_text() == "mine\n"
    assert lab.git(aside / "src", "log", "--format=%s") == "a"
    assert (aside / "README.md/x.log").read_text() == "x\n"
    assert any("was moved to" in note for note in workspace.notes)


async def test_an_ignored_file_in_the_way_is_kept_with_what_was_there_before(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, "mkdir build; echo first > build/out; echo first > secret")
    first = await workspace.snapshot(1)
    lab.agent(
        workspace, "rm -r build; echo precious > build; echo precious > secret; printf 'build\\nsecret\\n' > .gitignore"
    )
    await workspace.snapshot(2)
    await workspace.restore(first)
    assert (workspace.path / "build/out").read_text() == "first\n"
    assert (workspace.path / "secret").read_text() == "first\n"
    for name in ("build", "secret"):
        assert lab.show(lab.private(workspace), before(lab, workspace), name) == "precious\n"


async def test_submodules_keep_what_they_hold(lab: Lab) -> None:
    inner, outer = lab.repository("inner"), lab.repository("outer")
    lab.git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    lab.commit(outer, {})
    workspace = await lab.create(outer)
    lab.agent(workspace, "git -c protocol.file.allow=always submodule --quiet update --init; echo mine > sub/mine")
    first = await workspace.snapshot(1)
    lab.agent(workspace, "echo x > new; echo more > sub/mine")
    await workspace.restore(first)
    assert (workspace.path / "sub/mine").read_text() == "more\n"
    await workspace.restore("")
    assert (workspace.path / "sub/mine").read_text() == "more\n"
    assert not (workspace.path / "new").exists()


@pytest.mark.parametrize(
    "damage",
    [
        'rm -rf "$PWD"',
        "rm .git",
        "rm -rf $(git rev-parse --git-dir)",
        "echo x > $(git rev-parse --git-path index)",
        "touch $(git rev-parse --git-path index.lock) $(git rev-parse --git-path HEAD.lock)",
        "git update-index --assume-unchanged README.md; git update-index --skip-worktree src/main.py; echo x > src/main.py",
        "git sparse-checkout set --no-cone src",
        "git checkout -q --detach; git branch -q -D $(git branch --list 'kugetsu/*')",
    ],
)
async def test_a_damaged_worktree_is_put_back(lab: Lab, damage: str) -> None:
    workspace = await lab.create(lab.repository())
    lab.agent(workspace, "echo 1 > a; git add a; git commit -qm a; echo 2 > b; echo 2 > README.md")
    files, there = contents(workspace.path), standing(lab, workspace)
    snapshot = await workspace.snapshot(1)
    lab.agent(workspace, f"echo 9 > b; rm -r src/other.py; {damage}")
    await workspace.restore(snapshot)
    assert contents(workspace.path) == files
    assert standing(lab, workspace) == there


async def test_a_snapshot_that_is_gone_is_an_error_and_nothing_is_touched(lab: Lab) -> None:
    workspace = await lab.create(lab.repository())
    (workspace.path / "new").write_text("x")
    for snapshot in ("0" * 40, workspace.base, "HEAD"):
        with pytest.raises(WorkspaceError, match="no longer in"):
            await workspace.restore(snapshot)
    assert (workspace.path / "new").read_text() == "x"


async def test_work_goes_on_and_is_delivered_after_a_restore(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    lab.agent(workspace, "echo 1 > a; git add a; git commit -qm a")
    first = await workspace.snapshot(1)
    lab.agent(workspace, "echo 2 > b; git add b; git commit -qm b")
    await workspace.deliver()
    await workspace.restore(first)
    assert await workspace.snapshot(2) == first
    lab.agent(workspace, "echo 3 > c")
    assert await workspace.snapshot(3) != first
    assert await workspace.commit_all("c")
    await workspace.deliver()
    assert lab.git(repo, "log", "--format=%s", f"main..{workspace.branch}").split() == ["c", "a"]
    assert await workspace.close()
    assert await lab.forget(workspace)


async def test_a_sha256_worktree_is_put_back(lab: Lab) -> None:
    workspace = await lab.create(lab.repository("repo", None, "--object-format=sha256"))
    lab.agent(workspace, "echo 1 > a")
    snapshot = await workspace.snapshot(1)
    lab.agent(workspace, "rm a; git commit -q --allow-empty -m x")
    await workspace.restore(snapshot)
    assert (workspace.path / "a").read_text() == "1\n"
    assert standing(lab, workspace)[1] == workspace.base


async def test_line_ends_and_filters_of_the_repository_are_as_git_makes_them(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "config", "core.autocrlf", "true")
    workspace = await lab.create(repo)
    assert (workspace.path / "README.md").read_bytes() == b"hello\r\n"
    snapshot = await workspace.snapshot(1)
    (workspace.path / "README.md").write_bytes(b"other\r\n")
    await workspace.restore(snapshot)
    assert (workspace.path / "README.md").read_bytes() == b"hello\r\n"
    assert await workspace.snapshot(2) == snapshot
