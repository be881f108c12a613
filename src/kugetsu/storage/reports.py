"""The report of a task: one file of JSON, replaced as a whole."""

import contextlib
import os
from pathlib import Path
from typing import Final

import msgspec

from kugetsu.errors import RecordError
from kugetsu.messages import encode_json
from kugetsu.storage.failures import cannot
from kugetsu.tasks import TaskReport

REPORT_NAME: Final = "report.json"

_FINAL: Final = frozenset({"completed", "failed", "cancelled"})
_decoder: Final = msgspec.json.Decoder(TaskReport)


def write_report(directory: Path, report: TaskReport) -> None:
    """Replace the report of a task; a reader sees the old one or the new one, whole.

    A final report is forced to the disk. The others are not: that would hold up every shadow for the time of a disk.

    Raises:
        RecordError: it could not be written; the old one is still there.
    """
    path = directory / REPORT_NAME
    new = directory / f"{REPORT_NAME}.new"
    final = report.state in _FINAL
    try:
        _write(new, encode_json(report), sync=final)
        new.replace(path)
        if final:
            _sync_directory(directory)
    except OSError as error:
        with contextlib.suppress(OSError):
            new.unlink()
        raise cannot("write", path, error) from error


def read_report(directory: Path) -> TaskReport:
    """Read the report of a task.

    Raises:
        RecordError: it is missing, damaged, or the report of another task.
    """
    path = directory / REPORT_NAME
    try:
        report = _decoder.decode(path.read_bytes())
    except OSError as error:
        raise cannot("read", path, error) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"{path} is damaged: {error}") from error
    if report.id != directory.name:
        raise RecordError(f"{path} is the report of another task: {report.id!r}")
    return report


def _write(path: Path, data: bytes, *, sync: bool) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor, for its mode
        file.write(data)
        if sync:
            file.flush()
            os.fsync(descriptor)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
