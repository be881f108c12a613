"""Small files of git's own making, written by ourselves so that a crash or a power cut leaves the old or the new.

Formats: gitformat-loose and gitrepository-layout(5). Two git processes less for each snapshot, and one more fsync.
"""

import contextlib
import hashlib
import os
import secrets
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

_SHA1_DIGITS: Final = 40
_LOCK_TRIES: Final = 20
_LOCK_WAIT: Final = 0.005


def replace_file(path: Path, contents: bytes) -> None:
    """Give a file new contents, durably; a reader sees the old or the new.

    Raises:
        OSError: the machine refused; the old is still there.
    """
    _put(path.with_name(f".{path.name}.{secrets.token_hex(4)}"), path, contents)


def write_commit(repository: Path, body: bytes) -> str:
    """Store a commit object durably and return its id, which is of the format of the repository: see its tree.

    Args:
        repository: a repository with loose objects.
        body: the commit, as `git cat-file commit` prints it.

    Raises:
        OSError: the machine refused; nothing is there.
    """
    whole = b"commit %d\0" % len(body) + body
    tree = body.partition(b"\n")[0].removeprefix(b"tree ")
    name = _hash(len(tree))(whole).hexdigest()
    folder = repository / "objects" / name[:2]
    target = folder / name[2:]
    if not target.exists():
        folder.mkdir(exist_ok=True)
        _put(folder / f"tmp_obj_{secrets.token_hex(4)}", target, zlib.compress(whole, 1), mode=0o444)
    return name


def write_ref(repository: Path, name: str, commit: str) -> None:
    """Let a reference of Kugetsu's own be a commit, durably.

    The lock is git's: an agent's `git pack-refs` would otherwise remove what it has not seen. One that stays is of a
    git that died.

    Raises:
        OSError: the machine refused; the reference is as it was.
    """
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    for attempt in range(_LOCK_TRIES):
        with contextlib.suppress(FileExistsError):
            _put(lock, path, f"{commit}\n".encode())
            return
        time.sleep(_LOCK_WAIT)
        if attempt == _LOCK_TRIES - 2:
            lock.unlink(missing_ok=True)
    raise FileExistsError(17, "a lock is never released", str(lock))


def read_refs(repository: Path, *names: str) -> list[str]:
    """The commits that `write_ref` or git wrote down; empty where there is none."""
    found = dict.fromkeys(names, "")
    for name in names:
        with contextlib.suppress(OSError):
            found[name] = (repository / name).read_text("ascii", "replace").strip()
    if not all(found.values()):
        for line in _packed_refs(repository):
            commit, _, name = line.decode("ascii", "replace").partition(" ")
            if found.get(name) == "":
                found[name] = commit
    return list(found.values())


def _packed_refs(repository: Path) -> list[bytes]:
    try:
        return (repository / "packed-refs").read_bytes().splitlines()
    except OSError:
        return []


def flush(folder: Path) -> None:
    """Make sure that every file below a directory survives a power cut. One that goes away meanwhile does not matter.

    Raises:
        OSError: the machine refused.
    """
    for place, _, names in os.walk(folder):
        for path in (*(Path(place, name) for name in names), Path(place)):
            with contextlib.suppress(FileNotFoundError):
                _sync(path)


def _hash(digits: int) -> "Callable[[bytes], hashlib._Hash]":
    return hashlib.sha1 if digits == _SHA1_DIGITS else hashlib.sha256


def _put(temporary: Path, target: Path, contents: bytes, *, mode: int = 0o644) -> None:
    """Write a new file beside its place and move it there."""
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        try:
            written = 0
            while written < len(contents):
                written += os.write(descriptor, contents[written:])
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
