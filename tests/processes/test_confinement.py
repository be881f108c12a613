import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kugetsu.processes import CommandLimits, Confinement, start_command
from processes.confined import (
    ENV,
    KINDS,
    LIMITS,
    MB,
    alive,
    confinement,
    gone,
    groups_left,
    groups_of_tasks,
    hog,
    pid_in,
    run,
)


@pytest.fixture(params=KINDS)
async def within(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Confinement]:
    kept = confinement(request.param, tmp_path)
    yield kept
    await kept.close()
    assert groups_left(tmp_path) == []


@pytest.fixture(params=["groups", "version 2"])
async def grouped(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Confinement]:
    kept = confinement(request.param, tmp_path)
    yield kept
    await kept.close()
    assert groups_left(tmp_path) == []


async def test_a_command_within_its_limits_is_not_disturbed(within: Confinement, tmp_path: Path) -> None:
    ran = await run(within, "echo one; echo two >&2; pwd; exit 3", cwd=tmp_path)
    assert (ran.code, ran.output, ran.excess) == (3, f"one\ntwo\n{tmp_path}\n", "")


async def test_a_command_does_not_see_how_it_was_started(within: Confinement, tmp_path: Path) -> None:
    ran = await run(within, "echo $0 $#; tr '\\0' '\\n' < /proc/$$/environ", cwd=tmp_path)
    first, *environment = ran.output.splitlines()
    # Marks, and what some shells leave.
    seen = {line for line in environment if not line.startswith(("KUGETSU_CALL=", "KUGETSU_ROOM=", "SHLVL=", "_="))}
    assert (first, seen) == ("bash 0", {f"{name}={value}" for name, value in ENV.items()})


async def test_a_command_that_takes_too_much_memory_is_killed_and_others_go_on(within: Confinement) -> None:
    greedy, modest = await asyncio.gather(
        run(within, f"{hog(200, 9)} && echo survived", task="greedy"),
        run(within, f"{hog(20, 2)} && echo survived", task="modest"),
    )
    assert "survived" not in greedy.output
    assert "used more than its 120 MB of memory (`machine.command_mb`): use less, or take smaller" in greedy.excess
    assert (modest.code, modest.output, modest.excess) == (0, "survived\n", "")


async def test_the_memory_of_all_processes_of_a_command_counts(within: Confinement) -> None:
    ran = await run(within, f"for i in 1 2 3 4; do {hog(40, 3)} & done; wait; false")
    assert ran.code != 0
    assert "more than its 120 MB of memory" in ran.excess


async def test_a_command_that_starts_too_many_processes_is_held_up_and_others_go_on(within: Confinement) -> None:
    script = "import subprocess\nfor _ in range(200): subprocess.Popen(['sleep', '60'])\nimport time; time.sleep(60)"
    many, few = await asyncio.gather(
        run(within, f"{shlex.join([sys.executable, '-c', script])} || {{ sleep 2; exit 1; }}", task="many"),
        run(within, "for i in {1..5}; do sleep 1.5 & done; wait && echo survived", task="few"),
    )
    assert many.code not in {0, None}
    assert "60 processes and threads (`machine.command_processes`): start fewer at a time" in many.excess
    assert (few.output, few.excess) == ("survived\n", "")


async def test_without_limits_nothing_is_limited(tmp_path: Path) -> None:
    for within in (Confinement.find(tmp_path, CommandLimits()), Confinement(CommandLimits())):
        ran = await run(within, f"for i in {{1..70}}; do sleep 0.2 & done; wait; {hog(130, 0)} && echo survived")
        assert (ran.code, ran.output, ran.excess) == (0, "survived\n", "")
        await within.close()
    assert within.kind == "no limits"


async def test_the_kernel_kills_commands_before_anything_else(within: Confinement) -> None:
    ran = await run(within, "cat /proc/self/oom_score_adj")
    assert int(ran.output) >= 500


async def test_a_program_that_does_not_exist_is_an_os_error(within: Confinement) -> None:
    async with within.room("task") as room:
        with pytest.raises(FileNotFoundError, match="no-such-program"):
            async with start_command(["no-such-program"], cwd=Path("/"), env=ENV, stdout=1, stderr=2, room=room):
                pass


async def test_a_background_process_stays_within_the_limits_of_its_command(within: Confinement, tmp_path: Path) -> None:
    # It waits until the call is over.
    later = f"(while [ ! -e over ]; do sleep 0.05; done; exec {hog(200)}) > /dev/null 2>&1 & echo $! > child"
    assert (await run(within, later, cwd=tmp_path)).code == 0
    child = await pid_in(tmp_path / "child")
    assert alive(child)
    (tmp_path / "over").touch()
    assert await gone(child)


@pytest.mark.parametrize("escape", ["", "setsid ", "nohup "])
async def test_ending_a_task_ends_what_it_left_in_the_background(
    within: Confinement, tmp_path: Path, escape: str
) -> None:
    script = f"{escape}sleep 300 > /dev/null 2>&1 & echo $! > child"
    await run(within, script, task="one", cwd=tmp_path)
    child = await pid_in(tmp_path / "child")
    await within.end("another")
    assert alive(child)
    await within.end("one")
    assert await gone(child)
    await within.end("one")


