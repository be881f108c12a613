"""From what git printed to an error that names the cause and the next step."""

import errno
import re
from typing import Final

import msgspec

from kugetsu.errors import KugetsuError, RepositoryError, WorkspaceError
from kugetsu.tasks import redacted
from kugetsu.workspace.wording import printable


class _Cause(msgspec.Struct, frozen=True):
    """A cause, and how it is told from others.

    Attributes:
        pattern: found in a line that git printed (its messages are in English, see `git.py`).
        error: whom it concerns: RepositoryError the user, WorkspaceError the machine.
        message: may use `{place}`, `{directory}`, `{line}` and `{found}`, the first group of the pattern.
        fix: the same.
    """

    pattern: str
    error: type[KugetsuError]
    message: str
    fix: str = ""


# Code -25 is SIGXFSZ: a file grew beyond the limit of this user.
_DISK_FULL: Final = _Cause(
    r"No space left on device|[Qq]uota exceeded|File too large|Out of diskspace|ended with code -25",
    WorkspaceError,
    "the disk is full: {line}",
    "free some space, then try again",
)

_MACHINE: Final = (
    _DISK_FULL,
    _Cause(
        r"Permission denied|insufficient permission|Read-only file system|Operation not permitted",
        WorkspaceError,
        "no permission in {directory}: {line}",
        "give this user the right to read and write there",
    ),
    _Cause(  # git does not always say why
        r"(unable|[Ff]ailed|could not|cannot) (to )?(write|create (directory|file|leading|temporary))|write error",
        WorkspaceError,
        "cannot write in {directory}: {line}",
        "free some space on the disk, or give this user the right to write there",
    ),
    _Cause(
        r"Too many open files|Cannot allocate memory|Out of memory|out of memory|Resource temporarily unavailable",
        WorkspaceError,
        "the machine is out of resources: {line}",
        "run fewer tasks at once, or raise the limit",
    ),
)

_OWNERSHIP: Final = _Cause(
    r"dubious ownership in repository at '(.*)'",
    RepositoryError,
    "{place} belongs to another user, so git refuses to use it",
    "if you trust it: git config --global --add safe.directory {found}",
)

_REPOSITORY: Final = (
    _OWNERSHIP,
    _Cause(
        r"not a git repository",
        RepositoryError,
        "{place} is not a git repository",
        "name a repository, or make one with `git init` and a first commit",
    ),
    _Cause(
        r"bad (numeric )?config|unknown error occurr?ed while reading the configuration|unknown repository extension"
        r"|Expected git repo version",
        RepositoryError,
        "git cannot use the configuration of {place}: {line}",
        "correct it, then try again",
    ),
    _Cause(
        r"(loose object|packed object|object file|packfile|pack) .*(corrupt|empty)|unable to read (tree|sha1|object)"
        r"|missing (blob|tree|commit|object)|bad (object|tree|signature)|could not read [0-9a-f]{40}|inflate"
        r"|index file (corrupt|smaller)|[Nn]ot a valid object|unable to parse (object|commit)|invalid object"
        r"|unable to find [0-9a-f]{40}|Could not read [0-9a-f]{40}",
        RepositoryError,
        "the repository {place} is damaged: {line}",
        "see `git fsck` there",
    ),
)

_REMOTE: Final = (
    _Cause(
        r"Authentication failed|could not read (Username|Password)|terminal prompts disabled|Permission denied \("
        r"|Invalid username or|returned error: 40[13]|HTTP Basic: Access denied|Host key verification failed"
        r"|Permission to .* denied",
        RepositoryError,
        "{place} refused the sign-in: {line}",
        "set up a credential helper, a token or an ssh key that git can use without asking",
    ),
    _Cause(
        r"[Rr]epository .*not found|does not appear to be a git repository|returned error: 404|not found: did you run"
        r"|access denied or repository not exported|not a git repository|[Rr]epository .*does not exist",
        RepositoryError,
        "there is no repository at {place}, or it is not yours to see: {line}",
        "check the URL",
    ),
    _Cause(
        r"certificate|SSL|TLS",
        RepositoryError,
        "no secure connection to {place}: {line}",
        "install the authority that signed its certificate (SSL_CERT_FILE, or git's http.sslCAInfo)",
    ),
    _OWNERSHIP,
    _Cause(
        r"transport '.*' not allowed|is not a git command|strange (host|path)name|Unable to find remote helper"
        r"|protocol '.*' is not supported",
        RepositoryError,
        "git cannot fetch from {place}: {line}",
        "use an https, http, ssh, git or file URL",
    ),
)

_UNREACHABLE: Final = _Cause(
    r"Could not resolve|Connection (refused|timed out|reset|closed)|unable to (access|connect)|No route to host"
    r"|Could not read from remote|early EOF|hung up|returned error: 5|Operation too slow|Network is unreachable"
    r"|unexpected disconnect",
    RepositoryError,
    "{place} cannot be reached: {line}",
    "check the URL and the network, then try again",
)


class GitFailedError(WorkspaceError):
    """git ended with an error that has no better name.

    Attributes:
        printed: what it wrote to its error output, without secrets.
    """

    def __init__(self, message: str, *, printed: str = "", fix: str = "") -> None:
        super().__init__(message, fix=fix)
        self.printed = printed


def explain(printed: bytes, command: str, place: str, *, directory: str = "", remote: bool = False) -> KugetsuError:
    """Find the cause of a failed git command.

    Args:
        printed: what it wrote to its error output.
        command: its name, for the message of last resort.
        place: the path or URL it was about, as it may be shown.
        directory: where it ran, when that is somewhere else.
        remote: whether it talked to another machine.
    """
    lines = [printable(redacted(line)) for line in printed.decode(errors="replace").splitlines() if line.strip()]
    causes = (*_REMOTE, *_MACHINE, _UNREACHABLE) if remote else (*_MACHINE, *_REPOSITORY)
    for cause in causes:
        for line in lines:
            if found := re.search(cause.pattern, line):
                words = {"place": place, "directory": directory or place, "line": _plain(line)}
                return _error(cause, words, found)
    said = _plain(_most_telling(lines))
    return GitFailedError(f"`git {command}` failed in {place}: {said}", printed="\n".join(lines))


def _error(cause: _Cause, words: dict[str, str], found: re.Match[str]) -> KugetsuError:
    words |= {"found": found[found.lastindex or 0]}
    return cause.error(cause.message.format(**words), fix=cause.fix.format(**words))


def _most_telling(lines: list[str]) -> str:
    named = [line for line in lines if line.startswith(("fatal:", "error:"))]
    return (named or lines or ["it gave no reason"])[0]


def _plain(line: str) -> str:
    return re.sub(r"^(fatal|error|remote|warning): ", "", line.strip())


def refused_by_machine(error: OSError, doing: str) -> WorkspaceError:
    """Say what the operating system refused, and what to do about it."""
    fixes = {
        errno.ENOSPC: _DISK_FULL.fix,
        errno.EDQUOT: _DISK_FULL.fix,
        errno.EACCES: "give this user the right to write there",
        errno.EPERM: "give this user the right to write there",
        errno.EROFS: "choose a KUGETSU_HOME that can be written",
    }
    where = f" ({printable(error.filename)})" if error.filename else ""
    return WorkspaceError(f"cannot {doing}{where}: {error.strerror}", fix=fixes.get(error.errno or 0, ""))
