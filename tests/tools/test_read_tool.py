import asyncio
import base64
import contextlib
import os
import socket
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kugetsu.messages import Image
from kugetsu.tools import windows
from kugetsu.tools.decoding import UTF_8
from kugetsu.tools.windows import count_lines, read_window
from tools.toolbench import ToolBench, text_of

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


@pytest.fixture
def box(tmp_path: Path) -> ToolBench:
    return ToolBench(tmp_path)


async def test_a_small_file_is_shown_as_it_is(box: ToolBench) -> None:
    box.put("a.txt", "one\r\n\ttwo \u00e9\n")
    assert await box.text("read", path="a.txt") == "one\r\n\ttwo \u00e9\n"


async def test_lines_are_chosen_by_offset_and_limit_with_a_notice_how_to_continue(box: ToolBench) -> None:
    box.put("a.txt", "".join(f"line {n}\n" for n in range(1, 11)))
    assert await box.text("read", path="a.txt", offset=3, limit=2) == (
        "line 3\nline 4\n\n[6 more lines in file. Use offset=5 to continue.]"
    )
    assert await box.text("read", path="a.txt", offset=9, limit=2) == "line 9\nline 10\n"
    assert await box.text("read", path="a.txt", offset=0, limit=1) == (
        "line 1\n\n[9 more lines in file. Use offset=2 to continue.]"
    )


async def test_a_long_file_is_cut_at_2000_lines(box: ToolBench) -> None:
    box.put("a.txt", "x\n" * 2500)
    shown = await box.text("read", path="a.txt")
    assert shown == "\n".join(["x"] * 2000) + "\n\n[Showing lines 1-2000 of 2500. Use offset=2001 to continue.]"
    assert (await box.text("read", path="a.txt", limit=9999)) == shown
    assert await box.text("read", path="a.txt", offset=2001) == "x\n" * 500


async def test_a_wide_file_is_cut_at_50_kilobytes_between_lines(box: ToolBench) -> None:
    box.put("a.txt", ("x" * 1023 + "\n") * 60)
    shown = await box.text("read", path="a.txt")
    content, _, notice = shown.rpartition("\n\n")
    assert content == "\n".join(["x" * 1023] * 50)
    assert notice == "[Showing lines 1-50 of 60 (50.0KB limit). Use offset=51 to continue.]"


async def test_a_line_above_the_limit_is_told_with_a_command_that_shows_it(box: ToolBench) -> None:
    box.put("my file.js", "short\n" + "x" * 60_000 + "\n")
    assert await box.text("read", path="my file.js", offset=2) == (
        "[Line 2 is 58.6KB, exceeds 50.0KB limit. Use bash: sed -n '2p' 'my file.js' | head -c 51200]"
    )
    assert (await box.text("read", path="my file.js")).startswith("short\n\n[Showing lines 1-1 of 2 (50.0KB limit).")


async def test_an_empty_file_and_one_of_a_mark_alone_are_said_to_be_empty(box: ToolBench) -> None:
    box.put("empty", "")
    box.put("mark", b"\xef\xbb\xbf")
    assert await box.text("read", path="empty") == "[empty is empty.]"
    assert await box.text("read", path="mark") == "[mark is empty.]"


@pytest.mark.parametrize(("content", "lines"), [("a\nb", 2), ("a\nb\n", 2), ("", 0)])
async def test_an_offset_beyond_the_end_names_the_number_of_lines(box: ToolBench, content: str, lines: int) -> None:
    box.put("a", content)
    for offset in (3, 10**9):
        message = await box.refusal("read", path="a", offset=offset)
        assert message == f"Offset {offset} is beyond the end of a ({lines} lines)"


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-be", "utf-32"])
async def test_wide_encodings_with_a_mark_are_decoded(box: ToolBench, codec: str) -> None:
    mark = "\ufeff" if codec == "utf-16-be" else ""
    box.put("a.txt", (mark + "h\u00e9llo\nline \u010a\n").encode(codec))
    assert await box.text("read", path="a.txt") == "h\u00e9llo\nline \u010a\n"
    assert await box.text("read", path="a.txt", offset=2) == "line \u010a\n"


async def test_a_utf_8_mark_is_not_shown(box: ToolBench) -> None:
    box.put("a.txt", b"\xef\xbb\xbfhello\n")
    assert await box.text("read", path="a.txt") == "hello\n"


async def test_western_text_is_shown_with_a_note(box: ToolBench) -> None:
    box.put("a.txt", b"caf\xe9\n")
    assert await box.text("read", path="a.txt") == "caf\u00e9\n\n\n[a.txt is not valid UTF-8; shown as cp1252.]"


async def test_damage_far_behind_the_beginning_is_shown_with_a_note(box: ToolBench) -> None:
    box.put("a.txt", b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * 999 + b"bad \xff here\n")
    shown = await box.text("read", path="a.txt", offset=1001)
    assert shown == "bad \ufffd here\n\n\n[Bytes that are not valid UTF-8 are shown as \ufffd.]"


@pytest.mark.parametrize(
    ("data", "kind"),
    [(b"\x7fELF\0\0", "an ELF executable"), (b"%PDF-1.7\0", "a PDF document"), (b"\1\2\0\3", "a binary file")],
)
async def test_a_binary_file_is_named_not_shown(box: ToolBench, data: bytes, kind: str) -> None:
    box.put("a.bin", data)
    message = await box.refusal("read", path="a.bin")
    assert kind in message
    assert f"of {len(data)}B" in message


async def test_a_picture_is_given_to_models_that_take_it_and_described_to_others(box: ToolBench) -> None:
    box.put("a.dat", PNG)
    assert "takes no pictures" in await box.text("read", path="a.dat")
    box.images = True
    output = await box.call("read", path="a.dat")
    assert output.content[1] == Image(base64.b64encode(PNG).decode(), "image/png")
    assert "image/png" in text_of(output)


