import asyncio
import os
import stat
from pathlib import Path

import msgspec
import pytest

from kugetsu.tools.edit import EditArguments
from tools.toolbench import ToolBench


@pytest.fixture
def box(tmp_path: Path) -> ToolBench:
    return ToolBench(tmp_path)


def edits(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"oldText": old, "newText": new} for old, new in pairs]


async def test_replacements_are_made_and_told(box: ToolBench) -> None:
    box.put("a.py", "one\ntwo\nthree\nfour\n").chmod(0o750)
    shown = await box.text("edit", path="a.py", edits=edits(("two", "2\n2b"), ("four\n", "")))
    assert shown == "Edited a.py: 2 replacements, now lines 2-3, nothing before line 5."
    assert (box.root / "a.py").read_text() == "one\n2\n2b\nthree\n"
    assert stat.S_IMODE((box.root / "a.py").stat().st_mode) == 0o750
    assert box.files() == {"a.py"}


async def test_one_replacement_may_be_given_without_a_list(box: ToolBench) -> None:
    box.put("a.py", "one\n")
    assert await box.text("edit", path="a.py", oldText="one", newText="1") == "Edited a.py: 1 replacement, now line 1."


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"edits": []},
        {"oldText": "a"},
        {"newText": "a"},
        {"edits": edits(("a", "b")), "oldText": "a"},
        {"edits": edits(("a", "b")), "oldText": "a", "newText": "b"},
    ],
)
def test_arguments_that_say_nothing_or_two_things_do_not_fit(arguments: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError, match="give `edits` with at least one"):
        msgspec.json.decode(msgspec.json.encode({"path": "a", **arguments}), type=EditArguments)


async def test_a_folded_match_is_told(box: ToolBench) -> None:
    box.put("a.md", "say \u201chi\u201d  \nkeep \u201cthis\u201d  \n")
    assert "matched only after ignoring" in await box.text("edit", path="a.md", edits=edits(('"hi"', '"ho"')))
    assert (box.root / "a.md").read_text() == 'say "ho"\nkeep \u201cthis\u201d  \n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"\xef\xbb\xbfone\r\ntwo\r\n", b"\xef\xbb\xbf1\r\n1b\r\ntwo\r\n"),
        ("one\r\ntw\u00f6\r\n".encode("cp1252"), "1\r\n1b\r\ntw\u00f6\r\n".encode("cp1252")),
        ("one\ntwo\n".encode("utf-16"), "1\n1b\ntwo\n".encode("utf-16")),
        (b"one", b"1\n1b"),
    ],
)
async def test_the_file_keeps_mark_encoding_and_line_endings(box: ToolBench, before: bytes, after: bytes) -> None:
    box.put("a", before)
    await box.text("edit", path="a", edits=edits(("one", "1\n1b")))
    assert (box.root / "a").read_bytes() == after


async def test_a_failed_edit_changes_nothing(box: ToolBench) -> None:
    box.put("a.py", "one\none\n")
    assert "Found 2 occurrences" in await box.refusal("edit", path="a.py", edits=edits(("one", "1")))
    assert "Could not find edits[1]" in await box.refusal("edit", path="a.py", edits=edits(("one\none", ""), ("x", "")))
    assert (box.root / "a.py").read_text() == "one\none\n"


async def test_files_that_are_no_text_of_bearable_size_are_refused(box: ToolBench) -> None:
    box.put("a.bin", b"one\0")
    os.mkfifo(box.root / "pipe")
    with box.put("huge").open("wb") as file:
        file.truncate(9 * 1024**2)
    one = edits(("one", "1"))
    assert "is a binary file" in await box.refusal("edit", path="a.bin", edits=one)
    assert "not a regular file" in await box.refusal("edit", path="pipe", edits=one)
    assert "not a regular file" in await box.refusal("edit", path=".", edits=one)
    assert "9.0MB, above the 8.0MB" in await box.refusal("edit", path="huge", edits=one)
    assert "near names in the same directory: a.bin" in await box.refusal("edit", path="a.bim", edits=one)


async def test_a_new_text_that_the_files_encoding_lacks_is_refused(box: ToolBench) -> None:
    box.put("a", b"caf\xe9 one\n")
    assert "cannot hold U+2192" in await box.refusal("edit", path="a", edits=edits(("one", "\u2192")))
    assert (box.root / "a").read_bytes() == b"caf\xe9 one\n"


async def test_edits_of_one_file_at_the_same_time_are_all_kept(box: ToolBench) -> None:
    # Above the size that is edited at once, so that the edits could overtake each other.
    box.put("a", "".join(f"line {n:03} {'x' * 2000}\n" for n in range(100)))
    async with asyncio.TaskGroup() as group:
        for n in range(20):
            group.create_task(box.text("edit", path="a", edits=edits((f"line {n:03} ", f"LINE {n:03} "))))
    assert (box.root / "a").read_text().count("LINE") == 20


async def test_a_cancelled_edit_leaves_the_file_as_it_was(box: ToolBench) -> None:
    content = "one\n" + "x y\n" * 300_000
    box.put("a", content)
    editing = asyncio.create_task(box.text("edit", path="a", edits=edits(("one", "1"))))
    await asyncio.sleep(0)
    editing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await editing
    assert (box.root / "a").read_text() == content
    assert box.files() == {"a"}
    await box.text("edit", path="a", edits=edits(("one", "2")))
