import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.cli.views.text import block, first_line, last_line, one_line

ANYTHING = st.text(st.characters(codec=None, exclude_categories=()) | st.sampled_from("\x1b[]\\;m\x07\r\n\t\x9b\u202e"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;new title\x07text", "text"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]52;c;cm0gLXJm\x07paste", "paste"),
        ("\x1bcreset", "reset"),
        ("\x1b[2J\x1b[H", ""),
        ("a\x1b", "a\ufffd"),
        ("\x9b31mred", "\ufffd31mred"),
        ("a\x00b\x08c\x7f", "a\ufffdb\ufffdc\ufffd"),
        ("safe\u202egpj.exe", "safe\ufffdgpj.exe"),
        ("zero\u200bwidth", "zero\ufffdwidth"),
        ("stray\udcff", "stray\ufffd"),
        ("10%\r20%\r\nend", "10%\n20%\nend"),
        ("a\tb", "a   b"),
        ("日本語 🎉", "日本語 🎉"),
        ("[bold]x[/bold]", "[bold]x[/bold]"),
    ],
)
def test_nothing_that_a_terminal_would_obey_is_left(text: str, shown: str) -> None:
    assert block(text) == shown


@given(text=ANYTHING)
def test_a_block_holds_only_line_ends_beside_what_can_be_seen(text: str) -> None:
    shown = block(text)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]", shown)
    shown.encode()


@given(text=ANYTHING)
def test_one_line_is_one_line(text: str) -> None:
    for line in (one_line(text), first_line(text), last_line(text)):
        assert line.splitlines() in ([], [line])
        assert line == line.strip()


def test_a_long_text_is_cut_and_says_so() -> None:
    assert one_line("x" * 201) == "x" * 199 + "…"
    assert one_line("x" * 200) == "x" * 200
    assert one_line("a " + " " * 3000) == "a…"
    assert one_line("some words here", 8) == "some wo…"


def test_first_and_last_lines_are_those_with_something_in_them() -> None:
    assert first_line("\n  \n one\ntwo") == "one"
    assert last_line("one\ntwo \n\n \n") == "two"
    assert (first_line(" \n"), last_line("")) == ("", "")
