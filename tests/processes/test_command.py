import asyncio
import os
import subprocess
import time
from pathlib import Path

import pytest

from kugetsu.processes import capture, clean_environment, end_marked, kill_marked, start_command
from kugetsu.processes.census import marked, take_census

ENV = clean_environment(os.environ)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def pid_in(path: Path) -> int:
    for _ in range(500):
        if path.exists() and (text := path.read_text().strip()):
            return int(text)
        await asyncio.sleep(0.01)
    raise AssertionError(f"{path} was never written")


async def test_capture_keeps_both_outputs_and_the_exit_code(tmp_path: Path) -> None:
    done = await capture(["bash", "-c", "cat; echo err >&2; exit 3"], cwd=tmp_path, env=ENV, stdin=b"in")
    assert (done.code, done.stdout, done.stderr) == (3, b"in", b"err\n")


async def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(TimeoutError, match=r"took longer than 0\.2 seconds"):
        await capture(["bash", "-c", "echo $$ > pid; sleep 100"], cwd=tmp_path, env=ENV, seconds=0.2)
    assert not alive(await pid_in(tmp_path / "pid"))


@pytest.mark.parametrize("escape", ["", "setsid ", "env -i setsid ", "nohup "])
async def test_cancelling_ends_the_whole_tree(tmp_path: Path, escape: str) -> None:
    script = f"trap '' TERM; {escape}/bin/sh -c 'echo $$ > child; exec /bin/sleep 100' & echo $$ > leader; wait"
    running = asyncio.create_task(capture(["bash", "-c", script], cwd=tmp_path, env=ENV))
    child, leader = await pid_in(tmp_path / "child"), await pid_in(tmp_path / "leader")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not alive(leader)
    assert not alive(child)


async def test_an_orphan_of_the_tree_is_found_by_its_marker(tmp_path: Path) -> None:
    script = "setsid sh -c 'sleep 100 & echo $! > child' ; sleep 100"
    with pytest.raises(TimeoutError):
        await capture(["bash", "-c", script], cwd=tmp_path, env=ENV, seconds=0.5)
    assert not alive(await pid_in(tmp_path / "child"))


async def test_a_background_child_neither_holds_the_call_nor_dies_with_it(tmp_path: Path) -> None:
    env = {**ENV, "KUGETSU_TEST": str(tmp_path)}
    started = time.monotonic()
    done = await capture(["bash", "-c", "sleep 100 & echo $! > child; echo ok"], cwd=tmp_path, env=env)
    child = await pid_in(tmp_path / "child")
    assert done.stdout == b"ok\n"
    assert time.monotonic() - started < 50
    assert alive(child)
    await end_marked("KUGETSU_TEST", str(tmp_path))
    assert not alive(child)


async def test_a_command_that_does_not_exist_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await capture(["/no/such/program"], cwd=tmp_path, env=ENV)


async def test_leaving_the_block_early_ends_the_command(tmp_path: Path) -> None:
    async with start_command(
        ["sleep", "100"], cwd=tmp_path, env=ENV, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as command:
        pid = command.pid
    assert not alive(pid)


async def test_many_commands_at_once_leave_no_descriptor_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    await asyncio.gather(*(capture(["true"], cwd=tmp_path, env=ENV) for _ in range(50)))
    # What a test before this one had left may have gone meanwhile.
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208


def test_the_environment_holds_no_key() -> None:
    source = {"PATH": "/bin", "OPENAI_API_KEY": "sk-1", "LC_ALL": "C", "MINE": "1", "SSH_AUTH_SOCK": "/x"}
    env = clean_environment(source, allow=["MINE"], extra={"KUGETSU_TASK": "t"})
    assert env["PATH"] == "/bin"
    assert env["LC_ALL"] == "C"
    assert env["MINE"] == "1"
    assert env["KUGETSU_TASK"] == "t"
    assert not {"OPENAI_API_KEY", "SSH_AUTH_SOCK"} & env.keys()


async def test_a_command_that_has_ended_is_known_to_have_at_once(tmp_path: Path) -> None:
    quiet = subprocess.DEVNULL
    async with start_command(["true"], cwd=tmp_path, env=ENV, stdout=quiet, stderr=quiet) as command:
        await asyncio.sleep(0.2)
        assert await command.wait(0) == 0


async def test_without_a_descriptor_left_nothing_runs_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none_left(_pid: int) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "pidfd_open", none_left)
    env = {**ENV, "KUGETSU_TEST": str(tmp_path)}
    with pytest.raises(OSError, match="Too many open files"):
        await capture(["sleep", "30"], cwd=tmp_path, env=env)
    assert marked("KUGETSU_TEST", str(tmp_path)) == set()


def test_a_tree_that_keeps_forking_does_not_escape(tmp_path: Path) -> None:
    for number in range(5):
        env = {**ENV, "KUGETSU_TEST": f"{tmp_path}{number}"}
        script = ["bash", "-c", "while :; do sleep 20 & done"]
        with subprocess.Popen(script, env=env, start_new_session=True, stderr=subprocess.DEVNULL) as process:
            time.sleep(0.1)
            kill_marked("KUGETSU_TEST", f"{tmp_path}{number}")
            process.wait()
        assert marked("KUGETSU_TEST", f"{tmp_path}{number}") == set()


async def test_a_second_cancel_while_a_command_is_ended_neither_blocks_nor_leaves_it(tmp_path: Path) -> None:
    script = "trap '' TERM; echo $$ > pid; while :; do sleep 1; done"
    running = asyncio.create_task(capture(["bash", "-c", script], cwd=tmp_path, env=ENV))
    pid = await pid_in(tmp_path / "pid")
    for _ in range(3):
        running.cancel()
        await asyncio.sleep(0.05)
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not alive(pid)


async def test_many_commands_that_end_at_one_time_share_one_look_at_all_processes(tmp_path: Path) -> None:
    looks = await asyncio.gather(*(take_census() for _ in range(50)))
    assert len({id(look) for look in looks}) <= 2
    running = [asyncio.create_task(capture(["sleep", "60"], cwd=tmp_path, env=ENV)) for _ in range(40)]
    await asyncio.sleep(0.5)
    started = time.monotonic()
    for each in running:
        each.cancel()
    await asyncio.wait(running)
    assert time.monotonic() - started < 20
