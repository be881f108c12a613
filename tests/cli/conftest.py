from pathlib import Path
from typing import Any

import pytest

from support.command_line import CommandLine, tool

WORK: list[dict[str, Any]] = [
    {
        "text": "Writing.",
        "tool_calls": [tool("write", path="new.txt", content="n\n")],
        "usage": {"input": 100, "output": 10},
    },
    {"text": "This takes long.", "tool_calls": [tool("bash", command="touch begun; sleep 300")]},
    {
        "text": "Fixing.",
        "tool_calls": [tool("bash", command="rm begun; sed -i s/bug/fix/ a.txt; git add -A; git commit -qm 'Fix it'")],
        "usage": {"input": 200, "output": 20},
    },
    {"text": "I fixed a.txt."},
]
"""A job whose second turn never ends by itself."""

BEGUN = "worktrees/*/begun"
"""What is there, below the state directory, once that turn has begun."""


@pytest.fixture
def repo(user: CommandLine) -> Path:
    return user.make_repo({"a.txt": "a bug\n"})


@pytest.fixture
def job(user: CommandLine, repo: Path) -> list[str]:
    """Options of a task whose second turn never ends by itself."""
    return ["--repo", str(repo), "--model", user.script(*WORK, name="work.json"), "--check", "grep fix a.txt"]


@pytest.fixture
def quick(user: CommandLine, repo: Path) -> list[str]:
    """Options of a task of two turns."""
    script = user.script(WORK[0], {"text": "I wrote it."}, name="quick.json")
    return ["--repo", str(repo), "--model", script]
