import pytest

from kugetsu.cli.views import amounts


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1.0k"),
        (12_345, "12.3k"),
        (99_960, "100k"),
        (123_456, "123k"),
        (999_499, "999k"),
        (999_500, "1.0M"),
        (20_000_000, "20.0M"),
    ],
)
def test_tokens_take_at_most_five_characters(count: int, shown: str) -> None:
    assert amounts.tokens(count) == shown
    assert len(shown) <= 5


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (None, "-"),
        (0.0, "$0.00"),
        (0.00001, "<$0.0001"),
        (0.0042, "$0.0042"),
        (0.123, "$0.12"),
        (1.2, "$1.20"),
        (350.4, "$350"),
        (1234.0, "$1,234"),
    ],
)
def test_small_sums_of_money_keep_their_digits(usd: float | None, shown: str) -> None:
    assert amounts.money(usd) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0ms"),
        (0.0049, "5ms"),
        (0.0994, "99ms"),
        (0.0996, "0.1s"),
        (0.44, "0.4s"),
        (12.34, "12.3s"),
        (59.96, "1m00s"),
        (125, "2m05s"),
        (3600, "1h00m"),
        (90_000, "25h00m"),
    ],
)
def test_durations_lose_digits_as_they_grow(seconds: float, shown: str) -> None:
    assert amounts.duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-5, "0s"), (59.9, "59s"), (60, "1m"), (7199, "1h"), (86_400 * 3.5, "3d")]
)
def test_an_age_has_one_unit(seconds: float, shown: str) -> None:
    assert amounts.age(seconds) == shown


def test_times_are_local_and_impossible_ones_are_no_error() -> None:
    assert amounts.time_of_day(1_767_225_667.9) == "00:01:07"
    assert amounts.date_and_time(1_767_225_667.9) == "2026-01-01 00:01:07"
    for at in (1e300, float("inf"), float("nan")):
        assert amounts.time_of_day(at) == "--:--:--"
        assert amounts.date_and_time(at) == "unknown"


def test_nouns_follow_their_number() -> None:
    assert [amounts.counted(count, "file") for count in (0, 1, 1200)] == ["0 files", "1 file", "1,200 files"]
