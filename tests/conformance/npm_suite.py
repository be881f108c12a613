"""The conformance suite of the Model Context Protocol, installed with npm outside of the repository; made once and used again.

`python tests/conformance/npm_suite.py` installs it if it is not there. It takes about ten seconds and 170 MB, and needs
npm with any Node.js, and the package registry; everything after it needs no network.
"""

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

_ARCHITECTURE: Final = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
_SUITE: Final = "@modelcontextprotocol/conformance"
_NODE: Final = f"node-linux-{_ARCHITECTURE}"
"""Its own Node.js: the suite needs 22, whatever the machine has."""

VERSIONS: Final = {_SUITE: "0.1.16", _NODE: "22.23.3"}


class SuiteMissingError(Exception):
    """The suite is not there and cannot be installed; the message says why."""


def place() -> Path:
    """Where these versions are, or will be. `KUGETSU_MCP_CACHE` names another directory than `~/.cache/kugetsu-mcp`."""
    cache = os.environ.get("KUGETSU_MCP_CACHE") or "~/.cache/kugetsu-mcp"
    return Path(cache).expanduser() / "-".join(VERSIONS.values())


def command() -> list[str]:
    """The suite's command; installed first if it is not there. Of several at the same time one does it.

    Raises:
        SuiteMissingError: it cannot be.
    """
    directory = place()
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _complete(directory):
            _install(directory)
    modules = directory / "node_modules"
    return [str(modules / _NODE / "bin/node"), str(modules / _SUITE / "dist/index.js")]


def _install(directory: Path) -> None:
    if not shutil.which("npm"):
        raise SuiteMissingError("there is no npm on this machine (Debian, Ubuntu: apt install npm)")
    (directory / "package.json").write_text('{"private": true}\n')
    quiet = ("--save-exact", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1")
    packages = [f"{name}@{version}" for name, version in VERSIONS.items()]
    done = subprocess.run(
        ["npm", "install", *quiet, *packages], cwd=directory, capture_output=True, text=True, check=False
    )
    if done.returncode or not _complete(directory):
        said = " ".join(done.stderr.replace("npm error", "").split())
        raise SuiteMissingError(
            f"npm could not install {' and '.join(packages)}: {said[:300] or 'it left something out'}"
        )


def _complete(directory: Path) -> bool:
    def found(name: str) -> str:
        try:
            version: str = json.loads((directory / "node_modules" / name / "package.json").read_text())["version"]
        except (OSError, ValueError, KeyError):
            return ""
        return version

    return all(found(name) == version for name, version in VERSIONS.items())


if __name__ == "__main__":
    sys.stdout.write(f"{' '.join(command())}\n")
