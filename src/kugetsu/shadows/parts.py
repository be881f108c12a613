"""What a shadow is put together from."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kugetsu.agent import Hooks
from kugetsu.protocols import Clock, Commands, Runtime, Store, Unlimited, WorkerInfo, Workspaces
from kugetsu.tasks import Budgets, Requeueing


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a shadow is put together from.

    Attributes:
        runtime: runs the loop; made for this shadow.
        worker: registers whoever runs this shadow, if that is still to be done, and says who it is.
        scratch: a directory of this shadow, made by it and removed when its task is over.
        environment: what commands may inherit from (see `clean_environment`).
        allow: names of variables that commands inherit beside the built-in list.
        requeueing: decides whether a failed run is tried again.
        commands: gives room to the agent's commands.
        budgets: what the task falls under, beside its own limits.
    """

    runtime: Runtime
    workspaces: Workspaces
    store: Store
    clock: Clock
    worker: Callable[[], Awaitable[WorkerInfo]]
    scratch: Path
    environment: Mapping[str, str]
    allow: tuple[str, ...] = ()
    hooks: Hooks = field(default_factory=Hooks)
    requeueing: Requeueing = field(default_factory=Requeueing)
    commands: Commands = field(default_factory=Unlimited)
    budgets: Budgets = field(default_factory=Budgets)
