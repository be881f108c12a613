from hypothesis import given, settings
from hypothesis import strategies as st

from kugetsu.tools.truncation import annotate, byte_length, show_size, split_lines, truncate_head, truncate_tail

texts = st.text(alphabet="ab\n\u00e9\U0001f600", max_size=60)
limits = st.integers(min_value=1, max_value=20)


@settings(deadline=None)
@given(texts, limits, limits)
def test_a_text_within_both_limits_is_left_alone_and_any_other_is_marked(text: str, lines: int, size: int) -> None:
    fits = len(split_lines(text)) <= lines and byte_length(text) <= size
    for result in (truncate_head(text, lines, size), truncate_tail(text, lines, size)):
        assert (result.cut is None) is fits
        assert (result.content == text) is fits or not fits


@settings(deadline=None)
@given(texts, limits, limits)
def test_what_is_left_keeps_both_limits_and_is_counted_rightly(text: str, lines: int, size: int) -> None:
    for result in (truncate_head(text, lines, size), truncate_tail(text, lines, size)):
        assert byte_length(result.content) == result.size <= size
        assert result.lines <= lines
        assert result.total_lines == len(split_lines(text))


@settings(deadline=None)
@given(texts, limits, limits)
def test_the_head_is_made_of_the_first_whole_lines(text: str, lines: int, size: int) -> None:
    result = truncate_head(text, lines, size)
    if result.cut:
        assert result.content == "\n".join(split_lines(text)[: result.lines])
        assert result.first_too_long is (byte_length(split_lines(text)[0]) > size)


@settings(deadline=None)
@given(texts, limits, limits)
def test_the_tail_is_made_of_the_last_whole_lines_or_the_end_of_the_last_one(text: str, lines: int, size: int) -> None:
    result = truncate_tail(text, lines, size)
    if result.partial_line:
        assert split_lines(text)[-1].endswith(result.content)
        assert byte_length(split_lines(text)[-1]) > size
    elif result.cut:
        assert result.content == "\n".join(split_lines(text)[-result.lines :])


def test_a_lone_surrogate_is_measured_like_any_character() -> None:
    assert byte_length("\ud800") == 3
    assert truncate_tail("\ud800\ud800", 5, 3).size <= 3


def test_sizes_are_shown_in_the_unit_that_fits() -> None:
    assert [show_size(size) for size in (0, 1023, 1024, 51200, 1024**2 * 3, 1024**3 * 2)] == [
        "0B",
        "1023B",
        "1.0KB",
        "50.0KB",
        "3.0MB",
        "2.0GB",
    ]


def test_notices_stand_in_one_pair_of_brackets_below_the_result() -> None:
    assert annotate("text", []) == "text"
    assert annotate("text", ["one", "two"]) == "text\n\n[one. two]"
    assert annotate("", ["one"]) == "[one]"
