import asyncio
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kugetsu.tools.replacing import replace_file
from tools.toolbench import ToolBench


@pytest.fixture
def box(tmp_path: Path) -> ToolBench:
    return ToolBench(tmp_path)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file of this process may grow beyond `size`: the nearest thing to a full disk that needs no other user."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_new_file_gets_its_parents_and_the_usual_mode(box: ToolBench) -> None:
    assert await box.text("write", path="a/b/c.txt", content="h\u00e9\nx") == "Created a/b/c.txt: 2 lines, 5 bytes."
    file = box.root / "a/b/c.txt"
    mask = os.umask(0o022)
    os.umask(mask)
    assert file.read_bytes() == "h\u00e9\nx".encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o666 & ~mask


async def test_replacing_keeps_mode_bits(box: ToolBench) -> None:
    box.put("run.sh", "old").chmod(0o755)
    assert await box.text("write", path="run.sh", content="new\n") == "Replaced run.sh: 1 line, 4 bytes."
    assert stat.S_IMODE((box.root / "run.sh").stat().st_mode) == 0o755
    assert (box.root / "run.sh").read_text() == "new\n"


async def test_a_link_is_followed_not_replaced(box: ToolBench) -> None:
    target = box.put("real.txt", "old")
    (box.root / "link.txt").symlink_to("real.txt")
    (box.root / "dangling").symlink_to("sub/made.txt")
    await box.text("write", path="link.txt", content="new")
    await box.text("write", path="dangling", content="made")
    assert (box.root / "link.txt").is_symlink()
    assert target.read_text() == "new"
    assert (box.root / "sub/made.txt").read_text() == "made"


async def test_nothing_changes_and_nothing_is_left_when_the_file_cannot_grow(box: ToolBench) -> None:
    box.put("a.txt", "old")
    with largest_file(1000):
        message = await box.refusal("write", path="a.txt", content="x" * 5000)
    assert message == "Cannot write a.txt: the file would be larger than allowed (nothing was changed)"
    assert (box.root / "a.txt").read_text() == "old"
    assert box.files() == {"a.txt"}


async def test_a_file_with_the_longest_name_can_be_written(box: ToolBench) -> None:
    name = "n" * 255
    await box.text("write", path=name, content="x")
    assert box.files() == {name}
    assert "the name is too long" in await box.refusal("write", path=name + "n", content="x")


async def test_what_is_no_regular_file_is_not_replaced(box: ToolBench) -> None:
    os.mkfifo(box.root / "pipe")
    (box.root / "directory").mkdir()
    (box.root / "loop").symlink_to("loop")
    box.put("file")
    assert "not a regular file" in await box.refusal("write", path="pipe", content="x")
    assert "it is a directory" in await box.refusal("write", path="directory", content="x")
    assert "not a regular file" in await box.refusal("write", path="loop", content="x")
    assert "a part of the path is a file" in await box.refusal("write", path="file/x", content="x")
    assert box.files() == {"pipe", "file", "loop"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_read_only_file_or_directory_is_not_overruled(box: ToolBench) -> None:
    box.put("a.txt", "old").chmod(0o444)
    assert "permission denied" in await box.refusal("write", path="a.txt", content="x")
    (box.root / "locked").mkdir(mode=0o555)
    assert "permission denied" in await box.refusal("write", path="locked/a", content="x")
    assert (box.root / "a.txt").read_text() == "old"


async def test_half_a_character_is_refused_before_anything_is_touched(box: ToolBench) -> None:
    tool = box.tools["write"]
    arguments = tool.arguments(path="a.txt", content="x\ud800")
    with pytest.raises(Exception, match=r"cannot hold U\+D800"):
        await tool.run(arguments, box.context)
    assert box.files() == set()


async def test_writes_to_one_file_by_any_of_its_names_come_one_after_the_other(box: ToolBench) -> None:
    box.put("a.txt")
    (box.root / "b.txt").symlink_to("a.txt")
    async with box.locks.hold(Path(os.path.realpath(box.root / "a.txt"))):
        writing = asyncio.create_task(box.text("write", path="./b.txt", content="new"))
        await asyncio.sleep(0.02)
        assert (box.root / "a.txt").read_text() == ""
    await writing
    assert (box.root / "a.txt").read_text() == "new"


async def test_a_cancelled_write_that_waits_for_the_file_changes_nothing(box: ToolBench) -> None:
    box.put("a.txt", "old")
    async with box.locks.hold(Path(os.path.realpath(box.root / "a.txt"))):
        writing = asyncio.create_task(box.text("write", path="a.txt", content="new"))
        await asyncio.sleep(0.02)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
    assert (box.root / "a.txt").read_text() == "old"
    await box.text("write", path="a.txt", content="later")


def test_a_reader_meets_the_old_content_or_the_new_one_and_never_a_part(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"old")
    with file.open("rb") as reader:
        replace_file(file, b"new" * 1000)
        assert reader.read() == b"old"
    assert file.read_bytes() == b"new" * 1000
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize(
    ("tool", "content"), [("write", {"content": "new"}), ("edit", {"oldText": "old", "newText": "new"})]
)
async def test_a_path_that_leads_elsewhere_after_a_wait_is_refused(
    box: ToolBench, tmp_path: Path, tool: str, content: dict[str, str], inside: bool
) -> None:
    elsewhere = (box.root if inside else tmp_path) / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a").write_text("old")
    file = box.put("d/a", "old")
    async with box.locks.hold(Path(os.path.realpath(file))):
        calling = asyncio.create_task(box.refusal(tool, path="d/a", **content))
        await asyncio.sleep(0.02)
        file.unlink()
        file.parent.rmdir()
        file.parent.symlink_to(elsewhere)
    assert ("leads to another file" if inside else "outside the workspace") in await calling
    assert (elsewhere / "a").read_text() == "old"


@pytest.mark.parametrize("path", [f"new/sub/{'n' * 256}", f"new/{'n' * 256}/a", f"kept/new/{'n' * 256}"])
async def test_a_refused_write_leaves_no_directory_behind(box: ToolBench, path: str) -> None:
    (box.root / "kept").mkdir()
    assert "the name is too long" in await box.refusal("write", path=path, content="x")
    assert [entry.name for entry in box.root.rglob("*")] == ["kept"]


async def test_directories_made_for_a_file_that_cannot_grow_are_removed(box: ToolBench) -> None:
    with largest_file(1000):
        assert "larger than allowed" in await box.refusal("write", path="a/b/c", content="x" * 5000)
    assert list(box.root.iterdir()) == []
