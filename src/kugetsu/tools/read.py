"""The tool that shows files."""

import asyncio
import base64
import io
import os
import shlex
import stat
from pathlib import Path
from threading import Event
from typing import Annotated, BinaryIO, Final

import msgspec
from msgspec import Meta

from kugetsu.errors import ToolError
from kugetsu.messages import Image, Text
from kugetsu.protocols import ToolContext, ToolKind, ToolOutput
from kugetsu.tools import decoding, kinds
from kugetsu.tools.decoding import SAMPLE_BYTES, UTF_8, Encoding
from kugetsu.tools.failures import explained
from kugetsu.tools.paths import locate, missing, show
from kugetsu.tools.truncation import MAX_BYTES, MAX_LINES, FirstLine, MostLines, show_size
from kugetsu.tools.windows import SCANNED_BYTES, Window, read_window

_AT_ONCE_BYTES: Final = 256 * 1024
"""Files up to this size are read without a thread: about a millisecond."""

_WIDE_BYTES: Final = 10 * 1024 * 1024
"""Largest UTF-16 or UTF-32 file, which must be held in memory to find its lines."""

_IMAGE_BYTES: Final = 3_750_000
"""Largest picture: 5 MB in base64, the least that providers take."""


class ReadArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which file, and which of its lines."""

    path: Annotated[str, Meta(description="File to read, relative to the workspace root or absolute.")]
    offset: FirstLine = None
    limit: MostLines = None


class ReadTool:
    """Shows a text file, or a picture to models that take pictures."""

    name: Final = "read"
    description: Final = (
        f"Read a file. Text is shown from its beginning or from line `offset`, up to {MAX_LINES} lines or "
        f"{MAX_BYTES // 1024}KB, whichever is reached first; a notice at the end says how to continue. "
        "Images (PNG, JPEG, GIF, WebP) are shown as pictures when the model takes them. Use it instead of cat or sed."
    )
    arguments = ReadArguments
    kind: Final[ToolKind] = "read"

    def __init__(self, *, confine: bool) -> None:
        self._confine = confine

    async def run(self, arguments: ReadArguments, context: ToolContext) -> ToolOutput:
        """Read the file, in a thread when it is large.

        Raises:
            ToolError: it is missing, outside, no file, binary, or ends before `offset`.
        """
        path = locate(arguments.path, context, confine=self._confine)
        if _size(arguments.path, path) <= _AT_ONCE_BYTES:
            return _read(path, arguments, context)
        stop = Event()
        try:
            return await asyncio.to_thread(_read, path, arguments, context, stop)
        finally:
            # A thread cannot be cancelled, and the program's end waits for it.
            stop.set()


def _size(name: str, path: Path) -> int:
    """Bytes of a regular file; anything else could block for ever when it is opened."""
    with explained("read", decoding.showable(name)):
        try:
            status = path.stat()
        except FileNotFoundError:
            raise missing(name, path) from None
    if stat.S_ISDIR(status.st_mode):
        raise ToolError(f"{decoding.showable(name)} is a directory", fix="use ls")
    if not stat.S_ISREG(status.st_mode):
        raise ToolError(f"{decoding.showable(name)} is a pipe, a socket or a device, not a regular file")
    return status.st_size


def _read(path: Path, arguments: ReadArguments, context: ToolContext, stop: Event | None = None) -> ToolOutput:
    name = show(path, context)
    with explained("read", name), os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        head = file.read(SAMPLE_BYTES) or b""
        size = file.seek(0, os.SEEK_END)
        media_type = kinds.image_type(head)
        if media_type:
            return _picture(file, name, media_type, size, images=context.images)
        encoding = decoding.detect(head, whole=size <= len(head))
        if encoding is None:
            raise ToolError(
                f"{name} is {kinds.binary_kind(head)} of {show_size(size)} and cannot be shown as text",
                fix="look into it with bash, for example file, xxd or a program made for it",
            )
        return _text(file, name, encoding, size, arguments, stop)


def _picture(file: BinaryIO, name: str, media_type: str, size: int, *, images: bool) -> ToolOutput:
    what = f"{name} is a picture ({media_type}, {show_size(size)})"
    if not images:
        return ToolOutput.of(f"{what}. This model takes no pictures, so it is not shown.")
    if size > _IMAGE_BYTES:
        return ToolOutput.of(f"{what}, above the {show_size(_IMAGE_BYTES)} that can be shown. Scale it down with bash.")
    file.seek(0)
    data = base64.b64encode(file.read(_IMAGE_BYTES)).decode()
    return ToolOutput((Text(f"{what}:"), Image(data, media_type)))


def _text(
    file: BinaryIO, name: str, encoding: Encoding, size: int, arguments: ReadArguments, stop: Event | None
) -> ToolOutput:
    notes = []
    if encoding.wide:
        file, encoding = _as_utf_8(file, name, encoding, size), UTF_8
    first = max(1, arguments.offset or 1)
    window = read_window(file, encoding, first, min(arguments.limit or MAX_LINES, MAX_LINES), stop)
    if isinstance(window, int):
        raise ToolError(f"Offset {first} is beyond the end of {name} ({window} lines)")
    if encoding.guessed:
        notes.append(f"[{name} is not valid UTF-8; shown as {encoding.name}.]")
    elif "\ufffd" in window.text.content:
        notes.append("[Bytes that are not valid UTF-8 are shown as \ufffd.]")
    if not window.text.total_bytes:
        notes.append(f"[{name} is empty.]")
    notes += _continuation(window, name, arguments)
    return ToolOutput.of("\n\n".join([window.text.content, *notes] if window.text.content else notes))


def _as_utf_8(file: BinaryIO, name: str, encoding: Encoding, size: int) -> BinaryIO:
    if size > _WIDE_BYTES:
        raise ToolError(
            f"{name} is written in {encoding.name} and with {show_size(size)} too large to be decoded",
            fix=f"convert it with bash: iconv -f {encoding.name} -t utf-8",
        )
    file.seek(len(encoding.mark))
    return io.BytesIO(decoding.decode(file.read(_WIDE_BYTES), encoding).encode())


def _continuation(window: Window, name: str, arguments: ReadArguments) -> list[str]:
    """How to see the rest."""
    if window.text.first_too_long:
        over = "over " if window.first_size >= SCANNED_BYTES else ""
        size, most = over + show_size(window.first_size), show_size(MAX_BYTES)
        command = f"sed -n '{window.first}p' {shlex.quote(name)} | head -c {MAX_BYTES}"
        return [f"[Line {window.first} is {size}, exceeds {most} limit. Use bash: {command}]"]
    if not window.more:
        return []
    following = f"Use offset={window.last + 1} to continue."
    if window.text.lines == arguments.limit and window.total is not None:
        return [f"[{window.total - window.last} more lines in file. {following}]"]
    of = "" if window.total is None else f" of {window.total}"
    limit = f" ({show_size(MAX_BYTES)} limit)" if window.text.cut == "bytes" else ""
    return [f"[Showing lines {window.first}-{window.last}{of}{limit}. {following}]"]
