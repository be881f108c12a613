"""The environment of commands: built from an allow-list, so that no key can be in it by accident."""

from collections.abc import Iterable, Mapping
from typing import Final

ALLOWED: Final[frozenset[str]] = frozenset(
    {
        "HOME",
        "LANG",
        "LANGUAGE",
        "LOGNAME",
        "PATH",
        "SHELL",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TERM",
        "TMPDIR",
        "TZ",
        "USER",
        "XDG_CACHE_HOME",
        "XDG_CONFIG_HOME",
        "XDG_DATA_HOME",
        "XDG_RUNTIME_DIR",
    }
)
"""Variables that commands inherit; everything that starts with `LC_` beside them."""

NON_INTERACTIVE: Final[Mapping[str, str]] = {
    "CI": "1",
    "DEBIAN_FRONTEND": "noninteractive",
    "EDITOR": "true",
    "GIT_EDITOR": "true",
    "GIT_PAGER": "cat",
    "GIT_SEQUENCE_EDITOR": "true",
    "GIT_TERMINAL_PROMPT": "0",
    "NO_COLOR": "1",
    "PAGER": "cat",
    "PIP_NO_INPUT": "1",
    "PYTHONUNBUFFERED": "1",
    "TERM": "dumb",
    "VISUAL": "true",
}
"""Variables that keep commands from waiting for a person."""


def clean_environment(
    source: Mapping[str, str], *, allow: Iterable[str] = (), extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Make the environment of commands.

    Args:
        source: where allowed variables are taken from, usually `os.environ`.
        allow: names allowed beside `ALLOWED`; the user's own decision.
        extra: variables to set whatever the source says.
    """
    names = ALLOWED.union(allow)
    inherited = {name: value for name, value in source.items() if name in names or name.startswith("LC_")}
    return inherited | dict(NON_INTERACTIVE) | dict(extra or {})
