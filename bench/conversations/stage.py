"""Where stories are played: a real shadow with the real tools and store, without git."""

import itertools
import os
import statistics
import time
from array import array
from pathlib import Path
from typing import Final

from bench.conversations.story import OUTPUT, Story
from bench.conversations.teller import NAME, Teller

from kugetsu.agent import Hooks, RetryPolicy, Toolbox
from kugetsu.app.tuning import tune_process
from kugetsu.engine import Presences, Worker
from kugetsu.events import Event
from kugetsu.messages import user
from kugetsu.protocols import SystemClock, WorkerInfo
from kugetsu.sessions import Entry, Heard
from kugetsu.shadows import NativeRuntime, Parts, Shadow
from kugetsu.storage import SqlStore
from kugetsu.tasks import Ending, Limits, Outcome, Task, new_task_id
from kugetsu.testing import DirectoryWorkspace, DirectoryWorkspaces
from kugetsu.tools import default_tools

NO_LIMITS: Final = Limits(turns=0, tokens=0, usd=0, wall_seconds=0, idle_seconds=0)
SAMPLED: Final = 50
"""Turns between two looks at the memory."""

_CACHE: Final = 12 * 2**20
"""Bytes; more than the store caches."""

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class _Project(DirectoryWorkspace):
    """The project of the story, of which no snapshot is taken."""

    async def snapshot(self, turn: int) -> str:
        """Keep nothing; each turn has a snapshot of its own, as if it had changed something."""
        return f"{turn:040}"


class _Projects(DirectoryWorkspaces):
    """Makes one."""

    def __init__(self, parent: Path, story: Story) -> None:
        super().__init__(parent)
        self._story = story

    async def create(self, task: Task, *, again: bool = False) -> _Project:
        """Write the files."""
        made = await super().create(task, again=again)
        for name, text in self._story.files.items():
            file = made.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return _Project(made.path, made.branch)


class Watch:
    """What a run takes, turn by turn.

    Attributes:
        cpu, wall: seconds since the beginning, before each reply; of this process, its threads included.
        memory: resident MB, by turn.
    """

    def __init__(self, teller: Teller) -> None:
        self.cpu = array("d")
        self.wall = array("d")
        self.memory: dict[int, float] = {}
        self._teller = teller

    def look(self, turn: int) -> None:
        """So many replies were given."""
        own = self._teller.own_seconds
        self.cpu.append(time.process_time() - own)
        self.wall.append(time.perf_counter() - own)
        if turn and turn % SAMPLED == 0:
            self.memory[turn] = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 2**20

    def cpu_of(self, first: int, last: int) -> float:
        """Milliseconds of CPU that a turn takes, the mean from one turn to another."""
        return 1000 * (self.cpu[last] - self.cpu[first]) / (last - first)

    def wall_of(self, first: int, last: int) -> float:
        """Milliseconds that a turn lasts, the median: others use the disk too, which the mean would show."""
        seen = self.wall[first : last + 1]
        return 1000 * statistics.median(after - before for before, after in itertools.pairwise(seen))


class Played:
    """A run that is over.

    Attributes:
        story: what was played.
        teller: what was sent.
        watch: what it took.
        entries: the log.
        events: what happened.
    """

    def __init__(self, story: Story, teller: Teller, watch: Watch, entries: list[Entry], events: list[Event]) -> None:
        self.story = story
        self.teller = teller
        self.watch = watch
        self.entries = entries
        self.events = events


async def _fill_cache(store: SqlStore, worker: WorkerInfo) -> None:
    """Let another task write so much that the database's cache of pages, which all tasks share, is as large as it gets."""
    other = Task(id=new_task_id(), prompt="Fill it.", repo="none", model=NAME)
    claim = (await store.submit(other, worker=worker.id)).claim
    assert claim is not None
    for number in range(_CACHE // OUTPUT):
        await store.append(claim.lease, (Heard(user(f"{number} " + "x" * OUTPUT)),))
    outcome = Outcome("completed", "full")
    await store.settle(claim.lease, Ending(state="completed", outcome=outcome, report=claim.record.report))


async def play(story: Story, window: int, home: Path) -> Played:
    """Play a story to its end; whatever goes wrong ends the measurement."""
    clock, teller = SystemClock(), Teller(story, window)
    watch = Watch(teller)
    store = await SqlStore.open(home)
    worker = Worker(store, Presences(home), clock=clock)
    runtime = NativeRuntime(teller, Toolbox(default_tools()), clock=clock, hooks=Hooks(), retry=RetryPolicy(attempts=1))
    task = Task(
        id=new_task_id(), prompt=story.prompt, repo="none", model=NAME, created_at=clock.now(), limits=NO_LIMITS
    )
    parts = Parts(
        runtime=runtime,
        workspaces=_Projects(home / "worktrees", story),
        store=store,
        clock=clock,
        worker=worker.ready,
        scratch=home / "scratch" / task.id,
        environment=os.environ,
    )
    shadow = Shadow(task, parts)
    teller.say, teller.look = shadow.steer, watch.look
    tune_process()
    async with worker.open():
        await _fill_cache(store, await worker.ready())
        report = await worker.run(shadow)
    entries = [line.entry for line in await store.session(task.id)]
    events = await store.events(task.id)
    await store.close()
    if report.state != "completed" or report.turns != len(story.turns) + 1:
        raise SystemExit(f"the task failed, so nothing was measured: {report.state} {report.outcome}")
    return Played(story, teller, watch, entries, events)
