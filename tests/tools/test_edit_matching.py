import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kugetsu.errors import ToolError
from kugetsu.tools.matching import Replacement, apply_edits, fold

ENDINGS = st.sampled_from(["\n", "\r\n"])
LINES = st.lists(st.text(alphabet="ab \u00a0\u201c\u2014\t", max_size=6), min_size=1, max_size=8)


def edit(content: str, *pairs: tuple[str, str]) -> str:
    return apply_edits(content, [Replacement(old, new) for old, new in pairs], "f").content


@settings(deadline=None)
@given(LINES, LINES, ENDINGS)
def test_lines_that_no_edit_touches_keep_their_bytes(before: list[str], after: list[str], ending: str) -> None:
    head = "".join(line + ending for line in before)
    tail = ending.join(after)
    assert edit(f"{head}the \u201cone\u201d line{ending}{tail}", ('"one"', "*")) == f"{head}the * line{ending}{tail}"


@settings(deadline=None)
@given(LINES, ENDINGS)
def test_replacing_the_whole_file_gives_the_new_text_in_its_line_endings(lines: list[str], ending: str) -> None:
    content = ending.join([*lines, "end", ""])
    assert edit(content, ("\n".join([*lines, "end", ""]), "x\ny\n")) == f"x{ending}y{ending}"


@settings(deadline=None)
@given(st.text(alphabet="ab\u00a0\u201c\u2014\ufb01e\u0301 \t\n", max_size=30))
def test_folding_twice_changes_nothing_and_keeps_the_number_of_lines(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert fold(text).count("\n") == text.count("\n")


def test_line_endings_are_kept_line_by_line_in_a_mixed_file() -> None:
    assert edit("a\r\nb\nc\r\nd\n", ("b\nc", "B\nC")) == "a\r\nB\nC\nd\n"
    assert edit("a\r\nb\nc\r\nd\n", ("a", "A\nAA")) == "a\r\nb\nc\r\nd\n".replace("a", "A\r\nAA")


def test_a_new_text_with_carriage_returns_does_not_bring_them_into_a_plain_file() -> None:
    assert edit("a\nb\n", ("a", "x\r\ny")) == "x\ny\nb\n"


def test_a_last_line_without_an_end_takes_the_first_lines_ending() -> None:
    assert edit("a\r\nb", ("b", "b\nc")) == "a\r\nb\r\nc"


def test_edits_of_one_line_and_edits_that_touch_are_all_made() -> None:
    assert edit("abcd\n", ("b", "2"), ("d", "4"), ("c", "3")) == "a234\n"
    assert edit("one\ntwo\nthree\n", ("one\n", "1\n"), ("two\n", "2\n")) == "1\n2\nthree\n"


def test_edits_are_matched_against_the_original_not_against_each_others_results() -> None:
    assert edit("a b\n", ("a", "b"), ("b", "a")) == "b a\n"


def test_an_exact_edit_beside_a_folded_one_still_finds_its_text() -> None:
    assert edit("x \u2014 y  \nfoo \nend\n", ("x - y", "z"), ("foo \nend", "bar")) == "z\nbar\n"


@pytest.mark.parametrize(
    ("content", "old", "new", "spans"),
    [
        ("a\nb\nc\n", "b", "B", ((2, 2),)),
        ("a\nb\nc\n", "b\n", "", ((2, 1),)),
        ("a\nb\nc", "c", "c\nd\ne", ((3, 5),)),
        ("a", "a", "", ((1, 0),)),
    ],
)
def test_the_changed_lines_are_told(content: str, old: str, new: str, spans: tuple[tuple[int, int], ...]) -> None:
    assert apply_edits(content, [Replacement(old, new)], "f").spans == spans


def test_lines_after_an_earlier_edit_are_numbered_as_they_are_now() -> None:
    edited = apply_edits("a\nb\nc\nd\n", [Replacement("a", "a\na\na"), Replacement("d", "D")], "f")
    assert edited.spans == ((1, 3), (6, 6))


def test_half_a_character_is_not_found() -> None:
    with pytest.raises(ToolError, match="Could not find"):
        edit("\U0001f600", ("\ude00", "x"))
