import asyncio
import os
import shutil
import time
from pathlib import Path

import pytest

from kugetsu.errors import RepositoryError, WorkspaceError
from kugetsu.tasks import Changes
from kugetsu.workspace import GitWorkspaces
from workspace.workspace_lab import FILES, Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


async def test_a_worktree_holds_the_base_on_a_branch_of_its_own(lab: Lab) -> None:
    repo = lab.repository()
    task = lab.task(repo, "Fix the Parser!")
    workspace = await lab.workspaces.create(task)
    assert workspace.branch == f"kugetsu/{task.id}-fix-the-parser"
    assert workspace.path == lab.home / "worktrees" / f"{task.id}-fix-the-parser"
    assert workspace.base == lab.git(repo, "rev-parse", "main")
    assert workspace.notes == ()
    assert {name: (workspace.path / name).read_text() for name in FILES} == FILES
    assert lab.agent(workspace, "git status --porcelain --branch") == f"## {workspace.branch}\n"
    assert lab.git(repo, "rev-parse", workspace.branch) == workspace.base
    assert await workspace.changes() == Changes()


async def test_the_agent_finds_familiar_names_and_no_remote(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "tag", "-a", "v1.0", "-m", "one")
    lab.git(repo, "tag", "-a", "nested", "v1.0", "-m", "a tag of a tag")
    lab.git(repo, "tag", "light")
    lab.commit(repo, {"more": "x"})
    lab.git(repo, "branch", "unrelated")
    first, second = await lab.create(repo), await lab.create(repo)
    assert lab.agent(first, "git describe --match 'v*'").startswith("v1.0-1-g")
    names = lab.agent(first, "git for-each-ref --format='%(refname)'").splitlines()
    assert names == [
        f"refs/heads/{first.branch}",
        "refs/heads/main",
        "refs/remotes/origin/main",
        "refs/tags/light",
        "refs/tags/nested",
        "refs/tags/v1.0",
    ]
    assert second.branch not in " ".join(names)
    assert lab.agent(first, "git log --oneline origin/main | wc -l").strip() == "2"
    assert lab.agent(first, "git rev-parse nested^{commit}").strip() == lab.git(repo, "rev-parse", "v1.0^{commit}")
    assert lab.agent(first, "git remote") == ""
    assert lab.agent(first, "git fsck --no-dangling") == ""
    lab.agent(first, "git checkout -q main && git checkout -q -")


@pytest.mark.parametrize(
    ("base", "name"),
    [("topic", "topic"), ("v1", ""), ("origin/far", "far"), ("refs/heads/topic", "topic"), ("HEAD~1", "")],
)
async def test_a_base_may_be_a_branch_a_tag_a_remote_branch_or_any_name_of_a_commit(
    lab: Lab, base: str, name: str
) -> None:
    upstream = lab.repository("upstream")
    lab.git(upstream, "checkout", "-q", "-b", "far")
    lab.commit(upstream, {"far": "x"})
    repo = lab.repository()
    lab.git(repo, "fetch", "-q", upstream, "far:refs/remotes/origin/far")
    lab.git(repo, "tag", "v1")
    lab.commit(repo, {"later": "x"})
    lab.git(repo, "checkout", "-q", "-b", "topic")
    lab.commit(repo, {"topic": "x"})
    wanted = lab.git(repo, "rev-parse", base)
    workspace = await lab.create(repo, base)
    assert workspace.base == wanted
    branches = lab.agent(workspace, "git for-each-ref --format='%(refname:short)' refs/heads").split()
    assert branches == sorted({workspace.branch, name} - {""})


async def test_a_base_may_be_an_abbreviated_commit(lab: Lab) -> None:
    repo = lab.repository()
    first = lab.git(repo, "rev-parse", "HEAD")
    lab.commit(repo, {"later": "x"})
    assert (await lab.create(repo, first[:9])).base == first


async def test_a_branch_comes_before_a_tag_of_the_same_name(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "tag", "both")
    lab.git(repo, "checkout", "-q", "-b", "both")
    tip = lab.commit(repo, {"later": "x"})
    assert (await lab.create(repo, "both")).base == tip


async def test_a_detached_head_is_a_base(lab: Lab) -> None:
    repo = lab.repository()
    first = lab.git(repo, "rev-parse", "HEAD")
    lab.commit(repo, {"later": "x"})
    lab.git(repo, "checkout", "-q", "--detach", first)
    assert (await lab.create(repo)).base == first


