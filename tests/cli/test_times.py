import time
from collections.abc import Iterator

import click
import pytest

from kugetsu.cli.times import moment, span


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "CET-1")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("90s", 90), ("15m", 900), ("1h30m", 5400), ("2d", 172_800), ("0", 0)],
)
def test_a_length_of_time_is_written_with_units_or_in_seconds(text: str, seconds: float) -> None:
    assert span(text) == seconds


@pytest.mark.parametrize("text", ["", "-5", "soon", "5 m", "1w", "1e3", "nan", "inf", "9" * 400, "\u0665", "5m\n"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no length of time"):
        span(text)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-01-01T01:00", 1_767_225_600),
        ("2026-01-01 01:00:30", 1_767_225_630),
        ("2026-01-01T00:00Z", 1_767_225_600),
        ("2026-01-01T02:00+02:00", 1_767_225_600),
        ("2026-01-01", 1_767_222_000),
    ],
)
def test_a_time_is_local_unless_it_names_a_zone(text: str, at: float) -> None:
    assert moment(text) == at


def test_a_time_may_be_so_long_from_now() -> None:
    assert 899 < moment("15m") - time.time() < 901


@pytest.mark.parametrize("text", ["", "tomorrow", "2026-13-01", "-1h", "0001-01-01", "12:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no time"):
        moment(text)