@pytest.mark.parametrize(
    ("head", "media_type"),
    [(b"\xff\xd8\xff\xe0", "image/jpeg"), (b"GIF89a", "image/gif"), (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp")],
)
async def test_pictures_are_told_by_their_first_bytes(box: ToolBench, head: bytes, media_type: str) -> None:
    box.put("a", head + b"\0")
    assert media_type in await box.text("read", path="a")


async def test_a_huge_picture_is_not_sent(box: ToolBench) -> None:
    box.images = True
    with box.put("a.png", PNG).open("r+b") as file:
        file.truncate(4_000_000)
    assert "Scale it down" in await box.text("read", path="a.png")


async def test_a_missing_file_is_answered_with_near_names(box: ToolBench) -> None:
    box.put("src/parser.py")
    assert "near names in the same directory: parser.py" in await box.refusal("read", path="src/parsre.py")
    assert "nor does its directory" in await box.refusal("read", path="no/such/x.py")


async def test_a_directory_is_refused_with_the_tool_to_use(box: ToolBench) -> None:
    assert await box.refusal("read", path=".") == ". is a directory (use ls)"


async def test_a_pipe_and_a_socket_are_refused_and_never_waited_for(box: ToolBench) -> None:
    os.mkfifo(box.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(box.root)
        try:
            listener.bind("socket")
        finally:
            os.chdir(here)
        for name in ("pipe", "socket"):
            async with asyncio.timeout(5):
                assert "not a regular file" in await box.refusal("read", path=name)


async def test_a_loop_of_links_is_refused(box: ToolBench) -> None:
    (box.root / "a").symlink_to("b")
    (box.root / "b").symlink_to("a")
    assert "form a loop" in await box.refusal("read", path="a")


async def test_only_what_is_shown_of_a_huge_file_is_read(box: ToolBench) -> None:
    with box.put("huge.log", "first\n" + "x" * 100_000).open("r+b") as file:
        file.truncate(3 * 1024**3)
    started = time.monotonic()
    shown = await box.text("read", path="huge.log", limit=1)
    assert shown == "first\n\n[Showing lines 1-1. Use offset=2 to continue.]"
    assert time.monotonic() - started < 1


async def test_the_loop_goes_on_while_a_large_file_is_read(box: ToolBench) -> None:
    box.put("large.log", b"0123456789abcde\n" * 2_000_000)
    reading = asyncio.create_task(box.text("read", path="large.log", offset=1_900_000))
    turns = 0
    while not reading.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert "Showing lines 1900000-1901999 of 2000000" in await reading
    assert turns > 3


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet="ab\u00e9", max_size=5), max_size=12),
    st.booleans(),
    st.integers(1, 14),
    st.integers(1, 5),
)
def test_a_window_holds_the_lines_asked_for(lines: list[str], ended: bool, first: int, count: int) -> None:
    content = "\n".join(lines) + ("\n" if ended and lines else "")
    expected = content.split("\n")
    if expected[-1] == "":
        expected.pop()
    with open(os.memfd_create("window"), "r+b") as file:  # noqa: PTH123 - a descriptor, not a path
        file.write(content.encode())
        assert count_lines(file) == len(expected)
        window = read_window(file, UTF_8, first, count)
    if isinstance(window, int):
        assert first > max(1, len(expected))
        assert window == len(expected)
    else:
        shown = expected[first - 1 :][:count]
        assert window.text.lines == len(shown)
        assert window.text.content in {"\n".join(shown), "\n".join([*shown, ""])}
        assert window.more is (len(expected) > first - 1 + count)


def open_files() -> set[str]:
    """What the descriptors of this process lead to."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(str(descriptor.readlink()))
    return found


async def test_a_cancelled_read_stops_its_scan(box: ToolBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "SCANNED_BYTES", 2**60)
    huge = box.put("huge", "line\n" * 3000)
    os.truncate(huge, 60 * 1024**3)
    reading = asyncio.create_task(box.text("read", path="huge", offset=5000))
    while str(huge) not in open_files():
        await asyncio.sleep(0.001)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    async with asyncio.timeout(2):
        while str(huge) in open_files():
            await asyncio.sleep(0.01)


async def test_a_line_is_searched_only_so_far(box: ToolBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(windows, "SCANNED_BYTES", 2 * 1024**2)
    with box.put("huge", "first\n" + "x" * 100_000).open("r+b") as file:
        file.truncate(60 * 1024**3)
    async with asyncio.timeout(2):
        message = await box.refusal("read", path="huge", offset=5000)
    assert message == (
        "Line 5000 is not within the first 2.0MB of the file (look further with bash, for example tail or sed -n)"
    )


async def test_a_line_without_end_is_measured_only_so_far(box: ToolBench) -> None:
    with box.put("huge", "x" * 100_000).open("r+b") as file:
        file.truncate(60 * 1024**3)
    async with asyncio.timeout(10):
        assert (await box.text("read", path="huge")).startswith("[Line 1 is over 1.0GB, exceeds 50.0KB limit.")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
async def test_a_line_feed_that_alone_is_over_the_limit_is_nothing_to_continue_with(
    box: ToolBench, mark: bytes
) -> None:
    content = ("x" * 1023 + "\n") * 50 + "\n"
    box.put("a", mark + content.encode()[1:])
    assert await box.text("read", path="a") == content[1:]
    box.put("a", mark + content[:-2].encode() + b"y\n")
    assert await box.text("read", path="a") == content[:-2] + "y"
    box.put("a", mark + content[:-2].encode() + b"y\nmore")
    assert "Use offset=51 to continue" in await box.text("read", path="a")