async def test_a_remote_branch_named_like_the_prefix_is_no_obstacle(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "update-ref", "refs/remotes/origin/kugetsu", "HEAD")
    workspace = await lab.create(repo, "origin/kugetsu")
    assert lab.agent(workspace, "git rev-parse origin/kugetsu").strip() == workspace.base


@pytest.mark.parametrize("kind", ["subdirectory", "bare", "linked", "git directory", "submodule", "symlink"])
async def test_every_shape_of_a_repository_will_do(lab: Lab, kind: str) -> None:
    repo = lab.repository()
    path = repo
    if kind == "subdirectory":
        path = repo / "src"
    elif kind == "bare":
        path = lab.directory / "bare.git"
        lab.git(lab.directory, "clone", "-q", "--bare", repo, path)
    elif kind == "linked":
        path = lab.directory / "linked"
        lab.git(repo, "worktree", "add", "-q", "-b", "topic", path)
        lab.commit(path, {"topic": "x"})
    elif kind == "git directory":
        path = repo / ".git"
    elif kind == "submodule":
        outer = lab.repository("outer")
        lab.git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(repo), "inner")
        path = outer / "inner"
    else:
        path = lab.directory / "link"
        path.symlink_to(repo)
    workspace = await lab.create(path)
    assert workspace.base == lab.git(path, "rev-parse", "HEAD")
    (workspace.path / "new").write_text("x")
    await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.show(path, workspace.branch, "new") == "x"
    await workspace.close()
    assert await lab.forget(workspace)
    assert not lab.left_overs()


@pytest.mark.parametrize("name", ["with space", "line\nend", 'quo"te', "$(touch x)", "-dash", "ünï", "back\\slash"])
async def test_strange_directory_names_are_just_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    lab = Lab(tmp_path / name)
    repo = lab.repository(name)
    workspace = await lab.create(repo)
    (workspace.path / "new").write_text("x")
    assert await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.show(repo, workspace.branch, "new") == "x"


async def test_a_directory_name_that_is_no_text_is_just_a_name(lab: Lab) -> None:
    repo = lab.repository(os.fsdecode(b"latin-\xe9"))
    workspace = await lab.create(repo)
    await workspace.deliver()
    assert lab.git(repo, "rev-parse", workspace.branch) == workspace.base


