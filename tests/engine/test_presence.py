import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from kugetsu.engine import Presences, this_host
from kugetsu.protocols import WorkerInfo

CHILD = """
import asyncio, sys
from pathlib import Path
from kugetsu.engine import Presences

async def main():
    with Presences(Path(sys.argv[1])).show("child", lambda: print("called", flush=True)):
        print("here", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


def info(worker: str, host: str = "") -> WorkerInfo:
    return WorkerInfo(worker, host or this_host(), 1)


async def test_a_worker_lives_while_it_shows_itself_and_is_gone_after(tmp_path: Path) -> None:
    presences = Presences(tmp_path)
    assert presences.is_gone(info("one"))
    with presences.show("one", lambda: None):
        assert not Presences(tmp_path).is_gone(info("one"))
    assert presences.is_gone(info("one"))


def test_a_process_that_is_killed_is_gone_at_once_and_one_that_is_stopped_is_not(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, tmp_path], stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == b"here\n"
        presences = Presences(tmp_path)
        assert not presences.is_gone(info("child"))
        os.kill(child.pid, signal.SIGSTOP)
        assert not presences.is_gone(info("child"))
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert presences.is_gone(info("child"))
        presences.sweep()
        assert list((tmp_path / "workers").iterdir()) == []
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


async def test_nobody_can_know_about_another_machine_and_everybody_about_an_earlier_boot(tmp_path: Path) -> None:
    presences = Presences(tmp_path)
    machine = this_host().partition("/")[0]
    assert not presences.is_gone(info("far", "another machine/boot"))
    assert presences.is_gone(info("before", f"{machine}/an earlier boot"))


async def test_a_call_reaches_every_living_worker_and_nobody_waits_for_the_dead(tmp_path: Path) -> None:
    presences = Presences(tmp_path)
    presences.call_all()
    called = [asyncio.Event(), asyncio.Event()]
    with presences.show("one", called[0].set), presences.show("two", called[1].set):
        (tmp_path / "workers" / "no pipe").write_text("x")
        os.mkfifo(tmp_path / "workers" / "dead")
        presences.call_all()
        async with asyncio.timeout(5):
            await called[0].wait()
            await called[1].wait()
    assert (tmp_path / "workers" / "no pipe").read_text() == "x"


async def test_sweeping_leaves_the_living_alone(tmp_path: Path) -> None:
    presences = Presences(tmp_path)
    presences.sweep()
    with presences.show("one", lambda: None):
        os.mkfifo(tmp_path / "workers" / "dead")
        presences.sweep()
        assert [path.name for path in (tmp_path / "workers").iterdir()] == ["one"]
