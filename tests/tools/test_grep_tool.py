import asyncio
import os
import shutil
import time
from collections.abc import Coroutine
from pathlib import Path

import pytest

from kugetsu.errors import ToolError
from kugetsu.tools.engines import Engine, Query
from tools.toolbench import ToolBench

needs_ripgrep = pytest.mark.skipif(shutil.which("rg") is None, reason="ripgrep is not installed")


def without_ripgrep(box: ToolBench, directory: Path) -> ToolBench:
    """Leave git alone on the path."""
    programs = directory / "bin"
    programs.mkdir()
    (programs / "git").symlink_to(shutil.which("git") or "git")
    box.environment["PATH"] = str(programs)
    return box


@pytest.fixture(params=[pytest.param("rg", marks=needs_ripgrep), "git"])
def box(request: pytest.FixtureRequest, tmp_path: Path) -> ToolBench:
    """The tools with ripgrep, and without it."""
    bench = ToolBench(tmp_path)
    return bench if request.param == "rg" else without_ripgrep(bench, tmp_path)


@pytest.fixture
def project(box: ToolBench) -> ToolBench:
    box.git("init", "-q")
    box.put("src/b.py", "import os\n\ndef needle():\n    return 1\n\n\ndef other():\n    return needle()\n")
    box.put("src/a.py", "needle = 1\n")
    box.put("src.md", "no Needle here\n")
    box.put(".hidden/x.py", "needle\n")
    box.put(".gitignore", "build/\n*.log\n")
    box.put("build/out.py", "needle\n")
    box.put("tracked.log", "needle\n")
    box.put("noise.log", "needle\n")
    box.put(".ignore", "src/\n")
    box.put(".gitattributes", "src/a.py binary\n")
    box.git("add", "-f", "tracked.log")
    return box


async def test_matches_are_shown_by_path_and_line(project: ToolBench) -> None:
    assert await project.text("grep", pattern="needle") == (
        ".hidden/x.py:1: needle\n"
        "src/a.py:1: needle = 1\n"
        "src/b.py:3: def needle():\n"
        "src/b.py:8:     return needle()\n"
        "tracked.log:1: needle"
    )


async def test_lines_around_are_shown_with_dashes_and_stretches_parted(project: ToolBench) -> None:
    assert await project.text("grep", pattern="needle", path="src", context=1) == (
        "src/a.py:1: needle = 1\n"
        "--\n"
        "src/b.py-2- \n"
        "src/b.py:3: def needle():\n"
        "src/b.py-4-     return 1\n"
        "--\n"
        "src/b.py-7- def other():\n"
        "src/b.py:8:     return needle()"
    )
    together = await project.text("grep", pattern="needle", path="src/b.py", context=3)
    assert together.count("\n") == 7
    assert "--\n" not in together


async def test_case_text_and_files_can_be_chosen(project: ToolBench) -> None:
    assert await project.text("grep", pattern="NEEDLE HERE", ignoreCase=True) == "src.md:1: no Needle here"
    assert await project.text("grep", pattern="needle()", literal=True, glob="*.py") == (
        "src/b.py:3: def needle():\nsrc/b.py:8:     return needle()"
    )
    assert await project.text("grep", pattern="needle", glob="src/a.*") == "src/a.py:1: needle = 1"
    assert await project.text("grep", pattern="needle", path="src/a.py") == "src/a.py:1: needle = 1"
    assert await project.text("grep", pattern="needle", path="build") == "build/out.py:1: needle"
    assert await project.text("grep", pattern="absent") == "No matches found"


ONE_CASE = [r"[[:upper:]]{2}", r"\p{Lu}\w+"]
"""Whether these take the other case when case is ignored differs by dialect."""

PATTERNS = [
    r"\bfoo\b",
    r"^\s*def \w+\(",
    r"\d{2,}",
    r"(foo|bar)$",
    r"caf.$",
    r"\w+-\w+",
    r"(?i)FOO",
    r"^$",
    r"foo\(bar, .*\)",
    r"[^a-z ]{3}",
    "\u00e9",
    r"x.y",
    r"\x41",
    r"a{",
    r"foo(?=bar)",
    r"(o)\1",
    r"function\(\) {",
]


