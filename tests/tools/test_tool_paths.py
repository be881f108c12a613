import os
from pathlib import Path
from typing import Any

import pytest

from kugetsu.config import ToolSettings
from tools.toolbench import ToolBench

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("read", {}),
    ("write", {"content": "x"}),
    ("edit", {"oldText": "a", "newText": "b"}),
    ("ls", {}),
    ("grep", {"pattern": "x"}),
    ("find", {"pattern": "*"}),
]
every_tool = pytest.mark.parametrize(("name", "arguments"), CALLS, ids=[name for name, _ in CALLS])


@pytest.fixture
def box(tmp_path: Path) -> ToolBench:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("a key")
    return ToolBench(tmp_path)


@every_tool
@pytest.mark.parametrize("path", ["../secret/key", "/etc/passwd", "~/secret/key", "a/../../secret", "..", "/"])
async def test_a_path_out_of_the_workspace_is_refused(
    box: ToolBench, name: str, arguments: dict[str, Any], path: str
) -> None:
    assert "is outside the workspace" in await box.refusal(name, path=path, **arguments)
    assert (box.root.parent / "secret/key").read_text() == "a key"


@every_tool
@pytest.mark.parametrize("path", ["link/key", "link", "sub/link/new/file", "file"])
async def test_a_link_out_of_the_workspace_is_refused(
    box: ToolBench, name: str, arguments: dict[str, Any], path: str
) -> None:
    (box.root / "link").symlink_to("../secret")
    (box.root / "file").symlink_to(box.root.parent / "secret/missing")
    (box.root / "sub").mkdir()
    (box.root / "sub/link").symlink_to("../../secret")
    assert "is outside the workspace (it leads to" in await box.refusal(name, path=path, **arguments)
    assert os.listdir(box.root.parent / "secret") == ["key"]  # noqa: PTH208 - names alone


@every_tool
@pytest.mark.parametrize("path", ["a\0b", "   ", "x" * 300, "x/" * 2500, "half \ud800"])
async def test_a_path_that_cannot_be_is_refused(
    box: ToolBench, name: str, arguments: dict[str, Any], path: str
) -> None:
    tool = box.tools[name]
    with pytest.raises(Exception, match=r"NUL|empty|too long|half a character|does not exist"):
        await tool.run(tool.arguments(**{"path": path, **_names(arguments)}), box.context)


def _names(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments by the names of the struct's fields."""
    return {{"oldText": "old_text", "newText": "new_text"}.get(name, name): value for name, value in arguments.items()}


@pytest.mark.parametrize("path", [".git", ".git/hooks/pre-commit", "sub/.git/config", "link/hooks/pre-commit"])
async def test_gits_own_files_are_not_written(box: ToolBench, path: str) -> None:
    box.git("init", "-q")
    (box.root / "link").symlink_to(".git")
    assert "belongs to git" in await box.refusal("write", path=path, content="x")
    assert "belongs to git" in await box.refusal("edit", path=path, oldText="a", newText="b")
    assert not (box.root / ".git/hooks/pre-commit").exists()


async def test_names_that_only_look_like_gits_are_written(box: ToolBench) -> None:
    await box.text("write", path=".gitignore", content="x")
    await box.text("write", path=".github/a.yml", content="x")


async def test_absolute_paths_within_the_workspace_are_taken_and_shown_relative(box: ToolBench) -> None:
    assert await box.text("write", path=str(box.root / "a/b"), content="x") == "Created a/b: 1 line, 1 byte."
    assert await box.text("read", path=f"{box.root}/a/../a/b") == "x"


async def test_a_root_that_is_itself_a_link_works(box: ToolBench, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(box.root)
    box.root = tmp_path / "link"
    assert await box.text("write", path="a", content="x") == "Created a: 1 line, 1 byte."
    assert await box.text("grep", pattern="x") == "a:1: x"
    assert await box.text("find", pattern="*", path=str(tmp_path / "link")) == "a"


async def test_the_shadows_own_directory_may_be_read_but_not_written(box: ToolBench) -> None:
    box.scratch.mkdir()
    log = box.scratch / "out.log"
    log.write_text("line\n")
    assert await box.text("read", path=str(log)) == "line\n"
    assert await box.text("grep", pattern="line", path=str(log)) == f"{log}:1: line"
    assert await box.text("find", pattern="*.log", path=str(box.scratch)) == str(log)
    assert await box.text("ls", path=str(box.scratch)) == "out.log"
    assert "outside the workspace" in await box.refusal("write", path=str(log), content="x")
    assert "outside the workspace" in await box.refusal("edit", path=str(log), oldText="line", newText="x")


async def test_an_at_sign_before_a_path_is_dropped_only_where_that_finds_a_file(box: ToolBench) -> None:
    box.put("src/a.py", "x")
    box.put("@scope/b.py", "y")
    assert await box.text("read", path="@src/a.py") == "x"
    assert await box.text("read", path="@scope/b.py") == "y"
    await box.text("write", path="@types/c.py", content="z")
    assert (box.root / "@types/c.py").exists()


async def test_without_confinement_any_path_is_taken_but_gits(box: ToolBench, tmp_path: Path) -> None:
    box = ToolBench(tmp_path, ToolSettings(confine=False))
    assert await box.text("read", path="~/secret/key") == "a key"
    assert await box.text("read", path="../secret/key") == "a key"
    await box.text("write", path=str(tmp_path / "elsewhere"), content="x")
    assert (tmp_path / "elsewhere").read_text() == "x"
    assert "belongs to git" in await box.refusal("write", path=str(tmp_path / ".git/config"), content="x")


async def test_a_file_name_that_is_no_text_is_listed_and_harms_nothing(box: ToolBench) -> None:
    name = os.fsencode(box.root) + b"/bad\xff name"
    Path(os.fsdecode(name)).write_bytes(b"needle\n")
    box.put("new\nline", "needle\n")
    assert await box.text("ls") == "bad? name\nnew\\nline"
    assert await box.text("find", pattern="*") == "bad? name\nnew\\nline"
    assert await box.text("grep", pattern="needle") == "bad? name:1: needle\nnew\\nline:1: needle"