async def test_ending_a_task_ends_what_cleared_its_environment_and_left_its_session(
    grouped: Confinement, tmp_path: Path
) -> None:
    script = "(env -i setsid bash -c 'echo $$ > child; exec sleep 300' &) > /dev/null 2>&1"
    await run(grouped, script, cwd=tmp_path)
    child = await pid_in(tmp_path / "child")
    await grouped.end("task")
    assert await gone(child)


async def test_an_empty_group_serves_the_next_command_and_goes_with_the_task(
    grouped: Confinement, tmp_path: Path
) -> None:
    await run(grouped, "true")
    first, everywhere = groups_of_tasks(tmp_path), len(groups_left(tmp_path))
    assert len(first) == everywhere
    await run(grouped, "true")
    assert groups_of_tasks(tmp_path) == first
    await run(grouped, "sleep 300 > /dev/null 2>&1 & echo $! > child", cwd=tmp_path)
    await run(grouped, "true")
    assert len(groups_of_tasks(tmp_path)) == 2 * everywhere
    os.kill(await pid_in(tmp_path / "child"), 9)
    await gone(await pid_in(tmp_path / "child"))
    await run(grouped, "true")
    assert len(groups_of_tasks(tmp_path)) == everywhere
    await grouped.end("task")
    assert groups_of_tasks(tmp_path) == []


async def test_a_task_goes_on_after_it_was_ended(within: Confinement) -> None:
    await run(within, "sleep 300 > /dev/null 2>&1 &")
    await within.end("task")
    assert (await run(within, "sleep 0.01 & wait; echo again")).output == "again\n"


async def test_a_task_of_any_name_gets_room(within: Confinement) -> None:
    for task in ("../..", ".", "a/b", "", "x" * 300, "\N{SNOWMAN}", "a.1"):
        assert (await run(within, "echo in", task=task)).output == "in\n"
        await within.end(task)


async def test_a_group_that_somebody_removed_is_made_again(grouped: Confinement, tmp_path: Path) -> None:
    await run(grouped, "true")
    for base in groups_left(tmp_path):
        for group in Path(base).iterdir():
            if group.is_dir():
                group.rmdir()
        Path(base).rmdir()
    assert (await run(grouped, "echo in")).output == "in\n"


async def test_a_fork_bomb_is_bounded_and_ended(tmp_path: Path) -> None:
    within = confinement("groups", tmp_path)
    ran = await run(within, "bomb() { bomb | bomb & }; bomb; sleep 1", seconds=20)
    assert "could not be started because the command had 60 processes" in ran.excess
    await within.end("task")
    await within.close()
    assert groups_left(tmp_path) == []


async def test_cancelling_a_command_in_a_room_ends_it(within: Confinement, tmp_path: Path) -> None:
    running = asyncio.create_task(run(within, "echo $$ > child; sleep 300", cwd=tmp_path))
    child = await pid_in(tmp_path / "child")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert await gone(child)


async def test_memory_that_processes_share_counts_once(tmp_path: Path) -> None:
    script = (
        "import os, time\ndata = b'x' * (60 << 20)\nfor _ in range(5):\n    if os.fork() == 0: break\ntime.sleep(1.5)\n"
    )
    (tmp_path / "workers.py").write_text(script)
    within = confinement("watched", tmp_path)
    ran = await run(within, "python3 workers.py && echo survived", cwd=tmp_path)
    assert (ran.output, ran.excess) == ("survived\n", "")
    await within.close()


async def test_what_is_used_is_said(tmp_path: Path) -> None:
    watched = Confinement(LIMITS, why="no control groups: none")
    assert watched.kind == "memory and processes looked at every 0.5 s"
    grouped = confinement("version 2", tmp_path)
    assert grouped.kind == "cgroup v2 (to find processes), memory and processes looked at every 0.5 s"
    await grouped.close()
    nowhere = Confinement.find(tmp_path, LIMITS, [])
    assert nowhere.why == "no control groups: this machine has none"
    assert Confinement(CommandLimits(memory_bytes=MB)).kind == "memory looked at every 0.5 s"


def test_a_state_directory_that_cannot_be_written_costs_the_groups_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = Confinement.find(tmp_path / "file", LIMITS)
    assert found.kind == "memory and processes looked at every 0.5 s"
    assert found.why.startswith("no control groups: ")


def test_looking_for_limits_leaves_no_child_behind(tmp_path: Path) -> None:
    found = Confinement.find(tmp_path, LIMITS)
    asyncio.run(found.close())
    children = subprocess.run(["ps", "-o", "stat=,args=", "--ppid", str(os.getpid())], capture_output=True, check=True)
    assert b"Z" not in {line.split()[0][:1] for line in children.stdout.splitlines()}
