"""What one command did is not charged to the next one, nor said of it."""

import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kugetsu.processes import CommandLimits, Confinement
from kugetsu.processes.groups import Group, Place
from kugetsu.processes.limits import OUT_OF_MEMORY, OUT_OF_PROCESSES
from processes.confined import LIMITS, MB, confinement, groups_left, hog, outer_group, run

SHARED = Path("/dev/shm")


def zombie(argv: list[str | Path]) -> subprocess.Popen[bytes]:
    """A process that has ended, which nobody has waited for."""
    process = subprocess.Popen(argv)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return process


@pytest.fixture
async def grouped(tmp_path: Path) -> AsyncIterator[Confinement]:
    kept = confinement("groups", tmp_path, CommandLimits(memory_bytes=LIMITS.memory_bytes, processes=8))
    yield kept
    await kept.close()
    assert groups_left(tmp_path) == []


@pytest.mark.skipif(not os.access(SHARED, os.W_OK), reason="there is no shared memory")
async def test_shared_memory_that_a_command_left_is_not_charged_to_the_next(grouped: Confinement) -> None:
    left = SHARED / f"kugetsu-test-{os.getpid()}"
    try:
        assert (await run(grouped, f"head -c {70 * MB} /dev/zero > {left}")).code == 0
        ran = await run(grouped, f"{hog(70, 0)} && echo survived")
    finally:
        left.unlink(missing_ok=True)
    assert (ran.output, ran.excess) == ("survived\n", "")


async def test_zombies_that_a_command_left_do_not_count_for_the_next(grouped: Confinement) -> None:
    async with grouped.room("task") as room:
        zombies = [zombie(room.wrap(["true"])) for _ in range(8)]
    ran = await run(grouped, "sleep 0.01 & wait; echo in")
    assert [each.wait() for each in zombies] == [0] * 8
    assert (ran.output, ran.excess) == ("in\n", "")


async def test_the_memory_of_one_command_is_not_held_against_the_next(tmp_path: Path) -> None:
    with outer_group("memory") as outer:
        within = Confinement.find(tmp_path, CommandLimits(memory_bytes=100 * MB), [outer])
        assert (await run(within, hog(91, 0))).excess == ""
        Path(outer.path, "memory.limit_in_bytes").write_text(str(20 * MB))
        assert (await run(within, hog(60, 0))).excess == OUT_OF_MEMORY
        await within.close()


async def test_a_command_is_not_told_of_its_own_limit_when_a_group_around_it_is_full(tmp_path: Path) -> None:
    script = "import subprocess\nfor _ in range(30): subprocess.Popen(['sleep', '0.1'])"
    with outer_group("pids") as outer:
        Path(outer.path, "pids.max").write_text("12")
        within = Confinement.find(tmp_path, CommandLimits(processes=60), [outer])
        ran = await run(within, shlex.join([sys.executable, "-c", script]))
        await within.close()
    assert ran.code != 0
    assert ran.excess == OUT_OF_PROCESSES


def test_a_group_that_cannot_be_read_serves_no_other_command(tmp_path: Path) -> None:
    for controllers in ((), ("pids",), ("memory",)):
        assert not Group((Place(str(tmp_path / "nothing"), 2, controllers),)).pristine
