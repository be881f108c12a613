import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kugetsu.tools.terminal import plain, without_controls


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b(Bplain\x1b=", "plain"),
        ("10%\r50%\r100%\ndone\n", "100%\ndone\n"),
        ("100%\r\n", "100%\n"),
        ("50%\r100%\r", "100%"),
        ("N\bNA\bA", "NA"),
        ("tab\tbell\x07nul\0", "tab\tbellnul"),
        ("cut \x1b", "cut "),
        ("cut \x1b[3", "cut 3"),
        ("h\u00e9\u2014\U0001f600", "h\u00e9\u2014\U0001f600"),
    ],
)
def test_what_a_terminal_would_not_show_is_dropped(printed: str, shown: str) -> None:
    assert plain(printed) == shown


@settings(deadline=None)
@given(st.text(alphabet="ab\x1b[]0m;\x07\r\n\b\t\\", max_size=80))
def test_no_control_character_but_tab_and_line_feed_is_left(text: str) -> None:
    assert not any(character < " " and character not in "\t\n" for character in plain(text))


@settings(deadline=None)
@given(st.text(max_size=40))
def test_dropping_controls_keeps_everything_else(text: str) -> None:
    kept = [c for c in text if c in "\t\n" or not (ord(c) < 32 or 127 <= ord(c) < 160)]
    assert without_controls(text) == "".join(kept)
