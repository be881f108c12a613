"""Installs the peers, with npm, outside of the repository, each version pinned by its exact number."""

import json
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_ARCHITECTURE: Final = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
NODE: Final = f"node-linux-{_ARCHITECTURE}"
"""The package that holds the program of the package `node`; it needs no script to be installed."""

PEERS: Final[Mapping[str, Mapping[str, str]]] = {
    "pi": {
        "@earendil-works/pi-coding-agent": "0.87.1",
        "@earendil-works/pi-agent-core": "0.87.1",
        "@earendil-works/pi-ai": "0.87.1",
        NODE: "22.23.3",
    },
    "opencode": {"opencode-ai": "1.18.33"},
}


class PeerError(Exception):
    """A peer cannot be measured; the message says why."""


def install(peer: str) -> None:
    """Install a peer, unless it is there.

    Raises:
        PeerError: it cannot be.
    """
    folder, packages = folder_of(peer), PEERS[peer]
    if _wrong(folder, packages):
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            _npm(Path(made), [f"{name}@{version}" for name, version in packages.items()])
            if wrong := _wrong(Path(made), packages):
                raise PeerError(f"npm left {wrong}")
            Path(made).rename(folder)
            Path(made).mkdir()
    if not program(peer).exists():
        raise PeerError(f"{peer} has no program for this machine: {program(peer)}")


def folder_of(peer: str) -> Path:
    """Where a peer is installed: below the user's cache, or below $XDG_CACHE_HOME."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "kugetsu-peers" / "-".join((peer, *sorted(set(PEERS[peer].values()))))


def program(peer: str) -> Path:
    """The program of a peer: node, or OpenCode's own."""
    modules = folder_of(peer) / "node_modules"
    if peer == "pi":
        return modules / NODE / "bin" / "node"
    plain = " avx2 " in Path("/proc/cpuinfo").read_text() or _ARCHITECTURE != "x64"
    return modules / f"opencode-linux-{_ARCHITECTURE}{'' if plain else '-baseline'}" / "bin" / "opencode"


def version(peer: str) -> str:
    """What is pinned, for people."""
    return ", ".join(f"{name.rpartition('/')[2]} {number}" for name, number in PEERS[peer].items())


def _wrong(folder: Path, packages: Mapping[str, str]) -> str:
    """The first package that is not there as it should be; empty for none."""
    for name, wanted in packages.items():
        try:
            found = json.loads((folder / "node_modules" / name / "package.json").read_text())["version"]
        except (OSError, ValueError, KeyError):
            found = "nothing"
        if found != wanted:
            return f"{name}: {found} instead of {wanted}"
    return ""


def _npm(folder: Path, packages: list[str]) -> None:
    (folder / "package.json").write_text('{"private": true}\n')
    quiet = ("--save-exact", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", "--fetch-retries=1")
    try:
        done = subprocess.run(
            ["npm", "install", *quiet, *packages], cwd=folder, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise PeerError(f"npm cannot be run: {error}") from error
    if done.returncode:
        raise PeerError(f"npm install failed: {' '.join(done.stderr.replace('npm error', '').split())[:160]}")
