"""A process that does things with workspaces and is killed in the middle: at any step that changes files or starts git.

Run as a program it reads one order per line, does each in a child of its own, and answers whether the child was killed.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from kugetsu.failpoints import arm
from kugetsu.tasks import Place, Task
from kugetsu.workspace import GitWorkspace, GitWorkspaces

_CHANGES = frozenset({"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.utime", "os.chmod", "subprocess.Popen"})


_IN_A_WORKSPACE = frozenset({"snapshot", "restore", "finish"})


class Order(msgspec.Struct):
    """What to do.

    Attributes:
        deed: see `_find` and `_use`.
        step: how many changes of files and starts of git come before the kill; 0 for none.
        point: a crash point at which it is killed instead.
        seconds: after which it is killed instead, wherever it is; a git that it runs is not. 0 for never.
        place: where the task works; None before there is any.
        original: another task's place.
    """

    home: str
    environ: dict[str, str]
    deed: str
    task: Task
    step: int = 0
    point: str = ""
    seconds: float = 0.0
    place: Place | None = None
    original: Place | None = None
    snapshot: str = ""


class Drill:
    """Gives orders, and says which came to their end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def survives(self, order: Order) -> bool:
        """Carry it out; whether it came to its end before it was killed."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(msgspec.json.encode(order) + b"\n")
        self._process.stdin.flush()
        code = int(self._process.stdout.readline())
        assert code in {0, -signal.SIGKILL, -signal.SIGALRM}, f"the child ended with {code}"
        return code == 0


@contextlib.contextmanager
def drill() -> Iterator[Drill]:
    """Start the process, and end it."""
    argv = [sys.executable, "-P", __file__]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield Drill(process)
        finally:
            process.kill()


def _kill_at(step: int) -> Callable[[str, tuple[object, ...]], None]:
    left = step

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event not in _CHANGES and not (event == "open" and _writes(arguments)):
            return
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return hook


def _writes(arguments: tuple[object, ...]) -> bool:
    flags = arguments[2]
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


async def _do(order: Order) -> None:
    workspaces = GitWorkspaces(Path(order.home), order.environ)
    opened = order.deed in _IN_A_WORKSPACE and order.place
    workspace = await workspaces.reopen(order.task, order.place, order.snapshot) if opened and order.place else None
    if order.step:
        sys.addaudithook(_kill_at(order.step))
    if order.point:
        arm(order.point)
    signal.setitimer(signal.ITIMER_REAL, order.seconds)  # nobody handles that signal, so it kills
    await (_use(order, workspace) if workspace else _find(order, workspaces))


async def _find(order: Order, workspaces: GitWorkspaces) -> None:
    task = order.task
    match order.deed, order.place, order.original:
        case "create", _, _:
            await workspaces.create(task, again=True)
        case "fork", _, Place() as original:
            await workspaces.fork(task, original, order.snapshot, again=True)
        case "reopen", Place() as place, _:
            await workspaces.reopen(task, place, order.snapshot)
        case "forget", Place() as place, _:
            await workspaces.forget(task.id, place)
        case _:
            raise AssertionError(order.deed)


async def _use(order: Order, workspace: GitWorkspace) -> None:
    if order.deed == "snapshot":
        await workspace.snapshot(7)
    elif order.deed == "restore":
        await workspace.restore(order.snapshot)
    else:
        await workspace.commit_all("the rest")
        await workspace.deliver()
        await workspace.close(residue=True)


def _main() -> None:
    for line in sys.stdin.buffer:
        order = msgspec.json.decode(line, type=Order)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                asyncio.run(_do(order))
                code = 0
            except BaseException:  # noqa: BLE001 - whatever it is, this child ends here
                traceback.print_exc()
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _main()
