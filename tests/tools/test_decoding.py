import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kugetsu.errors import ToolError
from kugetsu.tools.decoding import Encoding, decode_exactly, detect, encode, showable

MARKED = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_file_that_is_text_gives_back_its_own_bytes(data: bytes) -> None:
    try:
        text, encoding = decode_exactly(data, "f")
    except ToolError:
        return
    assert encode(text, encoding, "f") == data


@pytest.mark.parametrize("codec", MARKED)
def test_a_byte_order_mark_decides(codec: str) -> None:
    text, encoding = decode_exactly("\ufeffh\u00e9\n".encode(codec), "f")
    assert (text, encoding.name, encoding.wide) == ("h\u00e9\n", codec, True)


def test_a_mark_of_utf_8_is_no_part_of_the_text() -> None:
    text, encoding = decode_exactly(b"\xef\xbb\xbfabc", "f")
    assert (text, encode(text, encoding, "f")) == ("abc", b"\xef\xbb\xbfabc")


def test_western_text_is_told_from_binary() -> None:
    assert detect(b"caf\xe9 \x80", whole=True) == Encoding("cp1252")
    assert detect(b"caf\xe9 \x81", whole=True) == Encoding("latin-1")
    assert detect(b"caf\xe9 \x01\x02", whole=True) is None
    assert detect(b"caf\0", whole=True) is None


def test_a_character_cut_at_the_end_of_a_sample_is_still_utf_8() -> None:
    assert detect("caf\u00e9".encode()[:-1], whole=False) == Encoding("utf-8")
    assert detect("caf\u00e9".encode()[:-1], whole=True) == Encoding("cp1252")


def test_a_character_that_the_encoding_lacks_is_refused_by_its_number() -> None:
    with pytest.raises(ToolError, match=r"written in cp1252, which cannot hold U\+2192"):
        encode("\u2192", Encoding("cp1252"), "f")


def test_broken_text_is_refused_with_its_place() -> None:
    with pytest.raises(ToolError, match="not valid utf-16-le at byte 0"):
        decode_exactly(b"\xff\xfe\x00", "f")


def test_what_cannot_be_sent_is_replaced() -> None:
    assert showable("a\udcffb\u00e9") == "a?b\u00e9"
