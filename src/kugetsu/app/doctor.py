"""What is there, what is missing, and how to mend it."""

import asyncio
import shutil
import sys
from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from kugetsu.config import PRESETS, Settings, prepare_home, state_home
from kugetsu.errors import KugetsuError, ModelError
from kugetsu.messages import user
from kugetsu.models import Models
from kugetsu.protocols import ModelRequest
from kugetsu.storage import check
from kugetsu.workspace import git_version

Status = Literal["ok", "optional", "missing"]
"""`optional`: not there, and nothing fails without it."""

MODEL_SECONDS: Final = 60.0
"""How long a model may take to answer the doctor."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at.

    Attributes:
        fix: what to do, empty when nothing needs to be done.
    """

    name: str
    status: Status
    detail: str
    fix: str = ""


async def examine(settings: Settings, environ: Mapping[str, str], model: str = "") -> list[Finding]:
    """Look at everything. Never raises for what it finds.

    Args:
        model: a model to call once (costs a few tokens); empty for none.
    """
    findings = [
        _python(),
        await _git(environ),
        _program("bash", "runs the agents' commands", environ, "install bash"),
        _program("rg", "makes grep faster", environ, "install ripgrep", optional=True),
        _state_directory(environ),
        *await _records(environ),
        *_keys(settings, environ),
    ]
    if model:
        findings.append(await _model(settings, environ, model))
    return findings


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", f"{version} at {sys.executable}")


async def _git(environ: Mapping[str, str]) -> Finding:
    try:
        version = ".".join(map(str, await git_version(environ)))
        return Finding("git", "ok", version)
    except KugetsuError as error:
        return Finding("git", "missing", error.message, error.fix)


def _program(name: str, purpose: str, environ: Mapping[str, str], fix: str, *, optional: bool = False) -> Finding:
    path = shutil.which(name, path=environ.get("PATH", ""))
    if path:
        return Finding(name, "ok", f"{path}: {purpose}")
    return Finding(name, "optional" if optional else "missing", f"not found: {purpose}", fix)


def _state_directory(environ: Mapping[str, str]) -> Finding:
    home = state_home(environ)
    try:
        free = shutil.disk_usage(prepare_home(home)).free
    except (KugetsuError, OSError) as error:
        return Finding("state directory", "missing", str(error), "set KUGETSU_HOME to a directory you may write")
    if free < _LITTLE_DISK:
        return Finding("state directory", "missing", f"{home}: {free // 2**20} MB are free", "free some disk")
    return Finding("state directory", "ok", f"{home}, {free // 2**30} GB free")


async def _records(environ: Mapping[str, str]) -> list[Finding]:
    """The database of tasks: each thing that is wrong with it is a finding."""
    try:
        problems = await check(state_home(environ))
    except (KugetsuError, OSError) as error:
        problems = [str(error)]
    if not problems:
        return [Finding("records", "ok", "the database of tasks is sound")]
    return [Finding("records", "missing", problem, _DAMAGED) for problem in problems]


def _keys(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """Say which keys are there, by name and never by value."""
    providers = PRESETS | settings.providers
    return [_key(name, providers[name].api_key_env, environ) for name in providers if providers[name].api_key_env]


def _key(provider: str, variable: str, environ: Mapping[str, str]) -> Finding:
    if environ.get(variable):
        return Finding(f"key for {provider}", "ok", f"{variable} is set")
    return Finding(
        f"key for {provider}", "optional", f"{variable} is not set", f"export {variable}=... to use {provider}"
    )


async def _model(settings: Settings, environ: Mapping[str, str], name: str) -> Finding:
    label = f"model {name}"
    request = ModelRequest("You are being tested.", [user("Answer with the word ok.")])
    try:
        async with Models(settings, environ) as models, asyncio.timeout(MODEL_SECONDS):
            async for _ in models.open(name).stream(request):
                pass
    except ModelError as error:
        return Finding(label, "missing", f"{error.kind}: {error.message}", error.fix or _FIXES.get(error.kind, ""))
    except KugetsuError as error:
        return Finding(label, "missing", error.message, error.fix)
    except TimeoutError:
        return Finding(label, "missing", f"no answer in {MODEL_SECONDS:g} seconds", "try again, or another model")
    return Finding(label, "ok", "it answers")


_LITTLE_DISK: Final = 512 * 2**20
_DAMAGED: Final = (
    "keep the file; put a copy of it from before, or an empty state directory (KUGETSU_HOME), in its place"
)

_FIXES: Final[Mapping[str, str]] = {
    "authentication": "check the provider's key",
    "not_found": "check the model's name",
    "quota": "add credit with the provider",
    "network": "check the base URL and that the server runs",
}
