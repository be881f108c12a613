"""What a repository tells agents: AGENTS.md (or CLAUDE.md) files, and the skills it offers.

Files come from a repository that is not trusted: links that lead out of it are not followed, and sizes are bounded.
"""

from collections.abc import Iterator
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
    """Read name and description of every skill of a repository; one without both is left out."""
    skills = (_skill(root, path) for path in _skill_files(root))
    return [skill for skill in skills if skill][:_MAX_SKILLS]


def _skill_files(root: Path) -> Iterator[Path]:
    for folder in SKILL_FOLDERS:
        yield from sorted((root / folder).glob("*/SKILL.md"))


def _skill(root: Path, path: Path) -> Skill | None:
    """Read the YAML front matter between two lines of dashes."""
    import yaml  # noqa: PLC0415 - only where a repository has skills

    _, _, rest = _read(root, path).partition("---\n")
    front, closed, _ = rest.partition("\n---")
    try:
        fields = yaml.safe_load(front) if closed else None
    except yaml.YAMLError:
        return None
    if not isinstance(fields, dict) or not (fields.get("name") and fields.get("description")):
        return None
    return Skill(_line(fields["name"]), _line(fields["description"]), str(path.relative_to(root)))


def _line(value: object) -> str:
    return " ".join(str(value).split())[:1024]


def _read(root: Path, path: Path) -> str:
    """Read the beginning of a file that lies inside the root; empty when there is none."""
    try:
        if not path.is_file() or not path.resolve().is_relative_to(root.resolve()):
            return ""
        with path.open("rb") as file:
            return file.read(MAX_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""
