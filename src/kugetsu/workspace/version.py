"""Which git is there, and whether it is new enough."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kugetsu.errors import WorkspaceError
from kugetsu.workspace.git import ASKING_SECONDS, Git, agent_environment

MINIMUM_GIT: Final = (2, 31)
"""The oldest git that will do: `rev-parse --path-format` and GIT_CONFIG_COUNT are from March 2021."""


async def git_version(environ: Mapping[str, str]) -> tuple[int, ...]:
    """Ask the git on the PATH for its version.

    Returns:
        Its numbers, for example (2, 39, 5).

    Raises:
        WorkspaceError: git is missing, cannot be run, is older than `MINIMUM_GIT`, or does not say its version.
    """
    printed = await Git(Path("/"), agent_environment(environ), "/").run("version", seconds=ASKING_SECONDS)
    text = printed.decode(errors="replace").strip()
    numbers = re.search(r"\d+(?:\.\d+)+", text)
    if numbers is None:
        raise WorkspaceError(f"git does not say its version, but {text[:80]!r}", fix="install git")
    version = tuple(map(int, numbers[0].split(".")))
    if version < MINIMUM_GIT:
        needed = ".".join(map(str, MINIMUM_GIT))
        raise WorkspaceError(f"git {numbers[0]} is too old", fix=f"install git {needed} or newer")
    return version
