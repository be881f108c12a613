"""What a command prints: taken through a pipe, its end kept in memory, and the whole in a file once that is long.

A pipe and not a file for the command to write to, because commands open `/dev/stdout` and `/dev/stderr` anew (`echo x >
/dev/stderr`, `tee /dev/stderr`), and where these lead to a file that empties it.
"""

import asyncio
import contextlib
import fcntl
import os
import secrets
import struct
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MOST_OUTPUT_BYTES: Final = 100 * 1024 * 1024
"""What is taken of one command."""

WINDOW_BYTES: Final = 200 * 1024
"""How much of the end is kept in memory."""

_NEWS_BYTES: Final = 4096
"""Most that is told at once of new output; what came before is skipped."""

_READ_BYTES: Final = 256 * 1024

_BUSY_BYTES: Final = 16 * 1024
"""A read that brings less is followed by a pause, so that a command that prints line by line costs few reads."""

_PAUSE_SECONDS: Final = 0.01


class Output:
    """The output of one command. Made by `open_output`.

    Attributes:
        size: bytes printed so far.
        line_feeds: line feeds among them.
        pipe: where it is read from; for whoever goes on reading when the command is done.
        write_end: what the command gets as stdout and stderr.
    """

    def __init__(self, directory: Path, *, whole: bool) -> None:
        self._log: int | None = None
        self._path = directory / f"output-{secrets.token_hex(6)}.log"
        self._whole = whole
        self._failure = ""
        self.size = self.line_feeds = 0
        self._end = bytearray()
        self._news = bytearray()
        self._pause: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self.pipe, self.write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        os.set_blocking(self.write_end, True)
        self._listen()

    @property
    def overfull(self) -> bool:
        """Whether the command printed more than is kept of one; the rest is read and dropped, but for its end."""
        return self.size > MOST_OUTPUT_BYTES

    def handed_over(self) -> None:
        """Close our own write end, since the command has its copy."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    @property
    def end(self) -> bytes:
        """The last `WINDOW_BYTES` of what was printed, or all of it."""
        return bytes(self._end[-WINDOW_BYTES:])

    def news(self) -> bytes:
        """What was printed since the last call, or the end of it when that is much."""
        data = bytes(self._news)
        self._news.clear()
        return data

    def finish(self) -> bool:
        """Take what the command printed last; returns whether another process still holds the pipe."""
        self._stop()
        (waiting,) = struct.unpack("i", fcntl.ioctl(self.pipe, termios.FIONREAD, bytes(4)))
        while waiting > 0:
            data = os.read(self.pipe, waiting)
            self._take(data)
            waiting -= len(data)
        try:
            data = os.read(self.pipe, _READ_BYTES)
        except BlockingIOError:
            return True
        self._take(data)
        return bool(data)

    def keep(self) -> tuple[int, str]:
        """Have the whole output in a file; returns its descriptor and where it is, in words.

        Where it cannot be written the descriptor is that of `/dev/null`, and the words say why.
        """
        if self._log is None:
            self._log = self._open_log()
            self._write(self._end)
        return self._log, self._failure or str(self._path)

    def close(self, *, forget: bool) -> None:
        """Release everything; `forget` deletes the file, too."""
        self._stop()
        self.handed_over()
        os.close(self.pipe)
        if self._log is not None:
            os.close(self._log)
        if forget:
            self._path.unlink(missing_ok=True)

    def _open_log(self) -> int:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._failure = f"nowhere, since the file could not be made: {error.strerror}"
            return os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)

    def _write(self, data: bytes | bytearray) -> None:
        """Add to the file. When it cannot grow the command goes on; what is missing is told at the end."""
        written = 0
        try:
            while self._log is not None and not self._failure and written < len(data):
                written += os.write(self._log, data[written:])
        except OSError as error:
            self._failure = f"{self._path}, but not all of it: {error.strerror}"

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self.pipe, self._pump)

    def _stop(self) -> None:
        self._loop.remove_reader(self.pipe)
        if self._pause is not None:
            self._pause.cancel()
            self._pause = None

    def _pump(self) -> None:
        try:
            data = os.read(self.pipe, _READ_BYTES)
        except BlockingIOError:
            return
        self._take(data)
        if not data:
            self._stop()
        elif len(data) < _BUSY_BYTES:
            self._stop()
            self._pause = self._loop.call_later(_PAUSE_SECONDS, self._listen)

    def _take(self, data: bytes) -> None:
        self.size += len(data)
        self.line_feeds += data.count(b"\n")
        self._end += data
        self._news += data
        del self._news[:-_NEWS_BYTES]
        if self._log is not None:
            if not self.overfull:
                self._write(data)
        elif self._whole and len(self._end) > WINDOW_BYTES:
            self.keep()
        if len(self._end) > 2 * WINDOW_BYTES:
            del self._end[:-WINDOW_BYTES]


@contextmanager
def open_output(directory: Path, *, whole: bool = True) -> Iterator[Output]:
    """Take the output of a command; its file is deleted when the block is left by an error or a cancel.

    Args:
        directory: where the file is made when there is need of one.
        whole: whether there is need of one when the output gets long; else only its end is kept.

    Raises:
        OSError: there are no descriptors left.
    """
    output = Output(directory, whole=whole)
    try:
        yield output
    except BaseException:
        with contextlib.suppress(OSError):
            output.close(forget=True)
        raise
    output.close(forget=False)