async def test_a_bare_repository_that_was_named_is_trusted(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(lab.directory, "clone", "-q", "--bare", repo, "bare.git")
    lab.configure("safe.bareRepository=explicit")
    for name in (str(lab.directory / "bare.git"), f"file://{repo}"):
        workspace = await lab.create(name)
        (workspace.path / "new").write_text("x")
        assert await workspace.commit_all("save")
        await workspace.deliver()
        await workspace.close()
        assert await lab.forget(workspace)
    assert not lab.left_overs()


async def test_a_home_directory_may_be_written_as_a_tilde(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = lab.repository()
    monkeypatch.setenv("HOME", str(lab.directory))
    assert (await lab.create("~/repo")).base == lab.git(repo, "rev-parse", "HEAD")


async def test_a_relative_path_starts_at_the_current_directory(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = lab.repository()
    monkeypatch.chdir(repo / "src")
    assert (await lab.create("..")).base == lab.git(repo, "rev-parse", "HEAD")


async def test_uncommitted_work_of_the_user_is_not_part_of_the_base_and_a_note_says_so(lab: Lab) -> None:
    repo = lab.repository()
    (repo / "README.md").write_text("mine\n")
    workspace = await lab.create(repo)
    assert (workspace.path / "README.md").read_text() == FILES["README.md"]
    assert workspace.notes == (f"Uncommitted work in {repo} is not part of the base.",)


async def test_a_damaged_index_of_the_user_is_no_obstacle(lab: Lab) -> None:
    repo = lab.repository()
    (repo / ".git" / "index").write_bytes(b"garbage")
    workspace = await lab.create(repo)
    assert workspace.notes == (f"Uncommitted work in {repo}, if there is any, is not part of the base.",)
    await workspace.deliver()
    assert (repo / ".git" / "index").read_bytes() == b"garbage"


async def test_submodules_are_left_out_and_a_note_says_so(lab: Lab) -> None:
    inner, outer = lab.repository("inner"), lab.repository("outer")
    lab.git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    lab.commit(outer, {})
    workspace = await lab.create(outer)
    assert workspace.notes == ("Submodules are not checked out.",)
    assert await workspace.changes() == Changes()
    assert not await workspace.commit_all("nothing")
    await workspace.deliver()
    await workspace.close()
    assert await lab.forget(workspace)
    assert not lab.left_overs()


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 3\n"


async def test_large_files_stay_pointers_without_git_lfs_and_a_note_says_so(lab: Lab) -> None:
    repo = lab.repository(
        "repo", {"assets/.gitattributes": "*.bin filter=lfs diff=lfs -text\n", "assets/a.bin": POINTER}
    )
    for name in ("clean", "smudge", "process"):
        lab.configure(f"filter.lfs.{name}=git-lfs-is-not-installed {name}")
    lab.configure("filter.lfs.required=true")
    workspace = await lab.create(repo)
    assert (workspace.path / "assets/a.bin").read_text() == POINTER
    assert workspace.notes == ("Large files (Git LFS) are pointers here, and new ones are committed as they are.",)
    (workspace.path / "assets/b.bin").write_text("big")
    lab.agent(workspace, "git add --all && git commit -q -m mine")
    (workspace.path / "assets/c.bin").write_text("bigger")
    assert await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.show(repo, workspace.branch, "assets/b.bin") == "big"
    assert lab.show(repo, workspace.branch, "assets/c.bin") == "bigger"


async def test_a_filter_that_only_the_repository_defines_does_not_run_and_a_note_says_so(lab: Lab) -> None:
    repo = lab.repository("repo", {".gitattributes": "*.txt filter=crypt\n", "a.txt": "secret\n"})
    lab.git(repo, "config", "filter.crypt.smudge", "sed s/secret/plain/")
    workspace = await lab.create(repo)
    assert (workspace.path / "a.txt").read_text() == "secret\n"
    assert any("the filter `crypt`" in note for note in workspace.notes)


async def test_settings_that_change_how_files_look_are_taken_over(lab: Lab) -> None:
    repo = lab.repository("repo", {"text": "one\ntwo\n", ".gitattributes": "text text\n"})
    lab.git(repo, "config", "core.eol", "crlf")
    lab.git(repo, "config", "core.excludesFile", 'a "quoted\\" \tname')
    (repo / ".git/info/exclude").write_text("private\n")
    (repo / ".git/info/attributes").write_text("other -text\n")
    workspace = await lab.create(repo)
    assert (workspace.path / "text").read_bytes() == b"one\r\ntwo\r\n"
    assert lab.agent(workspace, "git config core.excludesFile") == 'a "quoted\\" \tname\n'
    (workspace.path / "private").write_text("x")
    assert lab.agent(workspace, "git status --porcelain") == ""
    assert lab.agent(workspace, "git check-attr text other") == "other: text: unset\n"


async def test_the_identity_is_the_users_own_for_that_repository(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "config", "user.email", "una@work.example")
    lab.git(repo, "config", "committer.name", "Una at Work")
    assert (await lab.create(repo)).environment == {
        "GIT_AUTHOR_NAME": "Una User",
        "GIT_AUTHOR_EMAIL": "una@work.example",
        "GIT_COMMITTER_NAME": "Una at Work",
        "GIT_COMMITTER_EMAIL": "una@work.example",
        "GIT_CEILING_DIRECTORIES": str(lab.home / "worktrees"),
    }


async def test_without_any_identity_commits_are_made_by_kugetsu(lab: Lab) -> None:
    repo = lab.repository()
    (lab.user / ".gitconfig").write_text("[user]\n\tuseConfigOnly = true\n\tname = ...\n")
    workspace = await lab.create(repo)
    (workspace.path / "new").write_text("x")
    await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.git(repo, "log", "-1", "--format=%an <%ae> %cn <%ce>", workspace.branch) == (
        "Kugetsu <kugetsu@localhost> Kugetsu <kugetsu@localhost>"
    )


async def test_variables_of_the_user_outweigh_the_configuration(lab: Lab) -> None:
    repo = lab.repository()
    environ = {**lab.environ, "GIT_AUTHOR_NAME": "Someone", "GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere"}
    workspace = await GitWorkspaces(lab.home, environ=environ).create(lab.task(repo))
    assert workspace.environment["GIT_AUTHOR_NAME"] == "Someone"
    assert workspace.environment["GIT_COMMITTER_NAME"] == "Una User"


async def test_signing_and_hooks_of_the_user_do_not_stand_in_the_way(lab: Lab) -> None:
    repo = lab.repository()
    hooks = lab.directory / "hooks"
    hooks.mkdir()
    for name in ("pre-commit", "post-checkout", "reference-transaction", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {lab.directory}/ran-{name}\nexit 1\n")
        (hooks / name).chmod(0o755)
    lab.configure(f"core.hooksPath={hooks}", "commit.gpgSign=true", "tag.gpgSign=true", "gpg.program=false")
    workspace = await lab.create(repo)
    (workspace.path / "new").write_text("x")
    assert await workspace.commit_all("save")
    await workspace.deliver()
    assert not list(lab.directory.glob("ran-*"))
    lab.agent(workspace, "git -c core.hooksPath=/dev/null commit -q --allow-empty -m mine")


async def test_a_sha256_repository_works(lab: Lab) -> None:
    repo = lab.repository("repo", None, "--object-format=sha256")
    workspace = await lab.create(repo)
    assert len(workspace.base) == 64
    (workspace.path / "new").write_text("x")
    await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.show(repo, workspace.branch, "new") == "x"


async def test_a_shallow_repository_works(lab: Lab) -> None:
    origin = lab.repository("origin")
    lab.commit(origin, {"second": "x"})
    lab.git(lab.directory, "clone", "-q", "--depth=1", f"file://{origin}", "repo")
    repo = lab.directory / "repo"
    workspace = await lab.create(repo)
    assert lab.agent(workspace, "git log --format=%s | wc -l").strip() == "1"
    (workspace.path / "new").write_text("x")
    await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.show(repo, workspace.branch, "new") == "x"
    await workspace.close()
    assert await lab.forget(workspace)
    assert not lab.left_overs()


async def test_a_repository_that_borrows_objects_itself_works(lab: Lab) -> None:
    origin = lab.repository("origin")
    lab.git(lab.directory, "clone", "-q", "--shared", origin, "middle")
    lab.git(lab.directory, "clone", "-q", "--shared", "middle", "repo")
    workspace = await lab.create(lab.directory / "repo")
    (workspace.path / "new").write_text("x")
    await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.show(lab.directory / "repo", workspace.branch, "new") == "x"


async def test_the_base_survives_a_clean_up_of_the_users_repository(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "checkout", "-q", "-b", "topic")
    lab.commit(repo, {"topic": "x"})
    workspace = await lab.create(repo)
    lab.git(repo, "checkout", "-q", "main")
    lab.git(repo, "branch", "-q", "-D", "topic")
    lab.git(repo, "reflog", "expire", "--expire=now", "--all")
    lab.git(repo, "gc", "-q", "--prune=now")
    (workspace.path / "new").write_text("x")
    assert await workspace.commit_all("save")
    await workspace.deliver()
    assert lab.files(repo, workspace.branch) == sorted([*FILES, "new", "topic"])


async def test_twenty_worktrees_of_one_repository_can_be_made_at_once(lab: Lab) -> None:
    repo = lab.repository()
    made = await asyncio.gather(*(lab.create(repo) for _ in range(20)))
    assert len({workspace.path for workspace in made}) == 20
    for number, workspace in enumerate(made):
        (workspace.path / "number").write_text(str(number))
    await asyncio.gather(*(workspace.commit_all("save") for workspace in made))
    await asyncio.gather(*(workspace.deliver() for workspace in made))
    numbers = [lab.show(repo, workspace.branch, "number") for workspace in made]
    assert numbers == [str(number) for number in range(20)]
    lab.git(repo, "fsck")


async def test_an_id_that_was_used_before_is_refused_and_the_earlier_work_stays(lab: Lab) -> None:
    repo = lab.repository()
    task = lab.task(repo)
    workspace = await lab.workspaces.create(task)
    with pytest.raises(WorkspaceError, match="is there already"):
        await lab.workspaces.create(task)
    assert (workspace.path / "README.md").exists()
    shutil.rmtree(lab.home)
    with pytest.raises(RepositoryError, match=f"has a branch {workspace.branch} already"):
        await lab.workspaces.create(task)
    assert lab.git(repo, "rev-parse", workspace.branch) == workspace.base
    assert not lab.left_overs()


async def test_creating_takes_moments_also_on_a_busy_machine(lab: Lab) -> None:
    repo = lab.repository()
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        await lab.create(repo)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.5


async def test_creating_with_five_thousand_files_takes_seconds_at_most(lab: Lab) -> None:
    repo = lab.repository("repo", {f"d{n % 50}/f{n}.py": f"# {n}\n" * 40 for n in range(5000)})
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        workspace = await lab.create(repo)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 5
    assert lab.agent(workspace, "git status --porcelain") == ""
