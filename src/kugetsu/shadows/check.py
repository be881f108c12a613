"""The task's check command: the user's own proof, run in the worktree after the agent."""

from pathlib import Path
from typing import Final

from kugetsu.processes import open_output, start_command
from kugetsu.protocols import Commands
from kugetsu.tasks import CheckResult

TAIL_BYTES: Final = 4_000
"""How much of the check's output a report keeps."""


async def run_check(
    command: str,
    *,
    cwd: Path,
    environment: dict[str, str],
    scratch: Path,
    seconds: float,
    commands: Commands,
    task: str,
) -> CheckResult:
    """Run the check and say whether it passed. When cancelled, its whole tree is ended.

    Args:
        command: the check.
        cwd: the worktree.
        environment: its whole environment.
        scratch: where files of its output would go.
        seconds: how long it may take, from when there is room for it.
        commands: gives room to it.
        task: whose check it is.
    """
    argv = ["bash", "-c", command]
    try:
        with open_output(scratch, whole=False) as output:
            ends = {"stdout": output.write_end, "stderr": output.write_end}
            async with commands.room(task) as room:
                async with start_command(argv, cwd=cwd, env=environment, room=room, **ends) as process:
                    output.handed_over()
                    code = await process.wait(seconds)
                excess = await room.excess()
            output.finish()
            tail = _tail(output.end)
    except OSError as error:
        return CheckResult(command, passed=False, exit_code=None, output_tail=f"could not be started: {error}")
    if code is None:
        tail = f"{tail}\nended: it took longer than {seconds:g} seconds".lstrip()
    if excess:
        tail = f"{tail}\n{excess}".lstrip()
    return CheckResult(command, passed=code == 0, exit_code=code, output_tail=tail)


def not_run(command: str, why: str) -> CheckResult:
    """The result of a check that was not run, or not to its end."""
    return CheckResult(command, passed=None, exit_code=None, output_tail=f"not run: {why}")


def _tail(data: bytes) -> str:
    if len(data) > TAIL_BYTES:
        data = data[-TAIL_BYTES:]
        data = data[data.find(b"\n") + 1 :]
    return data.decode("utf-8", "replace").rstrip()
