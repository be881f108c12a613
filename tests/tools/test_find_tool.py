import os
import shutil
from pathlib import Path

import pytest

from tools.toolbench import ToolBench


@pytest.fixture
def box(tmp_path: Path) -> ToolBench:
    return ToolBench(tmp_path)


@pytest.fixture
def project(box: ToolBench) -> ToolBench:
    """A repository with tracked, untracked, ignored and hidden files."""
    box.git("init", "-q")
    for path in ("src/a.py", "src/deep/b.py", "README.md", ".hidden/c.py", "kept.log"):
        box.put(path)
    box.git("add", "-A")
    box.put(".gitignore", "*.log\nbuild/\n")
    for path in ("new.py", "build/out.py", "noise.log", "build/lib/x.py"):
        box.put(path)
    return box


async def test_files_are_found_by_name_at_any_depth(project: ToolBench) -> None:
    assert await project.text("find", pattern="*.py") == ".hidden/c.py\nnew.py\nsrc/a.py\nsrc/deep/b.py"
    assert await project.text("find", pattern="src/**/*.py") == "src/a.py\nsrc/deep/b.py"
    assert await project.text("find", pattern="*.py", path="src") == "src/a.py\nsrc/deep/b.py"
    assert await project.text("find", pattern=f"{project.root}/src/*.py") == "src/a.py"


async def test_a_lower_case_pattern_finds_either_case(project: ToolBench) -> None:
    assert await project.text("find", pattern="readme*") == "README.md"
    assert await project.text("find", pattern="Readme*") == "No files found matching pattern"


async def test_what_git_ignores_is_left_out_unless_it_is_tracked_or_named(project: ToolBench) -> None:
    assert await project.text("find", pattern="*.log") == "kept.log"
    assert await project.text("find", pattern="*", path="build") == "build/lib/x.py\nbuild/out.py"
    assert await project.text("find", pattern="*", path="build/lib") == "build/lib/x.py"


async def test_gits_own_files_and_deleted_ones_are_left_out(project: ToolBench) -> None:
    (project.root / "src/a.py").unlink()
    assert ".git/" not in await project.text("find", pattern="*")
    assert await project.text("find", pattern="a.py") == "No files found matching pattern"


async def test_a_directory_without_git_is_walked(box: ToolBench) -> None:
    for path in ("a.py", "sub/b.py", ".hidden/c.py", "nested/.git/config", "nested/d.py"):
        box.put(path)
    assert (await box.text("find", pattern="*")).split("\n") == [".hidden/c.py", "a.py", "nested/d.py", "sub/b.py"]


async def test_links_are_listed_but_not_followed_and_pipes_left_out(project: ToolBench, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret.py").write_text("x")
    (project.root / "linked.py").symlink_to("src/a.py")
    (project.root / "door").symlink_to("../outside")
    os.mkfifo(project.root / "pipe")
    shown = (await project.text("find", pattern="*")).split("\n")
    assert "linked.py" in shown
    assert "door" in shown
    assert "pipe" not in shown
    assert "door/secret.py" not in shown


async def test_files_of_a_merge_conflict_are_listed_once(project: ToolBench) -> None:
    project.git("commit", "-qm", "base")
    for branch, content in (("one", "1"), ("two", "2")):
        project.git("checkout", "-qB", branch, "HEAD" if branch == "one" else "HEAD~1")
        project.put("src/a.py", content)
        project.git("commit", "-qam", branch)
    with pytest.raises(Exception, match="returned non-zero"):
        project.git("merge", "one")
    assert await project.text("find", pattern="a.py") == "src/a.py"


async def test_the_limit_is_kept_and_told(box: ToolBench) -> None:
    for number in range(5):
        box.put(f"f{number}")
    assert await box.text("find", pattern="*", limit=2) == (
        "f0\nf1\n\n[2 results limit reached. Use limit=4 for more, or refine the pattern]"
    )
    assert await box.text("find", pattern="*", limit=5) == "f0\nf1\nf2\nf3\nf4"


async def test_a_wrong_place_or_pattern_is_refused(box: ToolBench) -> None:
    box.put("file")
    assert await box.refusal("find", pattern="*", path="file") == "file is not a directory (use ls or read)"
    assert "does not exist" in await box.refusal("find", pattern="*", path="nowhere")
    assert "pattern is empty" in await box.refusal("find", pattern="")


async def test_a_broken_repository_is_walked(project: ToolBench) -> None:
    (project.root / ".git/HEAD").unlink()
    shutil.rmtree(project.root / ".git/objects")
    assert "build/out.py" in await project.text("find", pattern="*")


async def test_tracked_files_below_what_became_a_link_are_left_out(project: ToolBench, tmp_path: Path) -> None:
    project.git("add", "-A")
    (project.root / "src").rename(tmp_path / "outside")
    (project.root / "src").symlink_to("../outside")
    assert await project.text("find", pattern="*.py") == ".hidden/c.py\nnew.py"


async def test_files_of_repositories_within_are_found_by_their_own_rules(project: ToolBench) -> None:
    for name in ("sub", "sub/in", "sub/in/in", "sub/in/in/in", "sub/in/in/in/in"):
        project.put(f"{name}/x.py")
        project.put(f"{name}/skipped.py")
        project.put(f"{name}/.gitignore", "skipped.py\n")
        project.git("init", "-q", name)
    project.git("-C", "sub", "add", "x.py")
    found = (await project.text("find", pattern="*.py")).split("\n")
    assert found == sorted(found)
    within = [path for path in found if path.startswith("sub/")]
    asked = ["sub/in/in/in/x.py", "sub/in/in/x.py", "sub/in/x.py", "sub/x.py"]
    assert [path for path in within if not path.startswith("sub/in/in/in/")] == asked[1:]
    assert {"sub/in/in/in/x.py", "sub/in/in/in/in/x.py"} <= set(within)


@pytest.mark.parametrize("directory", ["d/" * 1800, "d/" * 2040, "d" * 300 + "/"])
async def test_a_tracked_path_that_no_directory_can_hold_is_no_trouble(project: ToolBench, directory: str) -> None:
    project.git("update-index", "--add", "--cacheinfo", f"100644,{'0' * 39}1,{directory}f")
    assert await project.text("find", pattern="a.py") == "src/a.py"
