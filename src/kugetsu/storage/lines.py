"""Files of JSON lines: appended to by one writer, and readable after a crash at any instruction."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from kugetsu.errors import RecordError
from kugetsu.storage.failures import cannot

T = TypeVar("T")

_APPEND: Final = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
_CREATE: Final = _APPEND | os.O_CREAT | os.O_EXCL


class LineFile:
    """A new file that this object alone fills.

    It is opened for each write: hundreds of shadows would hold more descriptors than a process may have. Its end is
    always known, so that a line never goes on where another one was cut.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._size: int | None = None

    def append(self, lines: Sequence[bytes]) -> None:
        """Write lines at the end; all of them are in the file when it returns, or none.

        Raises:
            RecordError: they could not be written, or the file is not as this object left it.
        """
        try:
            descriptor = os.open(self.path, _CREATE if self._size is None else _APPEND, 0o600)
            try:
                self._append(descriptor, b"".join(line + b"\n" for line in lines))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise cannot("write", self.path, error) from error

    def _append(self, descriptor: int, data: bytes) -> None:
        size = os.fstat(descriptor).st_size
        if size != (self._size or 0):
            raise RecordError(f"{self.path} was changed by somebody else", fix="let one process write to a task")
        self._size = size
        try:
            written = 0
            while written < len(data):
                written += os.write(descriptor, memoryview(data)[written:])
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, size)
            raise
        self._size = size + len(data)


def read_lines(path: Path, decoder: msgspec.json.Decoder[T]) -> Iterator[T]:
    """Decode a file line by line; one that does not exist has no lines, and a last line that was cut is left out.

    Raises:
        RecordError: the file cannot be read, or a line that was written whole cannot be decoded.
    """
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    value = decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    raise RecordError(f"{path}, line {number} is damaged: {error}") from error
                yield value
    except FileNotFoundError:
        return
    except OSError as error:
        raise cannot("read", path, error) from error
