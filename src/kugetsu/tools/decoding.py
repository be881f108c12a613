"""Text out of bytes and back: which encoding a file has, and whether it is text at all."""

import codecs
from typing import Final

import msgspec

from kugetsu.errors import ToolError

SAMPLE_BYTES: Final = 64 * 1024
"""How much of a file's beginning decides whether it is text."""

_BINARY_SAMPLE: Final = 8000
"""A zero byte this early makes a file binary: git's rule."""

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""Byte-order marks; the longer one of two that begin alike stands first."""

_CONTROLS: Final = bytes(code for code in range(32) if chr(code) not in "\t\n\v\f\r\b\x1b")
"""Control characters that do not occur in text."""


class Encoding(msgspec.Struct, frozen=True):
    """How a text file is written.

    Attributes:
        name: the codec.
        mark: the byte-order mark it begins with, empty when it has none.
    """

    name: str
    mark: bytes = b""

    @property
    def wide(self) -> bool:
        """Whether characters are units of two or four bytes, so that bytes alone do not show its lines."""
        return self.name.startswith(("utf-16", "utf-32"))

    @property
    def guessed(self) -> bool:
        """Whether nothing but the absence of a better one speaks for it."""
        return not self.name.startswith("utf-")


UTF_8: Final = Encoding("utf-8")


def looks_binary(head: bytes) -> bool:
    """Whether the beginning of a file holds a zero byte."""
    return b"\0" in head[:_BINARY_SAMPLE]


def detect(head: bytes, *, whole: bool) -> Encoding | None:
    """Tell a text's encoding from its beginning.

    A byte-order mark decides; else UTF-8 where the bytes are valid UTF-8; else the Western code page, or Latin-1 where
    that has gaps, unless control characters speak against text.

    Args:
        head: the beginning of the file.
        whole: whether that is all of it; else it may end in the middle of a character.

    Returns:
        None for a binary file.
    """
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Encoding(name, mark)
    if looks_binary(head):
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        return _single_byte(head)
    return UTF_8


def decode(data: bytes, encoding: Encoding) -> str:
    """Decode bytes that follow the byte-order mark; what is broken becomes U+FFFD."""
    return data.decode(encoding.name, "replace")


def decode_exactly(data: bytes, name: str) -> tuple[str, Encoding]:
    """Decode a whole file so that `encode` gives back the same bytes.

    Args:
        data: the file.
        name: the file as messages name it.

    Raises:
        ToolError: it is binary, or broken in its own encoding.
    """
    encoding = detect(data, whole=True)
    if encoding is None:
        raise ToolError(f"{name} is a binary file", fix="change it with bash")
    try:
        return data[len(encoding.mark) :].decode(encoding.name), encoding
    except UnicodeDecodeError as error:
        raise ToolError(
            f"{name} is not valid {encoding.name} at byte {error.start}", fix="repair it with bash"
        ) from None


def encode(text: str, encoding: Encoding, name: str) -> bytes:
    """Encode a whole file, byte-order mark included.

    Args:
        text: the file without a byte-order mark.
        encoding: how it is written.
        name: the file as messages name it.

    Raises:
        ToolError: the encoding has no such character.
    """
    try:
        return encoding.mark + text.encode(encoding.name)
    except UnicodeEncodeError as error:
        odd = text[error.start]
        raise ToolError(
            f"{name} is written in {encoding.name}, which cannot hold U+{ord(odd):04X}",
            fix="leave that character out, or convert the file to UTF-8 first: iconv in bash",
        ) from None


def showable(text: str) -> str:
    """A text in which every character can be sent to a model: no lone surrogates, as odd file names give."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _single_byte(head: bytes) -> Encoding | None:
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if controls:
        return None
    try:
        head.decode("cp1252")
    except UnicodeDecodeError:
        return Encoding("latin-1")
    return Encoding("cp1252")
