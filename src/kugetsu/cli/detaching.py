"""Tasks in processes of their own that outlive whoever started them: the direct spawn, without a server.

The task is in the store before the process is made, so nothing is lost with either. What the process survives: the end of its
starter, of the starter's session and process group, and of its terminal. What it does not survive: a kill of the whole
control group, as systemd does to a service that it stops (unless `KillMode=process`, or the starter was in a scope of its
own: `systemd-run --user --scope kugetsu run --detach ...`), and the end of the machine. Then the task is as after a crash:
`kugetsu resume ID --detach`, or a `kugetsu serve`, goes on with it.
"""

import asyncio
import fcntl
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from kugetsu.config import Loaded, state_home
from kugetsu.errors import KugetsuError, QueueFullError, RecordError, UsageError
from kugetsu.protocols import Accepted, TaskDetails

if TYPE_CHECKING:
    from kugetsu.cli.asking import Settled

DIRECTORY: Final = "detached"
"""Below the state directory: what detached processes had to say. A process that had nothing to say leaves nothing."""

_PATIENCE_SECONDS: Final = 60.0
"""How long a process may take until it has its task."""

_MOST_BYTES: Final = 65_536
_LAST_WORDS: Final = 500


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a detached process is to do.

    Attributes:
        task: id of the one that it goes on with.
        limits: changed ones, by name.
        config_file: the user's settings file; empty for the usual one.
        descriptor: where it tells whether it has the task.
        submitted: whether the task has just been submitted, so that it is all the same who begins with it.
    """

    task: str
    limits: dict[str, float]
    config_file: str
    descriptor: int
    submitted: bool = False


class Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a detached process tells its starter: that the task is taken care of, or why it is not.

    Attributes:
        error: empty when all is well.
        code: the exit code that says what kind of error it is.
    """

    error: str = ""
    fix: str = ""
    code: int = 0


def run_detached(settled: "Settled", prompt: str, *, key: str = "") -> Accepted:
    """Put a task into the store and let a process of its own do it; returns once that has begun.

    Args:
        settled: what was asked for.
        prompt: the job.
        key: the submitter's own name for it: given twice, it is one task.

    Raises:
        QueueFullError: the machine has no room for it now.
        UsageError: something in it cannot be so.
        KugetsuError: it is in the store, and the process could not begin.
    """
    accepted = asyncio.run(_submit(settled, prompt, key))
    if accepted.task.state != "pending":
        return accepted  # it was there already, and somebody has it or had it
    go_on_detached(accepted.task.id, {}, settled.asked.config_file, submitted=True)
    return msgspec.structs.replace(accepted, task=asyncio.run(_show(accepted.task.id)))


def resume_detached(task: str, limits: Mapping[str, float], config_file: Path | None) -> TaskDetails:
    """Go on with a task in a process of its own; returns once that has begun, or when somebody works on it already.

    Raises:
        StateConflictError: it is over, or waits for an answer.
        KugetsuError: the process could not begin.
    """
    found = asyncio.run(_show(task)).id
    go_on_detached(found, limits, config_file)
    return asyncio.run(_show(found))


def go_on_detached(
    task: str, limits: Mapping[str, float], config_file: Path | None, *, submitted: bool = False
) -> None:
    """Start the process that goes on with a task, and wait until it has it; for one just submitted, until anybody has."""
    directory = state_home(os.environ) / DIRECTORY
    log = directory / f"{task}.log"
    reading, writing = os.pipe()
    order = Order(
        task=task,
        limits=dict(limits),
        config_file=str(config_file.absolute()) if config_file else "",
        descriptor=writing,
        submitted=submitted,
    )
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Not `with`: it outlives us, and whoever takes in orphans takes it in.
        with open(_open_log(log), "ab") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "kugetsu.cli.detached", msgspec.json.encode(order).decode()],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd="/",
                env=_environment(directory.parent),
                start_new_session=True,
                pass_fds=(writing,),
            )
    except OSError as error:
        os.close(reading)
        raise RecordError(
            f"task {task} is in the queue, but no process could be started for it: {error.strerror}",
            fix=f"kugetsu resume {task} --detach",
        ) from error
    finally:
        os.close(writing)
    told = _hear(reading)
    if told is None:
        slow = process.poll() is None
        raise KugetsuError(
            f"task {task} is in the queue, but its process {'has not begun yet' if slow else 'did not begin'}{_last_words(log)}",
            fix=f"kugetsu {'show' if slow else 'resume'} {task}{'' if slow else ' --detach'}",
        )
    if told.error:
        raise _error_of(task, told)


def _open_log(log: Path) -> int:
    """Open the log of a task, locked against a process that ends meanwhile and leaves no empty one."""
    while True:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _environment(home: Path) -> dict[str, str]:
    """The same variables, with whole paths: the process works in another directory."""
    named = os.environ.get("KUGETSU_CONFIG")
    whole = {"KUGETSU_CONFIG": str(Path(named).expanduser().absolute())} if named else {}
    return {**os.environ, **whole, "KUGETSU_HOME": str(home)}


def _hear(reading: int) -> Told | None:
    """What the process tells; None when it ended without a word, or is silent."""
    data = b""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with open(reading, "rb", buffering=0) as pipe:
        while not data.endswith(b"\n") and len(data) < _MOST_BYTES:
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            piece = pipe.read(_MOST_BYTES) if ready else b""
            if not piece:
                return None
            data += piece
    return msgspec.json.decode(data, type=Told)


def _error_of(task: str, told: Told) -> KugetsuError:
    from kugetsu.cli.exits import Exit  # noqa: PLC0415 - needed only here

    match told.code:
        case Exit.USAGE:
            return UsageError(told.error, fix=told.fix)
        case Exit.NO_CAPACITY:
            return QueueFullError(
                f"task {task} does not run yet: {told.error}",
                fix=f"later: kugetsu resume {task} --detach",
                retry_after=60.0,
            )
        case _:
            return KugetsuError(told.error, fix=told.fix)


def _last_words(log: Path) -> str:
    try:
        words = log.read_text(errors="replace").strip()[-_LAST_WORDS:]
    except OSError:
        return ""
    return f": {words}" if words else ""


async def _submit(settled: "Settled", prompt: str, key: str) -> Accepted:
    from kugetsu.app import desk  # noqa: PLC0415 - needed only here
    from kugetsu.app.house import House  # noqa: PLC0415 - as above
    from kugetsu.app.service import LocalTasks  # noqa: PLC0415 - as above

    async with House(settled.loaded.settings, state_home(os.environ), os.environ, name="kugetsu") as house:
        await desk.require_room(house)
        submitted = await desk.submit(house, settled.task(house, prompt), key=key)
        return Accepted(await LocalTasks(house).show(submitted.record.id), submitted.created)


async def _show(task: str) -> TaskDetails:
    from kugetsu.app.service import open_records  # noqa: PLC0415 - needed only here

    async with open_records(state_home(os.environ), os.environ) as records:
        return await records.show(task)


def settings_of(order: Order) -> Loaded:
    """The settings that count for the process."""
    from kugetsu.cli.options import load  # noqa: PLC0415 - needed only there

    return load(config_file=Path(order.config_file) if order.config_file else None)
