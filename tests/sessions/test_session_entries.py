import msgspec
import pytest
from hypothesis import given

from kugetsu.messages import user
from kugetsu.sessions import Entry, Forked, Heard, decode_entry, encode_entry
from sessions.session_lab import Writer, writers


@given(writers())
def test_every_entry_survives_its_json(writer: Writer) -> None:
    assert [decode_entry(encode_entry(entry)) for entry in writer.entries] == writer.entries


def test_a_fork_survives_its_json() -> None:
    assert decode_entry(encode_entry(Forked("other"))) == Forked("other")


def test_strange_text_in_an_entry_is_mended_not_refused() -> None:
    entry: Entry = Heard(user("a lone \ud800 surrogate"))
    assert decode_entry(encode_entry(entry)) == Heard(user("a lone � surrogate"))


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b'{"type": "unheard"}', b'{"type": "replied"}', b"[]", b"\xff"])
def test_what_is_no_entry_is_refused(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_entry(data)
