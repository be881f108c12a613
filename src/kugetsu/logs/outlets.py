"""Where lines go: a stream that may be a terminal, a pipe or a file, or our own file, which is begun anew when it is large."""

import contextlib
import os
import select
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, TextIO

_OWNER_ONLY: Final = 0o600


class Outlet(Protocol):
    """Takes whole lines. Used by one thread; may block it."""

    @property
    def name(self) -> str:
        """What it is, for a sentence: `the log file /home/me/kugetsu.log`."""
        ...

    def write(self, lines: Sequence[bytes]) -> tuple[int, OSError | ValueError | None]:
        """Write lines, as many as can be.

        Returns:
            How many are written whole, and what kept the others from it. Never raises an error of the system.
        """
        ...

    def close(self) -> None:
        """Let go of it. May be called twice; never raises an error of the system."""
        ...


class StreamOutlet:
    """Writes straight to the descriptor of a stream, past the buffers and locks of Python, in which a thread could hang."""

    name = "the log on stderr"

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._descriptor = _own_descriptor(stream)
        self._torn = False

    def write(self, lines: Sequence[bytes]) -> tuple[int, OSError | ValueError | None]:
        """See `Outlet`. Waits for as long as nobody reads."""
        if self._descriptor is None:
            return self._write_text(b"".join(lines).decode("utf-8", "replace"), len(lines))
        data = (b"\n" if self._torn else b"") + b"".join(lines)
        written, error = _write_all(self._descriptor, data)
        self._torn = data[written - 1 : written] != b"\n" if written else self._torn
        return _whole(lines, written - len(data) + sum(map(len, lines))), error

    def _write_text(self, text: str, count: int) -> tuple[int, OSError | ValueError | None]:
        """For streams in memory."""
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError) as error:
            return 0, error
        return count, None

    def close(self) -> None:
        """The stream itself stays open."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # what was written was said to be
                os.close(descriptor)


class FileOutlet:
    """Appends to a file that only its user can read, and begins it anew before it grows beyond a size.

    The older ones are `NAME.1` (the newest) to `NAME.N`. A file that somebody else moved or removed is made again.

    Args:
        path: of the file; its directory is made when it is needed, the one above must be there.
        most_bytes: its size.
        older: how many older ones are kept.
    """

    def __init__(self, path: Path, most_bytes: int, older: int) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._older = older
        self._descriptor: int | None = None

    @property
    def name(self) -> str:
        """What it is, for a sentence."""
        return f"the log file {self._path}"

    def write(self, lines: Sequence[bytes]) -> tuple[int, OSError | ValueError | None]:
        """See `Outlet`."""
        done = 0
        try:
            while done < len(lines):
                descriptor, size = self._open()
                batch = self._fitting(lines[done:], size)
                if not batch:
                    self._rotate()
                    continue
                data = b"".join(batch)
                written, error = _write_all(descriptor, data)
                whole = _whole(batch, written)
                done += whole
                if error:
                    _untear(descriptor, size, written, sum(map(len, batch[:whole])))
                    return done, error
        except OSError as error:
            return done, error
        return done, None

    def close(self) -> None:
        """The file stays where it is."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):  # what was written was said to be
                os.close(descriptor)

    def _open(self) -> tuple[int, int]:
        """The file that is at the path now, and its size."""
        if self._descriptor is not None:
            state = os.fstat(self._descriptor)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(state, self._path.stat()):
                    return self._descriptor, state.st_size
            self.close()
        self._path.parent.mkdir(mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        descriptor = os.open(self._path, flags, _OWNER_ONLY)
        try:
            state = os.fstat(descriptor)
            size = state.st_size
            if stat.S_ISREG(state.st_mode):
                os.fchmod(descriptor, _OWNER_ONLY)
            # A crash of the machine, or a full disk, may have cut the last line.
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                size += os.write(descriptor, b"\n")
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor
        return descriptor, size

    def _fitting(self, lines: Sequence[bytes], size: int) -> Sequence[bytes]:
        """As many as there is room for; into an empty file at least one."""
        count = 0
        while count < len(lines) and (size + len(lines[count]) <= self._most_bytes or not size):
            size += len(lines[count])
            count += 1
        return lines[:count]

    def _rotate(self) -> None:
        self.close()
        if not self._older:
            self._path.unlink(missing_ok=True)
            return
        for number in range(self._older, 0, -1):
            newer = self._numbered(number - 1) if number > 1 else self._path
            with contextlib.suppress(FileNotFoundError):
                newer.replace(self._numbered(number))

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def _own_descriptor(stream: TextIO) -> int | None:
    """A descriptor of our own for what the stream writes to; None for streams in memory."""
    try:
        stream.flush()
        return os.dup(stream.fileno())
    except (OSError, ValueError):
        return None


def _write_all(descriptor: int, data: bytes) -> tuple[int, OSError | None]:
    """Write bytes until something stops it; how many were written, and what it was."""
    written = 0
    view = memoryview(data)
    while written < len(data):
        try:
            written += os.write(descriptor, view[written:])
        except BlockingIOError:
            ready = select.poll()
            ready.register(descriptor, select.POLLOUT)
            ready.poll()
        except OSError as error:
            return written, error
    return written, None


def _untear(descriptor: int, size: int, written: int, whole: int) -> None:
    """Take back the part of a line for which there was no room, unless somebody else has written since."""
    with contextlib.suppress(OSError):  # then it stays, as a line that is cut: see `_open`
        if written > whole and os.fstat(descriptor).st_size == size + written:
            os.ftruncate(descriptor, size + whole)
            return
    if written > whole:
        with contextlib.suppress(OSError):
            os.write(descriptor, b"\n")


def _whole(lines: Sequence[bytes], written: int) -> int:
    """How many lines lie within so many bytes."""
    count = 0
    for line in lines:
        written -= len(line)
        if written < 0:
            break
        count += 1
    return count
