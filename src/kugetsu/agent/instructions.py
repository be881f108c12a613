"""What a repository tells agents: AGENTS.md (or CLAUDE.md) files, and the skills it offers.

Files come from a repository that is not trusted: links that lead out of it are not followed, and sizes are bounded.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

INSTRUCTION_NAMES: Final = ("AGENTS.md", "CLAUDE.md")
"""The first of these that a directory has is read."""

SKILL_FOLDERS: Final = (".agents/skills", ".claude/skills")
"""Where skills are looked for, each in a folder of its own with a SKILL.md (format of agentskills.io)."""

MAX_BYTES: Final = 65_536
"""The most that is read of one file."""

_MAX_SKILLS: Final = 100

_MAX_FRONT_MATTER: Final = 4_096
"""Bytes at the beginning of a SKILL.md that are looked at."""


class Instructions(msgspec.Struct, frozen=True):
    """One file of instructions.

    Attributes:
        path: relative to the repository's root.
    """

    path: str
    text: str


class Skill(msgspec.Struct, frozen=True):
    """A skill that the agent may read when it needs it.

    Attributes:
        path: of its SKILL.md, relative to the repository's root.
    """

    name: str
    description: str
    path: str


def load_instructions(root: Path, directory: Path | None = None) -> list[Instructions]:
    """Read the instruction files from the repository's root down to a directory (default: the root alone)."""
    directory = directory or root
    steps = [root]
    for part in directory.relative_to(root).parts:
        steps.append(steps[-1] / part)
    found = (
        next(filter(None, (_instructions(root, step / name) for name in INSTRUCTION_NAMES)), None) for step in steps
    )
    return [instructions for instructions in found if instructions]


def _instructions(root: Path, path: Path) -> Instructions | None:
    text = _read(root, path)
    return Instructions(str(path.relative_to(root)), text) if text else None


def load_skills(root: Path) -> list[Skill]:
    """Read name and description of a repository's skills, at most 100; one without both is left out."""
    skills = (_skill(root, path) for path in islice(_skill_files(root), _MAX_SKILLS))
    return [skill for skill in skills if skill]


def _skill_files(root: Path) -> Iterator[Path]:
    for folder in SKILL_FOLDERS:
        yield from sorted((root / folder).glob("*/SKILL.md"))


def _skill(root: Path, path: Path) -> Skill | None:
    """Read the YAML front matter between two lines of dashes."""
    _, _, rest = _read(root, path, _MAX_FRONT_MATTER).partition("---\n")
    front, closed, _ = rest.partition("\n---")
    fields = _yaml(front) if closed else None
    match fields:
        case {"name": str(name), "description": str(description)} if name.strip() and description.strip():
            return Skill(_line(name), _line(description), str(path.relative_to(root)))
        case _:
            return None


def _yaml(text: str) -> object:
    """Parse YAML that nobody vouches for; None when it is none, in whatever way the parser says so."""
    import yaml  # noqa: PLC0415 - only where a repository has skills

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError):
        return None


def _line(value: str) -> str:
    return " ".join(value.split())[:1024]


def _read(root: Path, path: Path, most: int = MAX_BYTES) -> str:
    """Read the beginning of a file that lies inside the root; empty when there is none."""
    try:
        if not path.is_file() or not path.resolve().is_relative_to(root.resolve()):
            return ""
        with path.open("rb") as file:
            return file.read(most).decode("utf-8", "replace").strip()
    except OSError:
        return ""
