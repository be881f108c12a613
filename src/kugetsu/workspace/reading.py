"""References and commits, read as files: what is plain to see costs no process. Where it is not, git is asked.

Formats: gitrepository-layout(5), gitformat-loose, and the packed-refs of git-pack-refs(1).
"""

import hashlib
import os
import re
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

_ID: Final = re.compile(rb"([0-9a-f]{64}|[0-9a-f]{40})\n?")
_HEAD: Final = re.compile(rb"ref: (refs/heads/[^\n]+)\n?")
_COMMIT: Final = re.compile(rb"commit \d+\0tree ([0-9a-f]{40,64})\n")
_PACKED_TAG: Final = re.compile(rb"^([0-9a-f]{64}|[0-9a-f]{40}) (refs/tags/[^\n]+)$", re.MULTILINE)
_PLAIN_NAME: Final = re.compile(rb"refs/tags(?:/[A-Za-z0-9_][A-Za-z0-9_+-]*(?:\.[A-Za-z0-9_+-]+)*)+(?<!\.lock)")
_LONGEST_REF: Final = 4096
_LARGEST_PACKED: Final = 1 << 20
_LARGEST_COMMIT: Final = 1 << 20
_SHA1_DIGITS: Final = 40


def head_in(admin: Path) -> tuple[bytes, str]:
    """What HEAD says: the full name of a branch, or a commit; nothing of it when it says neither.

    Raises:
        OSError: it cannot be read.
    """
    contents = beginning(admin / "HEAD") or b""
    if branch := _HEAD.fullmatch(contents):
        return branch[1], ""
    commit = _ID.fullmatch(contents)
    return b"", commit[1].decode() if commit else ""


def ref_in(repository: Path, name: bytes) -> str:
    """The commit that a reference names; empty when there is none, or it is not plain to see."""
    if b".." in name:
        return ""
    try:
        contents = beginning(repository / os.fsdecode(name))
    except OSError:
        return ""
    commit = _ID.fullmatch(_packed(repository, name) if contents is None else contents)
    return commit[1].decode() if commit else ""


def tree_in(repository: Path, commit: str) -> str:
    """The tree of a commit that is whole and in a file of its own; else empty."""
    try:
        with (repository / "objects" / commit[:2] / commit[2:]).open("rb") as file:
            whole = zlib.decompressobj().decompress(file.read(_LARGEST_COMMIT), _LARGEST_COMMIT)
    except (OSError, zlib.error):
        return ""
    made = hashlib.sha1 if len(commit) == _SHA1_DIGITS else hashlib.sha256
    found = _COMMIT.match(whole)
    return found[1].decode() if found and made(whole).hexdigest() == commit else ""


def beginning(path: Path, size: int = _LONGEST_REF) -> bytes | None:
    """How a file begins; None when there is none.

    Raises:
        OSError: it cannot be read.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return os.read(descriptor, size)
    except IsADirectoryError:
        return None
    finally:
        os.close(descriptor)


def _packed(repository: Path, name: bytes) -> bytes:
    with suppress(OSError), (repository / "packed-refs").open("rb") as file:
        contents = file.read(_LARGEST_PACKED + 1)
        if len(contents) <= _LARGEST_PACKED:
            found = re.search(rb"^([0-9a-f]+) %b$" % re.escape(name), contents, re.MULTILINE)
            return found[1] if found else b""
    return b""


def tags_in(common: Path) -> bytes | None:
    """The tags of a repository, each as a line of commit, space and full name; None when they are not plain to see."""
    if (common / "reftable").exists():
        return None
    packed = common / "packed-refs"
    found: dict[bytes, bytes] = {}
    try:
        if packed.exists():
            if packed.stat().st_size > _LARGEST_PACKED:
                return None
            found = {name: commit for commit, name in _PACKED_TAG.findall(packed.read_bytes())}
        for folder, _, files in os.walk(common / "refs" / "tags", onerror=_raise):
            for file in files:
                name = os.fsencode(Path(folder, file).relative_to(common))
                commit = _ID.fullmatch(beginning(common / os.fsdecode(name)) or b"")
                if commit is None or not _PLAIN_NAME.fullmatch(name):
                    return None
                found[name] = commit[1]
    except OSError:
        return None
    return b"".join(b"%b %b\n" % (found[name], name) for name in sorted(found))


def _raise(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