@pytest.mark.parametrize(
    ("pattern", "ignore_case"),
    [*((pattern, False) for pattern in PATTERNS + ONE_CASE), *((pattern, True) for pattern in PATTERNS)],
)
@needs_ripgrep
async def test_both_engines_give_the_same_answer(tmp_path: Path, pattern: str, ignore_case: bool) -> None:
    box = ToolBench(tmp_path)
    box.put(
        "a.txt",
        "foo bar foobar\n  def f1(x):\nfoo(bar, 12)\nABC \u00c9t\u00e9 caf\u00e9\n\nx\u2028y\na{2}\nfunction() {\n",
    )
    box.put("b.txt", "tw\u00f6-words FOO\r\n\u0663\u0664 digits\nno end\tfoo")
    box.put("western.txt", b"caf\xe9 foo\ncaf\xe9\n")
    box.put("marked.txt", b"\xef\xbb\xbffoo\n")
    box.put("c.bin", b"foo\0bar\n")
    box.put("wide.txt", "foo\n".encode("utf-16"))
    answer = await box.text("grep", pattern=pattern, ignoreCase=ignore_case)
    assert answer == await without_ripgrep(box, tmp_path).text("grep", pattern=pattern, ignoreCase=ignore_case)
    assert answer != "No matches found"


@needs_ripgrep
async def test_ripgrep_takes_ordinary_patterns_itself(tmp_path: Path) -> None:
    box = ToolBench(tmp_path)
    box.put("a.txt", "foo\n")
    for pattern, taken in ((r"\bfoo\b", True), (r"fo(?=o)", False)):
        engine = Engine(Query(pattern, literal=False, ignore_case=False, most=9), box.root, box.environment)
        assert [hit.path for hit in (await engine.search(["a.txt", "gone.txt"])).found] == ["a.txt"]
        assert engine.uses_ripgrep is taken


@pytest.mark.parametrize("pattern", ["foo(", "[a", "*", "(?P<x"])
async def test_a_pattern_that_is_none_is_refused_in_words(box: ToolBench, pattern: str) -> None:
    box.put("a", "x\n")
    message = await box.refusal("grep", pattern=pattern)
    assert message.startswith(f"Cannot search for `{pattern}`: ")
    assert "UCP" not in message
    assert "set literal to true" in message


@pytest.mark.parametrize("pattern", ["a\nb", r"a\nb", r"[\n]", "a\0b", ""])
async def test_a_pattern_that_can_match_no_line_is_refused(box: ToolBench, pattern: str) -> None:
    box.put("a", "x\n")
    assert "pattern" in await box.refusal("grep", pattern=pattern)


async def test_patterns_that_only_look_like_line_breaks_are_taken(box: ToolBench) -> None:
    box.put("a", "back\\name [^\\n]\n")
    assert await box.text("grep", pattern=r"back\\name [^\n]+") == "a:1: back\\name [^\\n]"
    assert await box.text("grep", pattern=r"k\n", literal=True) == "a:1: back\\name [^\\n]"


async def test_a_pattern_that_looks_like_an_option_is_a_pattern(box: ToolBench) -> None:
    box.put("--help", "--version\n")
    assert await box.text("grep", pattern="--version") == "--help:1: --version"
    assert await box.text("grep", pattern="--version", path="--help") == "--help:1: --version"


async def test_a_pattern_that_backtracks_without_end_is_ended(box: ToolBench) -> None:
    box.put("a", "a" * 50_000 + "\n")
    async with asyncio.timeout(25):
        answer = await outcome(box, pattern=r"^(a|a|aa)+(?!a)b$")
    assert answer == "No matches found" or answer.startswith("Cannot search for")


async def outcome(box: ToolBench, **arguments: object) -> str:
    """The text or the message of a search: versions of PCRE give up at different depths."""
    try:
        return await box.text("grep", **arguments)
    except ToolError as error:
        return str(error)


async def test_the_limit_counts_matches_and_is_told(box: ToolBench) -> None:
    for name in "abc":
        box.put(name, "x\n" * 10)
    shown = await box.text("grep", pattern="x", limit=15)
    assert shown.startswith("a:1: x\na:2: x\n")
    assert shown.endswith("b:5: x\n\n[15 matches limit reached. Use limit=30 for more, or refine the pattern]")
    assert (await box.text("grep", pattern="x", limit=30)).endswith("c:10: x")


async def test_long_lines_are_cut_and_long_answers_too(box: ToolBench) -> None:
    box.put("a.min.js", "x" * 100_000 + "\n")
    shown = await box.text("grep", pattern="x")
    assert shown == f"a.min.js:1: {'x' * 500}... [truncated]\n\n[Long lines are cut; use read to see them]"
    box.put("b.txt", ("x" * 400 + "\n") * 200)
    shown = await box.text("grep", pattern="x", path="b.txt", limit=200)
    assert shown.endswith("\n\n[50KB limit reached]")
    assert len(shown) < 52_000


async def test_binary_files_are_counted_not_shown(box: ToolBench) -> None:
    box.put("a.bin", b"x\0y\n")
    box.put("b.txt", "x\n")
    assert await box.text("grep", pattern="x") == "b.txt:1: x\n\n[1 binary file matches, too, and is not shown]"


