import shutil
from pathlib import Path

import pytest

from kugetsu.errors import RepositoryError
from kugetsu.workspace import GitWorkspace, branch_diff
from workspace.workspace_lab import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


async def diff(lab: Lab, repo: Path | str, workspace: GitWorkspace) -> bytes:
    return await branch_diff(lab.home, str(repo), workspace.base, workspace.branch, lab.environ)


async def test_a_delivered_branch_is_shown_as_a_patch_that_applies(lab: Lab) -> None:
    repo = lab.repository()
    lab.git(repo, "config", "diff.noprefix", "true")
    lab.git(repo, "config", "color.ui", "always")
    workspace = await lab.create(repo)
    (workspace.path / "README.md").write_bytes(b"latin-\xe9\n")
    lab.agent(workspace, "git mv src/main.py src/app.py")
    await workspace.commit_all("save")
    await workspace.deliver()
    await workspace.close()
    patch = await diff(lab, repo, workspace)
    assert b"\n-hello\n+latin-\xe9\n" in patch
    assert b"rename from src/main.py\nrename to src/app.py\n" in patch
    lab.git(repo, "apply", "--index", "-p1", stdin=patch)
    assert lab.git(repo, "write-tree") == lab.git(repo, "rev-parse", f"{workspace.branch}^{{tree}}")


async def test_a_worktree_that_is_still_there_is_shown_with_its_uncommitted_work(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    (workspace.path / "new").write_text("x\n")
    assert b"+x\n" in await diff(lab, repo / "src", workspace)
    assert lab.agent(workspace, "git status --porcelain") == "?? new\n"
    assert await diff(lab, repo, await lab.create(repo)) == b""


async def test_the_branch_of_a_url_is_shown_without_asking_the_remote(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(f"file://{repo}")
    (workspace.path / "new").write_text("x\n")
    await workspace.commit_all("save")
    await workspace.deliver()
    await workspace.close()
    shutil.rmtree(repo)
    assert b"+x\n" in await diff(lab, f"file://{repo}", workspace)


async def test_a_branch_that_is_gone_is_named(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    await workspace.close()
    lab.git(repo, "branch", "-q", "-D", workspace.branch)
    with pytest.raises(RepositoryError, match=f"the branch {workspace.branch} is no longer in {repo}"):
        await diff(lab, repo, workspace)


async def test_a_base_that_is_gone_is_named(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    await workspace.close()
    with pytest.raises(RepositoryError, match="the commit 1234 is no longer in"):
        await branch_diff(lab.home, str(repo), "1234", workspace.branch, lab.environ)


async def test_a_repository_or_a_mirror_that_is_gone_is_named(lab: Lab) -> None:
    repo = lab.repository()
    workspace = await lab.create(repo)
    await workspace.close()
    shutil.rmtree(repo)
    with pytest.raises(RepositoryError, match="does not exist"):
        await diff(lab, repo, workspace)
    with pytest.raises(RepositoryError, match=r"no copy of https://\*\*\*@host/x on this machine"):
        await diff(lab, "https://token@host/x", workspace)


async def test_a_damaged_index_of_the_user_does_not_matter(lab: Lab) -> None:
    repo = lab.repository("repo", {"a.bin": "x\n", ".gitattributes": "*.bin binary\n"})
    workspace = await lab.create(repo)
    (workspace.path / "a.bin").write_text("y\n")
    await workspace.commit_all("save")
    await workspace.deliver()
    await workspace.close()
    (repo / ".git/index").write_bytes(b"garbage")
    assert b"Binary files" in await diff(lab, repo, workspace)
