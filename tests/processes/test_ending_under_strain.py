"""A task is ended for certain, or it is said that it is not certain."""

import asyncio
from pathlib import Path
from typing import Final

import pytest

from processes.confined import confinement, finished, gone, groups_of_tasks, pid_in, run


@pytest.mark.parametrize("cancelled", [True, False])
async def test_an_end_that_is_not_over_is_finished_by_the_next(tmp_path: Path, cancelled: bool) -> None:
    within = confinement("groups", tmp_path)
    await run(within, "setsid sleep 300 > /dev/null 2>&1 & echo $! > child", cwd=tmp_path)
    child = await pid_in(tmp_path / "child")
    early = asyncio.create_task(within.end("task"))
    await asyncio.sleep(0)
    if cancelled:
        early.cancel()
    assert await within.end("task")
    assert groups_of_tasks(tmp_path) == []
    assert await gone(child)
    (ended,) = await asyncio.gather(early, return_exceptions=True)
    assert ended is True or isinstance(ended, asyncio.CancelledError)
    await within.close()


WITHOUT_DESCRIPTORS: Final = """
import resource, subprocess

def without_descriptors():
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    try:
        while True:
            taken.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return taken

async def main():
    within = Confinement.find(home, LIMITS) if KIND == "groups" else Confinement(LIMITS)
    async with within.room("task") as room:
        left = subprocess.Popen(room.wrap(["sleep", "300"]), start_new_session=True)
        room.entered(left.pid)
        while Path(f"/proc/{left.pid}/comm").read_text() != "sleep\\n":
            await asyncio.sleep(0.01)
        await asyncio.to_thread(int)  # so that there is a thread
        taken = without_descriptors()
    print(await within.end("task"))
    for file in taken:
        os.close(file)
    print(left.poll())
    print((await run(within, "echo on")).output.strip())
    print(await within.end("task"))
    print(left.wait(5))
    taken = without_descriptors()
    await within.close()
    for file in taken:
        os.close(file)
    await within.close()

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["groups", "watched"])
async def test_without_descriptors_nothing_is_certain_and_a_later_end_ends_it(tmp_path: Path, kind: str) -> None:
    if kind == "groups":
        await confinement(kind, tmp_path).close()  # or skip
    lines = finished(WITHOUT_DESCRIPTORS.replace("KIND", repr(kind)), tmp_path, tmp_path)
    assert lines == ["False", "None", "on", str(kind == "groups"), "-9"]