async def test_control_characters_of_a_line_are_not_shown(box: ToolBench) -> None:
    box.put("a", "x\x1b[31m\x07 red\r\n")
    assert await box.text("grep", pattern="x") == "a:1: x[31m red"


async def test_many_files_are_searched_in_order(box: ToolBench) -> None:
    for number in range(1200):
        box.put(f"d{number % 7}/f{number:04}", f"needle {number}\n" if number % 100 == 0 else "hay\n")
    lines = (await box.text("grep", pattern="needle")).split("\n")
    assert len(lines) == 12
    assert lines == sorted(lines)


async def test_matches_without_end_are_cut_and_told(box: ToolBench) -> None:
    for number in range(30):
        box.put(f"f{number:02}", "x" * 1_000_000 + "\n")
    shown = await box.text("grep", pattern="x")
    assert shown.startswith("f00:1: xxx")
    assert "There is more than could be searched" in shown


async def test_links_and_pipes_are_not_followed(box: ToolBench, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("needle\n")
    (box.root / "link").symlink_to("../secret")
    os.mkfifo(box.root / "pipe")
    assert await box.text("grep", pattern="needle") == "No matches found"
    assert "not a regular file" in await box.refusal("grep", pattern="needle", path="pipe")
    assert "does not exist" in await box.refusal("grep", pattern="needle", path="nowhere")


async def test_files_below_what_became_a_link_are_not_searched(project: ToolBench, tmp_path: Path) -> None:
    project.git("add", "-A")
    (project.root / "src").rename(tmp_path / "outside")
    (project.root / "src").symlink_to("../outside")
    for around in (0, 1):
        shown = await project.text("grep", pattern="needle", glob="*.py", context=around)
        assert shown == ".hidden/x.py:1: needle"


async def test_repositories_within_are_searched(project: ToolBench) -> None:
    project.put("clone/a.py", "needle\n")
    project.put("clone/skipped.py", "needle\n")
    project.put("clone/.gitignore", "skipped.py\n")
    project.git("init", "-q", "clone")
    assert await project.text("grep", pattern="^needle$", glob="*.py") == ".hidden/x.py:1: needle\nclone/a.py:1: needle"


async def test_the_loop_goes_on_while_very_many_matches_are_read(box: ToolBench) -> None:
    for number in range(400):
        box.put(f"f{number:03}", "x\n" * 1500)
    assert min([await longest_stop(box.text("grep", pattern="x", limit=10_000)) for _ in range(3)]) < 0.08


async def longest_stop(call: Coroutine[object, object, str]) -> float:
    """Seconds for which the loop did nothing else, at most, during a call."""
    calling = asyncio.create_task(call)
    longest, before = 0.0, time.monotonic()
    while not calling.done():
        await asyncio.sleep(0)
        longest, before = max(longest, time.monotonic() - before), time.monotonic()
    await calling
    return longest


def put_program(directory: Path, name: str, script: str) -> str:
    """Make a program of our own; returns its directory."""
    program = directory / "bin" / name
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program.parent)


async def test_without_any_program_to_search_with_that_is_said(tmp_path: Path) -> None:
    box = ToolBench(tmp_path)
    box.put("a", "x\n")
    box.environment["PATH"] = str(tmp_path)
    assert "neither ripgrep nor git is installed" in await box.refusal("grep", pattern="x")
    assert await box.text("find", pattern="*") == "a"


async def test_a_program_that_is_killed_is_not_taken_for_no_match(tmp_path: Path) -> None:
    box = ToolBench(tmp_path)
    box.put("a", "x\n")
    box.environment["PATH"] = put_program(tmp_path, "git", "kill -9 $$")
    assert "ended by signal 9" in await box.refusal("grep", pattern="x", path="a")


@pytest.mark.parametrize("program", ["rg", "git"])
async def test_a_cancelled_search_ends_its_program(tmp_path: Path, program: str) -> None:
    box = ToolBench(tmp_path)
    box.put("a", "x\n")
    script = f"echo $$ > '{tmp_path}/pid'; exec /bin/sleep 100"
    box.environment["PATH"] = put_program(tmp_path, program, script)
    searching = asyncio.create_task(box.text("grep", pattern="x", path="a"))
    while not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip()):
        await asyncio.sleep(0.01)
    searching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await searching
    assert not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists()


async def test_gits_settings_do_not_change_the_answer(project: ToolBench) -> None:
    for name, value in {
        "grep.column": "true",
        "grep.fullName": "true",
        "grep.patternType": "fixed",
        "grep.lineNumber": "false",
        "color.ui": "always",
        "submodule.recurse": "true",
    }.items():
        project.git("config", name, value)
    assert await project.text("grep", pattern="nee.le =", path="src") == "src/a.py:1: needle = 1"
