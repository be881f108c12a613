"""What the tests of the tools share: the tools over a real directory, called the way a model calls them."""

import os
import subprocess
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest

from kugetsu.config import ToolSettings
from kugetsu.errors import ToolError
from kugetsu.messages import Text
from kugetsu.processes import clean_environment
from kugetsu.protocols import CommandRoom, FileLocks, ToolContext, ToolOutput, no_limits
from kugetsu.tools import default_tools


class ToolBench:
    """The seven tools over `root`."""

    def __init__(self, directory: Path, settings: ToolSettings = ToolSettings(), *, images: bool = False) -> None:  # noqa: B008 - frozen
        self.root = directory / "work tree"
        self.scratch = directory / "scratch"
        self.root.mkdir(parents=True, exist_ok=True)
        self.told: list[str] = []
        self.environment = clean_environment(os.environ, extra={"HOME": str(directory)})
        self.tools = {tool.name: tool for tool in default_tools(settings)}
        self.images = images
        self.locks = FileLocks()
        self.room: Callable[[], AbstractAsyncContextManager[CommandRoom]] = no_limits

    @property
    def context(self) -> ToolContext:
        return ToolContext(
            root=self.root,
            scratch=self.scratch,
            environment=self.environment,
            locks=self.locks,
            images=self.images,
            progress=self.told.append,
            room=self.room,
        )

    async def call(self, name: str, /, **arguments: object) -> ToolOutput:
        tool = self.tools[name]
        decoded = msgspec.json.decode(msgspec.json.encode(arguments), type=tool.arguments)
        return await tool.run(decoded, self.context)

    async def text(self, name: str, /, **arguments: object) -> str:
        """The text of a call that succeeds."""
        output = await self.call(name, **arguments)
        assert not output.is_error, text_of(output)
        return text_of(output)

    async def failure(self, name: str, /, **arguments: object) -> str:
        """The text of a call that ends with an error result."""
        output = await self.call(name, **arguments)
        assert output.is_error, text_of(output)
        return text_of(output)

    async def refusal(self, name: str, /, **arguments: object) -> str:
        """The message of a call that cannot be done."""
        with pytest.raises(ToolError) as refused:
            await self.call(name, **arguments)
        return str(refused.value)

    def put(self, path: str, content: str | bytes = "") -> Path:
        """Make a file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def git(self, *arguments: str) -> None:
        identity = ["-c", "user.name=T", "-c", "user.email=t@example.invalid"]
        subprocess.run(
            ["git", *identity, *arguments], cwd=self.root, env=self.environment, check=True, capture_output=True
        )

    def files(self) -> set[str]:
        """Everything below the root but git's own files."""
        found = (path.relative_to(self.root).as_posix() for path in self.root.rglob("*") if not path.is_dir())
        return {path for path in found if not path.startswith(".git/")}


def text_of(output: ToolOutput) -> str:
    return "".join(block.text for block in output.content if isinstance(block, Text))
