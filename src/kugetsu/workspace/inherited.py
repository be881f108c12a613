"""What a task's private repository takes over from the configuration of the user's: who commits, and how files look."""

from collections.abc import Mapping
from typing import Final

import msgspec

from kugetsu.workspace.git import SET_ALWAYS

FALLBACK_NAME: Final = "Kugetsu"
FALLBACK_EMAIL: Final = "kugetsu@localhost"

_HOW_FILES_LOOK: Final = frozenset(
    {
        "core.attributesfile",
        "core.autocrlf",
        "core.checkroundtripencoding",
        "core.eol",
        "core.excludesfile",
        "core.filemode",
        "core.ignorecase",
        "core.precomposeunicode",
        "core.safecrlf",
        "core.symlinks",
        "core.whitespace",
    }
)

_FOR_EVERY_TASK: Final = {
    "core.logAllRefUpdates": "true",
    "core.fsmonitor": "false",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "filter.lfs.process": "",
    "filter.lfs.smudge": "",
    "filter.lfs.clean": "",
    "filter.lfs.required": "false",
}
"""An agent's own git commands ask nobody for a signature, start nothing in the background and leave large files be."""

# Characters that git removes from the ends of a name; nothing else means no name at all (ident.c).
_NO_NAME: Final = "".join(map(chr, range(33))) + ".,:;<>\"\\'"


class Config(msgspec.Struct, frozen=True):
    """The effective configuration of a repository.

    Attributes:
        values: the last value of each setting; section and name in lower case.
        local_filters: names of the filters that only the repository's own configuration defines.
    """

    values: Mapping[str, str]
    local_filters: frozenset[str] = frozenset()

    @property
    def partial(self) -> bool:
        """Whether the repository leaves objects with its remote until they are needed."""
        promised = (name for name in self.values if name.startswith("remote.") and name.endswith(".promisor"))
        return "extensions.partialclone" in self.values or any(self.values[name] != "false" for name in promised)


def parse_config(listing: bytes) -> Config:
    """Read the output of `git config --list --show-scope -z`: a scope, then a name, a line end and a value."""
    fields = listing.decode(errors="surrogateescape").split("\0")
    values: dict[str, str] = {}
    scopes: dict[str, set[str]] = {}
    for scope, setting in zip(fields[::2], fields[1::2], strict=False):
        name, given, value = setting.partition("\n")
        if scope == "command" and name in SET_ALWAYS:  # ours, not the user's
            continue
        values[name] = value if given else "true"
        if name.startswith("filter."):
            scopes.setdefault(name.split(".", 1)[1].rpartition(".")[0], set()).add(scope)
    own = frozenset(name for name, found in scopes.items() if found <= {"local", "worktree"})
    return Config(values, own)


def identity(config: Config, environ: Mapping[str, str]) -> dict[str, str]:
    """Who commits: what git itself would find for the user in that repository, else `Kugetsu <kugetsu@localhost>`.

    Returns:
        The four variables that give git an author and a committer.
    """
    found = {}
    for role in ("author", "committer"):
        names = (environ.get(f"GIT_{role.upper()}_NAME"), *(config.values.get(f"{who}.name") for who in (role, "user")))
        emails = (
            environ.get(f"GIT_{role.upper()}_EMAIL"),
            *(config.values.get(f"{who}.email") for who in (role, "user")),
            environ.get("EMAIL"),
        )
        found[f"GIT_{role.upper()}_NAME"] = _usable(names, FALLBACK_NAME)
        found[f"GIT_{role.upper()}_EMAIL"] = _usable(emails, FALLBACK_EMAIL)
    return found


def _usable(candidates: tuple[str | None, ...], fallback: str) -> str:
    return next((text for text in candidates if text and text.strip(_NO_NAME)), fallback)


def config_text(config: Config) -> bytes:
    """The settings of a private repository, as git reads them from a file."""
    taken = {name: value for name, value in config.values.items() if name in _HOW_FILES_LOOK}
    lines = [_setting(name, value) for name, value in {**taken, **_FOR_EVERY_TASK}.items()]
    return "".join(lines).encode(errors="surrogateescape")


def _setting(name: str, value: str) -> str:
    """One setting in the syntax of git-config(1)."""
    section, _, key = name.rpartition(".")
    section, _, subsection = section.partition(".")
    heading = f'[{section} "{subsection}"]' if subsection else f"[{section}]"
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'{heading}\n\t{key} = "{quoted}"\n'
