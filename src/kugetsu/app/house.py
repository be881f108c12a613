"""The composition root: settings in, shadows and a worker out."""

import contextlib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from kugetsu.agent import Hooks, RetryPolicy, Toolbox
from kugetsu.app.capacity import Capacity
from kugetsu.app.nobody import Nobody
from kugetsu.config import Settings, prepare_home
from kugetsu.engine import Presences, Worker
from kugetsu.errors import ConfigError
from kugetsu.models import SCRIPTED, Models
from kugetsu.protocols import Claim, Clock, Commands, Concurrency, Model, Store, SystemClock
from kugetsu.sessions import Entry
from kugetsu.shadows import NativeRuntime, Parts, Shadow
from kugetsu.storage import SqlStore
from kugetsu.tasks import Budgets, Requeueing, Task, new_task_id
from kugetsu.tools import default_tools
from kugetsu.workspace import GitWorkspaces

_RUNNABLE_SECONDS = 1.0

_SPARE_SECONDS = 60.0
"""Added to the longest time limit of a command: the limit of any tool call."""


def _tell(sentence: str) -> None:
    with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
        sys.stderr.write(f"kugetsu: {sentence}\n")


class House:
    """Everything that shadows share: the store, the worker, the models' connections, the tools. An async context manager.

    Args:
        settings: all of them.
        home: the state directory.
        environ: where commands and models get their variables from.
        clock: time.
        name: of the worker, for people.
        on_trouble: told what went wrong outside of any task, in one sentence.
        on_change: told when the machine gets tight, and when it recovers.

    Attributes:
        store: tasks and all that is kept of them. There from the beginning of the block.
        worker: runs them in this process.
        presences: who else does on this machine.
        capacity: what may be taken of the machine.
        environ: where commands and models get their variables from.
    """

    store: Store
    worker: Worker

    def __init__(
        self,
        settings: Settings,
        home: Path,
        environ: Mapping[str, str],
        *,
        clock: Clock | None = None,
        name: str = "kugetsu",
        on_trouble: Callable[[str], None] = _tell,
        on_change: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        # Read for every task, which the process's own mapping makes slow.
        self.environ = environ = dict(environ)
        self.settings = settings
        self.home = home
        self.clock = clock or SystemClock()
        self.presences = Presences(home)
        self.workspaces = GitWorkspaces(home, environ)
        self._name = name
        self._on_trouble = on_trouble
        self.capacity = Capacity(settings, home, self.clock, on_change)
        self._models = Models(settings, environ, clock=self.clock)
        self._toolbox = Toolbox(default_tools(settings.tools, settings.context))
        self._open = AsyncExitStack()
        self._runnable: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        """Open the state directory and the store.

        Raises:
            ConfigError: the state directory cannot be used.
            RecordError: the store cannot be used.
        """
        prepare_home(self.home)
        async with AsyncExitStack() as stack:
            self.store = await SqlStore.open(self.home, clock=self.clock)
            stack.push_async_callback(self.store.close)
            stack.push_async_callback(self._models.close)
            await stack.enter_async_context(self.capacity.open())
            self.worker = await stack.enter_async_context(
                Worker(
                    self.store,
                    self.presences,
                    clock=self.clock,
                    lease_seconds=self.settings.queue.lease_seconds,
                    name=self._name,
                    on_trouble=self._on_trouble,
                ).open()
            )
            self._open = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give back what was not finished, and close everything."""
        await self._open.__aexit__(kind, error, traceback)

    @property
    def commands(self) -> Commands:
        """Gives room to commands of agents."""
        return self.capacity.commands

    def verify(self) -> None:
        """Look whether what all tasks need can be used.

        Raises:
            ConfigError: a model that is asked instead of others, or writes summaries, cannot.
        """
        if self.settings.fallback:
            self._models.open(self.settings.fallback)
        self._writer()

    def limits(self) -> Concurrency:
        """How many tasks of one kind may run at the same time, as providers have room now."""
        queue, room = self.settings.queue, self._models.room()
        rooms = {name: min(free, queue.per_model) if queue.per_model else free for name, free in room.items()}
        return Concurrency(
            repository=queue.per_repository,
            model=queue.per_model,
            models=rooms,
            closed=frozenset(self._models.closed()),
        )

    def budgets(self, repo: str) -> Budgets:
        """What a repository's tasks may use up in a day, beside their own limits."""
        budgets = self.settings.budgets
        return Budgets(day=budgets.day, repository=budgets.repositories.get(repo, budgets.repository))

    def task(
        self,
        repo: str,
        prompt: str = "",
        *,
        model: str = "",
        base: str = "",
        check: str | None = None,
        notices: tuple[str, ...] = (),
        priority: int = 0,
        start_at: float = 0.0,
        deadline_at: float = 0.0,
        after: tuple[str, ...] = (),
        subject: str = "",
        reply_to: Mapping[str, str] | None = None,
        queued: bool = False,
    ) -> Task:
        """Make a task; what is not said comes from the settings.

        Args:
            repo: path or URL.
            prompt: the job.
            model: `provider/model` or `scripted:FILE`; empty for the settings' own.
            base: branch, tag or commit; empty for the branch that is checked out.
            check: shell command; None for the settings' own, empty for none.
            notices: what the user should know of how the task was set up.
            priority: see `Task`.
            start_at: see `Task`.
            deadline_at: see `Task`.
            after: see `Task`.
            subject: see `Task`.
            reply_to: see `Task`.
            queued: whether it is tried again by itself, as the settings say; one in the foreground is not.
        """
        settings, queue = self.settings, self.settings.queue
        return Task(
            id=new_task_id(),
            prompt=prompt,
            repo=_absolute(repo),
            model=_from_anywhere(model or settings.model),
            base=base,
            check=settings.check if check is None else check,
            check_seconds=settings.check_seconds,
            limits=settings.limits,
            instructions=settings.instructions,
            created_at=self.clock.now(),
            notices=notices,
            priority=priority,
            start_at=start_at,
            deadline_at=deadline_at,
            after=after,
            subject=subject,
            reply_to=dict(reply_to or {}),
            attempts=queue.attempts if queued else 1,
            patience_seconds=queue.patience_seconds if queued else 0.0,
            commit_leftovers=settings.workspace.commit_leftovers,
            keep_workspace=settings.workspace.keep,
        )

    def require_runnable(self, task: Task) -> None:
        """Refuse what could never run. A model that was found right is taken to be so for a second: many tasks may come in.

        Raises:
            ConfigError: as for `shadow`.
        """
        now = self.clock.monotonic()
        if self._runnable.get(task.model, -math.inf) < now:
            self.shadow(task)
            self._runnable = {name: until for name, until in self._runnable.items() if until > now}
            self._runnable[task.model] = now + _RUNNABLE_SECONDS

    def shadow(self, task: Task, beginning: Sequence[Entry] = (), hooks: Hooks | None = None) -> Shadow:
        """Make the shadow that will do a new task; it is submitted when the shadow runs.

        Args:
            task: which.
            beginning: what its session begins with, for a fork.
            hooks: the caller's own code that looks into the run.

        Raises:
            ConfigError: the task's model cannot be used: unknown provider, missing key.
        """
        return Shadow(task, self.parts(task, hooks or Hooks()), beginning=beginning)

    def shadow_of(self, claim: Claim) -> Shadow:
        """Make the shadow that goes on with a task that this house's worker got. One that is to be cancelled needs no model.

        Raises:
            ConfigError: as for `shadow`.
        """
        task = claim.record.task
        return Shadow(task, self.parts(task, Hooks(), silent=claim.record.wanted == "cancel"), claim)

    def parts(self, task: Task, hooks: Hooks, *, silent: bool = False) -> Parts:
        """Gather what the shadow of a task is put together from.

        Args:
            task: whose.
            hooks: the caller's own code.
            silent: whether no model will be asked.

        Raises:
            ConfigError: as for `shadow`.
        """
        settings, retry = self.settings, self.settings.retry
        # A task of the queue need not keep its slot while it waits for a provider.
        patience = retry.park_seconds if task.patience_seconds else None
        runtime = NativeRuntime(
            Nobody(task.model) if silent else self._model(task, patience),
            self._toolbox,
            clock=self.clock,
            hooks=hooks,
            retry=RetryPolicy(retry.attempts, retry.base_seconds, retry.cap_seconds, patience),
            loops=settings.loops,
            context=settings.context,
            compaction=settings.compaction,
            writer=None if silent else self._writer(),
            call_seconds=settings.tools.bash_seconds_max + _SPARE_SECONDS,
        )
        return Parts(
            runtime=runtime,
            workspaces=self.workspaces,
            store=self.store,
            clock=self.clock,
            worker=self.worker.ready,
            scratch=self.home / "scratch" / task.id,
            environment=self.environ,
            allow=settings.tools.environment,
            hooks=hooks,
            requeueing=Requeueing(settings.queue.base_seconds, settings.queue.cap_seconds),
            commands=self.commands,
            budgets=self.budgets(task.repo),
        )

    def _writer(self) -> Model | None:
        """The model that writes summaries; None for a task's own. As work goes on without it, nobody waits for it long."""
        name, patience = self.settings.compaction.model, self.settings.retry.park_seconds
        try:
            return self._models.open(name, patience=patience, aside=True) if name else None
        except ConfigError as error:
            raise type(error)(f"`compaction.model`: {error.message}", fix=error.fix) from None

    def _model(self, task: Task, patience: float | None) -> Model:
        if not task.model:
            raise ConfigError(
                "no model is named", fix="use --model provider/model, or set `model` in your kugetsu.toml"
            )
        return self._models.open(task.model, patience=patience)


def _absolute(repo: str) -> str:
    """The same repository, wherever the result is read."""
    path = Path(repo)
    return str(path.absolute()) if path.exists() else repo


def _from_anywhere(model: str) -> str:
    """The same model, wherever the task is taken up again: a script is named by its whole path."""
    if not model.startswith(SCRIPTED) or model == SCRIPTED:
        return model
    return f"{SCRIPTED}{Path(model.removeprefix(SCRIPTED)).expanduser().absolute()}"
