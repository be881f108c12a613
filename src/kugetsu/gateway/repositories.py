"""Which repository a caller means: he may stand in the same directory as we do, or on another machine."""

from pathlib import Path

from kugetsu.errors import UsageError
from kugetsu.workspace.address import RemoteUrl, parse_address


def named_here(repo: str, default: str) -> str:
    """A repository as a caller named it who stands where we do: relative paths begin in our directory.

    Args:
        repo: a path or a URL; empty for the default.
        default: may be empty too.

    Raises:
        UsageError: it is neither path nor URL.
    """
    if not repo:
        return default
    address = parse_address(repo)
    return repo if isinstance(address, RemoteUrl) else str(address)


def named_elsewhere(repo: str) -> str:
    """A repository as a caller named it who may be anywhere.

    Raises:
        UsageError: it is neither path nor URL, or means something only where the caller is.
    """
    if repo and not isinstance(parse_address(repo), RemoteUrl) and not repo.startswith(("/", "~")):
        raise UsageError(
            f"{repo[:200]!a} is a relative path", fix="give the whole path on the server's machine, or a URL"
        )
    return repo


def repository_around(directory: Path) -> str:
    """The checkout that a directory is in; empty for none."""
    found = (place for place in (directory, *directory.parents) if (place / ".git").exists())
    return str(next(found, ""))
