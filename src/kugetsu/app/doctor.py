"""What is there, what is missing, and how to mend it."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from kugetsu.admission import (
    AdmissionLimits,
    InUse,
    Machine,
    MachineReader,
    Strain,
    command_limits,
    decide,
    describe,
    make_limits,
    strain,
)
from kugetsu.app.pruning import usage
from kugetsu.config import PRESETS, Settings, prepare_home, state_home
from kugetsu.errors import KugetsuError, ModelError
from kugetsu.messages import user
from kugetsu.models import Models
from kugetsu.processes import Confinement
from kugetsu.protocols import ModelRequest, SystemClock
from kugetsu.storage import SqlStore, check
from kugetsu.tasks import Budget, Spent, day_of
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
    machine = MachineReader(state_home(environ), SystemClock())()
    findings = [
        _python(),
        await _git(environ),
        _program("bash", "runs the agents' commands", environ, "install bash"),
        _program("rg", "makes grep faster", environ, "install ripgrep", optional=True),
        _state_directory(settings, environ, machine),
        *machine_findings(settings, machine),
        await _disk(settings, environ),
        *await _budget(settings, environ),
        *_named(settings, environ),
        await _command_limits(settings, machine),
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


def _state_directory(settings: Settings, environ: Mapping[str, str], machine: Machine) -> Finding:
    home = state_home(environ)
    try:
        free = shutil.disk_usage(prepare_home(home)).free
    except (KugetsuError, OSError) as error:
        return Finding("state directory", "missing", str(error), "set KUGETSU_HOME to a directory you may write")
    refusal = decide("task", InUse(), machine, _limits(settings, machine))
    if refusal and refusal.reason == "disk":
        return Finding("state directory", "missing", f"{home}: no task starts: {refusal.words}", "free some disk")
    return Finding("state directory", "ok", f"{home}, {free // 2**30} GB free")


def machine_findings(settings: Settings, machine: Machine) -> list[Finding]:
    """Say what there is of the machine, and what the settings make of it. What cannot be read fails nothing."""
    limits = _limits(settings, machine)
    return [_memory(machine, limits), _pressure(machine, limits), _swap(machine), _slots(machine, limits)]


def _limits(settings: Settings, machine: Machine) -> AdmissionLimits:
    return make_limits(settings.machine, settings.queue, settings.disk, machine)


def _memory(machine: Machine, limits: AdmissionLimits) -> Finding:
    total, available = machine.memory_total, machine.memory_available
    if total is None or available is None:
        return Finding("memory", "optional", "nobody knows how much there is: it is not looked at", "mount /proc")
    if limits.reserve >= total:
        detail = f"{_mb(total)}, and {_mb(limits.reserve)} are to be kept free: only one task and one command ever run"
        return Finding("memory", "missing", detail, "lower `machine.reserve_mb`")
    detail = (
        f"{_mb(total)}, {_mb(available)} available; below {_mb(limits.ample)} fewer commands run at the same time, "
        f"below {_mb(limits.reserve)} only one task and one command run"
    )
    level = strain(machine, limits, Strain.NONE)
    if level < Strain.HOLD:
        return Finding("memory", "ok", detail)
    status: Status = "missing" if level is Strain.END else "optional"
    return Finding("memory", status, f"{detail}; {describe(level, machine, limits)}", "end what takes the memory")


def _pressure(machine: Machine, limits: AdmissionLimits) -> Finding:
    name = "memory pressure"
    if machine.memory_pressure is None:
        detail = "the kernel does not tell (no /proc/pressure): only memory that is available is looked at"
        return Finding(name, "optional", detail, "boot a kernel of 4.20 or later with psi=1")
    detail = f"{machine.memory_pressure:.3g} % in the last ten seconds"
    if not limits.pressure_percent:
        return Finding(name, "ok", f"{detail}; not looked at (machine.pressure_percent)")
    return Finding(name, "ok", f"{detail}; above {limits.pressure_percent:g} % only one task and one command run")


def _swap(machine: Machine) -> Finding:
    if machine.swap_total is None or machine.swap_free is None:
        return Finding("swap", "optional", "nobody knows how much there is: it is not looked at", "mount /proc")
    if not machine.swap_total:
        return Finding("swap", "ok", "none")
    return Finding("swap", "ok", f"{_mb(machine.swap_total)}, {_mb(machine.swap_free)} free")


def _slots(machine: Machine, limits: AdmissionLimits) -> Finding:
    cores = f"{machine.cores:.3g} core{'' if machine.cores == 1 else 's'}"
    return Finding(
        "slots",
        "ok",
        f"{limits.task_slots:,} tasks and {limits.command_slots:,} commands at the same time, with {cores}",
    )


async def _command_limits(settings: Settings, machine: Machine) -> Finding:
    """Say what holds commands to their limits where the doctor runs; a service may have better means."""
    name, limits = "command limits", command_limits(settings.machine, _limits(settings, machine))
    try:
        with tempfile.TemporaryDirectory(prefix="kugetsu-doctor-") as home:  # not where commands may be running now
            confinement = Confinement.find(Path(home), limits)
            await confinement.close()
    except OSError as error:
        return Finding(name, "optional", f"cannot be tried: {error}", "set TMPDIR to a directory you may write")
    memory = _mb(limits.memory_bytes) if limits.memory_bytes else "any"
    processes = f"{limits.processes:,}" if limits.processes else "any number of"
    detail = f"{memory} memory, {processes} processes each, by {confinement.kind}"
    if confinement.why:
        return Finding(name, "optional", f"{detail}; {confinement.why}", "run it as a service with `Delegate=yes`")
    return Finding(name, "ok", detail)


def _mb(size: int) -> str:
    return f"{size // 2**20:,} MB"


async def _records(environ: Mapping[str, str]) -> list[Finding]:
    """The database of tasks: each thing that is wrong with it is a finding."""
    try:
        problems = await check(state_home(environ))
    except (KugetsuError, OSError) as error:
        problems = [str(error)]
    if not problems:
        return [Finding("records", "ok", "the database of tasks is sound")]
    return [Finding("records", "missing", problem, _DAMAGED) for problem in problems]


async def _disk(settings: Settings, environ: Mapping[str, str]) -> Finding:
    """What worktrees, private repositories and mirrors take."""
    home = state_home(environ)
    try:
        used = await usage(home, environ, settings.disk)
    except (KugetsuError, OSError) as error:
        return Finding("disk", "optional", f"{home} cannot be measured: {error}")
    most = f" of {used.most_bytes / 1e9:,.1f} GB (disk.most_gb)" if used.most_bytes else ""
    detail = f"{used.taken / 1e9:,.2f} GB{most} are taken by worktrees, private repositories and mirrors"
    fix = "`kugetsu prune` takes away what is delivered" if used.too_much else ""
    return Finding("disk", "optional" if used.too_much else "ok", detail, fix)


async def _budget(settings: Settings, environ: Mapping[str, str]) -> list[Finding]:
    """What is used up of the day's budget, if there is one."""
    budget, clock = settings.budgets.day, SystemClock()
    if not budget.limited:
        return []
    try:
        store = await SqlStore.open(state_home(environ), create=False)
        try:
            spent = [each.spent for each in await store.spending(day_of(clock.now()))]
        finally:
            await store.close()
    except KugetsuError as error:
        return [Finding("budget of today", "optional", f"it cannot be read: {error.message}", error.fix)]
    used = sum(spent, Spent())
    parts = [
        f"{getattr(used, field):,.10g} of {limit:,.10g} {field}"
        for field in Budget.__struct_fields__
        if (limit := getattr(budget, field))
    ]
    return [Finding("budget of today", "ok", f"{', '.join(parts)} are used up")]


def _named(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the models can be used that settings name beside the tasks' own."""
    roles = (
        ("fallback", settings.fallback, "is asked while another model has no capacity"),
        ("compaction.model", settings.compaction.model, "writes the notes that stand for old turns"),
    )
    for setting, name, does in roles:
        if not name:
            continue
        try:
            Models(settings, environ).open(name)
        except KugetsuError as error:
            yield Finding(setting, "missing", error.message, error.fix)
        else:
            yield Finding(setting, "ok", f"{name} {does}")


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


_DAMAGED: Final = (
    "keep the file; put a copy of it from before, or an empty state directory (KUGETSU_HOME), in its place"
)

_FIXES: Final[Mapping[str, str]] = {
    "authentication": "check the provider's key",
    "not_found": "check the model's name",
    "quota": "add credit with the provider",
    "network": "check the base URL and that the server runs",
}
