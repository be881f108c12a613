import os
from pathlib import Path

import pytest

from tools.toolbench import ToolBench


@pytest.fixture
def box(tmp_path: Path) -> ToolBench:
    return ToolBench(tmp_path)


async def test_entries_are_sorted_regardless_of_case_with_directories_marked(box: ToolBench) -> None:
    for name in ("b.txt", "A.txt", ".env", "sub/x"):
        box.put(name)
    (box.root / "link").symlink_to("sub")
    (box.root / "loop").symlink_to("loop")
    (box.root / "dangling").symlink_to("nowhere")
    assert (await box.text("ls")).split("\n") == [".env", "A.txt", "b.txt", "dangling", "link/", "loop", "sub/"]
    assert await box.text("ls", path="sub") == "x"


async def test_an_empty_directory_says_so(box: ToolBench) -> None:
    assert await box.text("ls") == "(empty directory)"


async def test_the_limit_is_kept_and_told(box: ToolBench) -> None:
    for number in range(510):
        box.put(f"f{number:03}")
    shown = await box.text("ls")
    assert shown.endswith("f499\n\n[500 of 510 entries shown. Use limit=510 for all]")
    assert (await box.text("ls", limit=510)).endswith("f509")


async def test_very_many_names_are_cut_by_bytes(box: ToolBench) -> None:
    for number in range(300):
        box.put(f"{number:03}{'x' * 200}")
    shown = await box.text("ls")
    assert shown.endswith("\n\n[50KB limit reached]")
    assert len(shown) < 52_000


async def test_what_is_no_directory_is_refused(box: ToolBench) -> None:
    box.put("file")
    os.mkfifo(box.root / "pipe")
    assert await box.refusal("ls", path="file") == "file is not a directory (use read)"
    assert "not a directory" in await box.refusal("ls", path="pipe")
    assert "near names in the same directory: file" in await box.refusal("ls", path="fille")


async def test_a_link_that_cannot_be_followed_is_listed_plainly(box: ToolBench) -> None:
    box.put("file")
    (box.root / "bad").symlink_to("n" * 300)
    assert await box.text("ls") == "bad\nfile"
