from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.models.sse import EventParser, EventTooLargeError, ServerEvent


def parsed(*chunks: bytes) -> list[ServerEvent]:
    parser = EventParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.flush()


def cut(data: bytes, borders: list[int]) -> list[bytes]:
    places = [0, *sorted(min(border, len(data)) for border in borders), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


LINE = st.sampled_from(
    [
        b"data: a",
        b"data:b",
        b"data",
        b"data:  c",
        b"event: e",
        b"event:f",
        b": comment",
        b"id: 7",
        b"odd",
        b"",
        b"",
        b"",
    ]
)
STREAM = st.lists(st.tuples(LINE, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=30).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


def by_the_book(data: bytes) -> list[ServerEvent]:
    """The standard's algorithm, line by line; at the end of the stream the last event counts too."""
    events, name, lines = list[ServerEvent](), b"", list[bytes]()
    for line in [*data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), b""]:
        if not line:
            if lines:
                events.append((name, b"\n".join(lines)))
            name, lines = b"", []
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            lines.append(value)
        if field == b"event":
            name = value
    return events


@given(STREAM, st.lists(st.integers(0, 200), max_size=12))
def test_any_cut_of_a_stream_gives_the_events_of_the_standard(data: bytes, borders: list[int]) -> None:
    assert parsed(*cut(data, borders)) == by_the_book(data)


@given(STREAM)
def test_byte_by_byte_gives_the_same_events(data: bytes) -> None:
    assert parsed(*(bytes([byte]) for byte in data)) == by_the_book(data)


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_no_bytes_break_the_parser(chunks: list[bytes]) -> None:
    assert parsed(*chunks) == parsed(b"".join(chunks))


def test_an_event_comes_as_soon_as_its_blank_line_does() -> None:
    parser = EventParser()
    assert parser.feed(b"data: one\n") == []
    assert parser.feed(b"\ndata: t") == [(b"", b"one")]
    assert parser.feed(b"wo\r") == []
    assert parser.feed(b"\n\r") == [(b"", b"two")]


def test_a_byte_order_mark_is_skipped_once_at_the_beginning() -> None:
    assert parsed(b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\ndata: c\n\n") == [(b"", b"a"), (b"", b"c")]
    assert parsed(b"\xef", b"\xbb\xbfdata: a\n\n") == [(b"", b"a")]


def test_an_event_without_its_blank_line_is_given_at_the_end() -> None:
    assert parsed(b"event: x\ndata: [DONE]") == [(b"x", b"[DONE]")]


@pytest.mark.parametrize(
    "chunks", [[b"data: " + b"x" * 100], [b"data: x\n\ndata: ", b"x" * 100], [b"x" * 60, b"x" * 60]]
)
def test_an_event_that_outgrows_the_limit_is_refused(chunks: list[bytes]) -> None:
    parser = EventParser(limit=80)
    for chunk in chunks[:-1]:
        parser.feed(chunk)
    with pytest.raises(EventTooLargeError, match="larger than 80 bytes"):
        parser.feed(chunks[-1])


def test_a_large_event_in_small_pieces_takes_no_square_time() -> None:
    parser = EventParser()
    for _ in range(50_000):
        assert parser.feed(b"x" * 100) == []
    assert parser.feed(b"\n\n") == []
