"""Programs that hold commands to limits, and crash, live beside each other, or have no rights."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from kugetsu.processes import Confinement
from kugetsu.processes.groups import CONTROLLERS, Group, Place
from kugetsu.processes.hierarchies import own_places
from kugetsu.removal import remove_tree
from processes.confined import LIMITS, alive, confinement, finished, gone, groups_left, pid_in, run, start

NOBODY: Final = 65534

CRASHING: Final = """
async def main():
    within = Confinement.find(home, LIMITS)
    hidden = "(env -i setsid bash -c 'echo $$ > hidden; exec sleep 300' &) > /dev/null 2>&1; until [ -s hidden ]; do :; done"
    await run(within, hidden, cwd=here)
    print("ready", flush=True)
    await run(within, "sleep 300", task="another")

asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["a program starts", "a task is taken up"])
async def test_what_a_killed_program_left_running_is_ended_when(tmp_path: Path, when: str) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    here.mkdir()
    early = confinement("groups", home)
    with start(CRASHING, home, here) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        hidden = await pid_in(here / "hidden")
        await early.end("task of somebody else")
        next_one = Confinement.find(home, LIMITS)
        await next_one.close()
        assert alive(hidden), "the program lives, and with it all its tasks"
        process.send_signal(signal.SIGKILL)
    assert alive(hidden)
    if when == "a program starts":
        next_one = Confinement.find(home, LIMITS)
        await next_one.close()
    else:
        await early.end("any task")
    assert await gone(hidden)
    await early.close()
    assert groups_left(home) == []
    assert list((home / "groups").iterdir()) == []


async def test_a_task_that_another_program_lost_is_ended_there_too(tmp_path: Path) -> None:
    one, other = confinement("groups", tmp_path), confinement("groups", tmp_path)
    await run(one, "sleep 300 > /dev/null 2>&1 & echo $! > mine", task="mine", cwd=tmp_path)
    await run(one, "sleep 300 > /dev/null 2>&1 & echo $! > lost", task="lost", cwd=tmp_path)
    mine, lost = await pid_in(tmp_path / "mine"), await pid_in(tmp_path / "lost")
    await other.end("lost")
    assert await gone(lost)
    assert alive(mine)
    for each in (one, other):
        await each.close()
    assert await gone(mine)
    assert groups_left(tmp_path) == []


GONE: Final = """
async def main():
    within = Confinement.find(home, LIMITS)
    async with within.room("task"):
        print(*(home / "groups").iterdir().__next__().read_text().splitlines(), sep="\\n", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_empty_groups_of_a_killed_program_go_even_if_its_state_directory_is_gone(tmp_path: Path) -> None:
    within = confinement("groups", tmp_path / "first")
    await within.close()
    home = tmp_path / "gone"
    with start(GONE, home, tmp_path) as process:
        output, _ = process.communicate(timeout=30)
    left = [Path(line) for line in output.splitlines()]
    assert left
    assert all(path.is_dir() for path in left)
    assert await remove_tree(home)
    await confinement("groups", tmp_path / "second").close()
    assert not any(path.exists() for path in left)


UNPRIVILEGED: Final = """
def args_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()  # a zombie has none
    except OSError:
        return b""

os.setgroups([]), os.setgid(65534), os.setuid(65534)

bomb = f"bomb() {{ bomb | bomb & }}; bomb; sleep 9; {home}"

async def main():
    within = Confinement.find(home, LIMITS)
    print(within.kind)
    print(within.why)
    print(protect_self())
    print((await run(within, "(head -c 200M /dev/zero; sleep 9) | tail -c 200M > /dev/null")).excess)
    bombed = await run(within, bomb)
    await within.end("task")
    print(bombed.code, bombed.excess)
    print((await run(within, "echo on")).output.strip())
    print(sum(bomb.encode() in args_of(pid) for pid in os.listdir("/proc") if pid.isdigit()))
    await within.close()

asyncio.run(main())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become somebody else")
def test_without_rights_commands_are_watched_and_a_fork_bomb_is_ended(tmp_path: Path) -> None:
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    kind, why, protected, killed, bombed, on, left = finished(UNPRIVILEGED, home, home)
    assert kind == "memory and processes looked at every 0.5 s"
    assert why.startswith("no control groups: ")
    assert protected == "False"
    assert killed.startswith("The command was killed because it used more than its 120 MB of memory")
    assert bombed.startswith("-9 The command was killed because it had more than 60 processes")
    assert on == "on"
    assert left == "0"


@pytest.fixture
def empty_group() -> Iterator[Path]:
    """A group of version 2 that could limit others and has no processes yet."""
    for place in own_places():
        for above in (Path(place.path), *Path(place.path).parents):
            enabled = above / "cgroup.subtree_control"
            if place.version == 2 and enabled.exists() and {"memory", "pids"} & set(enabled.read_text().split()):
                group = above / f"kugetsu-test-{os.getpid()}"
                try:
                    group.mkdir()
                except OSError:
                    continue
                yield group
                assert Group((Place(str(group), 2),)).end()
                return
    pytest.skip("this machine allows no groups of version 2 with controllers")


MOVING: Final = """
async def main():
    (here / "cgroup.procs").write_text("0")
    within = Confinement.find(home, LIMITS)
    print(within.kind, within.why)
    print(Path("/proc/self/cgroup").read_text().splitlines()[-1].endswith("/program.self"))
    print((await run(within, f"{hog(200, 9)}; sleep 0.1; echo next")).excess)
    await within.close()
    print(Path("/proc/self/cgroup").read_text().splitlines()[-1].endswith(here.name))

asyncio.run(main())
"""


def test_in_a_group_of_its_own_a_program_makes_way_for_its_commands(tmp_path: Path, empty_group: Path) -> None:
    kind, away, killed, back = finished(MOVING, tmp_path, empty_group)
    assert kind.startswith("cgroup v2 (memory")
    assert killed.startswith("A process was killed because the command used more than its 120 MB of memory")
    assert (away, back) == ("True", "True")


SHARING: Final = """
(here / "cgroup.procs").write_text("0")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:  # not its child for long
        os.close(1)
        signal.pause()
    os._exit(0)
os.wait()
within = Confinement.find(home, LIMITS, [Place(str(here), 2, ("memory", "pids"))])
print(within.why)
asyncio.run(within.close())
"""


def test_a_group_with_other_programs_in_it_is_left_alone(tmp_path: Path) -> None:
    places = [place for place in own_places() if place.version == 2]
    if not places or os.getuid() != 0:
        pytest.skip("this machine allows no groups of version 2")
    group = Path(places[0].path) / f"kugetsu-test-{os.getpid()}"
    group.mkdir()
    try:
        (why,) = finished(SHARING, tmp_path, group)
        assert "holds other programs, too; a service with `Delegate=yes` has its own" in why
        assert [path.name for path in group.iterdir() if path.is_dir()] == []
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
        asyncio.run(_removed(group))


async def _removed(group: Path) -> None:
    while not Group((Place(str(group), 2, CONTROLLERS),)).remove():
        await asyncio.sleep(0.01)
