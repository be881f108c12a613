"""Where views write: a terminal, a pipe or a file, straight to its descriptor."""

import contextlib
import os
import select
from io import TextIOBase
from typing import Final, TextIO, cast

from kugetsu.messages import well_formed

_USUAL_SIZE: Final = (80, 24)


def encodable(text: str, stream: TextIO) -> str:
    """The text with `?` for what the stream's encoding cannot write."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return well_formed(text).encode(encoding, "replace").decode(encoding)


def terminal_size(stream: TextIO) -> tuple[int, int]:
    """Columns and lines of the terminal behind a stream; 80 and 24 when it does not say."""
    try:
        size = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return _USUAL_SIZE
    return (size.columns or _USUAL_SIZE[0], size.lines or _USUAL_SIZE[1])


class Outlet(TextIOBase):
    """A text file that writes each text whole and at once, past the buffers and locks of the stream it stands for.

    A thread may hang in it, when a terminal is stopped, and the process can still end: it holds no lock of Python's.
    The first error ends it: see `check`. To raise it at once would let rich end the process.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._descriptor = _descriptor(stream)
        self._error: OSError | ValueError | None = None

    def check(self) -> None:
        """Say whether everything was written.

        Raises:
            OSError: the first thing that the system refused; nothing was written since.
            ValueError: the stream is closed.
        """
        if self._error:
            raise self._error

    @property
    def encoding(self) -> str:  # type: ignore[override]  # a property here, a variable there
        """The stream's encoding."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return self._stream.isatty()

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The descriptor that is written to."""
        if self._descriptor is None:
            raise OSError("this stream has no descriptor")
        return self._descriptor

    def write(self, text: str) -> int:
        """Write a text whole, unless an earlier one could not be written."""
        try:
            if self._error is None:
                self._write(text)
        except (OSError, ValueError) as error:
            self._error = error
        return len(text)

    def _write(self, text: str) -> None:
        if self._descriptor is None:
            self._stream.write(encodable(text, self._stream))
            self._stream.flush()
        else:
            _write_all(self._descriptor, well_formed(text).encode(self.encoding, "replace"))

    def close(self) -> None:
        """Release the descriptor; the stream stays open. May be called twice."""
        if self._descriptor is not None and not self.closed:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
        super().close()

    def as_text_io(self) -> TextIO:
        """The same object, for those who ask for the type of `sys.stderr`."""
        return cast("TextIO", self)


def _descriptor(stream: TextIO) -> int | None:
    """A descriptor of our own for what the stream writes to; None for streams in memory."""
    try:
        stream.flush()
        return os.dup(stream.fileno())
    except (OSError, ValueError):
        return None


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            ready = select.poll()
            ready.register(descriptor, select.POLLOUT)
            ready.poll()
