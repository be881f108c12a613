"""Who works on what: workers, their leases, what they claim, and how much at once."""

import msgspec

from kugetsu.tasks import Note, TaskRecord


class WorkerInfo(msgspec.Struct, frozen=True):
    """Who runs tasks.

    Attributes:
        id: unique for all time.
        host: machine and boot it lives on; its processes and files are reachable from there only.
        pid: process id on that host.
        name: for people, for example `kugetsu run`.
    """

    id: str
    host: str
    pid: int
    name: str = ""


class WorkerState(msgspec.Struct, frozen=True):
    """A worker that holds, or held, a lease.

    Attributes:
        expires_at: end of its lease on the store's clock; seconds since the epoch.
    """

    info: WorkerInfo
    expires_at: float


class Lease(msgspec.Struct, frozen=True):
    """Ownership of a task. Every write of a run carries it.

    Attributes:
        generation: the fencing token: a write with any but the task's own is refused.
    """

    task: str
    generation: int


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A task that a worker got.

    Attributes:
        record: the task, running.
        notes: what users said and no run has taken yet, oldest first.
        last_event: number of the task's last event; the next one is one more.
    """

    record: TaskRecord
    notes: tuple[Note, ...] = ()
    last_event: int = 0

    @property
    def lease(self) -> Lease:
        """What every write of the run carries."""
        return Lease(self.record.id, self.record.generation)


class Concurrency(msgspec.Struct, frozen=True):
    """How many tasks may run at the same time.

    Attributes:
        repository: of one repository; 0 for no limit.
        model: with one model; 0 for no limit.
        repositories, models: other limits for those that are named.
        closed: models with which none may start now.
    """

    repository: int = 0
    model: int = 0
    repositories: dict[str, int] = {}
    models: dict[str, int] = {}
    closed: frozenset[str] = frozenset()


class Attention(msgspec.Struct, frozen=True):
    """A running task of which somebody wants something.

    Attributes:
        generation: of the run that is meant.
        wanted: what its worker shall do, with the reason.
        notes: what no run has taken yet, oldest first.
    """

    task: str
    generation: int
    wanted: str = ""
    reason: str = ""
    notes: tuple[Note, ...] = ()
