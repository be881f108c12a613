"""The composition root: settings in, shadows out."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from kugetsu.agent import Hooks, RetryPolicy, Toolbox
from kugetsu.config import Settings, prepare_home
from kugetsu.errors import ConfigError
from kugetsu.models import Models
from kugetsu.protocols import Clock, SystemClock
from kugetsu.shadows import NativeRuntime, Parts, Shadow
from kugetsu.storage import FileStore
from kugetsu.tasks import Task, new_task_id
from kugetsu.tools import default_tools
from kugetsu.workspace import GitWorkspaces

_SPARE_SECONDS = 60.0
"""Added to the longest time limit of a command: the limit of any tool call."""


class House:
    """Everything that shadows share: the models' connections, the tools, the records. An async context manager."""

    def __init__(
        self, settings: Settings, home: Path, environ: Mapping[str, str], *, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self.home = home
        self.store = FileStore(home)
        self.clock = clock or SystemClock()
        self._environ = environ
        self._models = Models(settings, environ, clock=self.clock)
        self._workspaces = GitWorkspaces(home, environ)
        self._toolbox = Toolbox(default_tools(settings.tools))

    async def __aenter__(self) -> Self:
        """Make sure that the state directory can be used.

        Raises:
            ConfigError: it cannot.
        """
        prepare_home(self.home)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the models' connections. May be called twice."""
        await self._models.close()

    def task(
        self,
        repo: str,
        prompt: str = "",
        *,
        model: str = "",
        base: str = "",
        check: str | None = None,
        notices: tuple[str, ...] = (),
    ) -> Task:
        """Make a task; what is not said comes from the settings.

        Args:
            repo: path or URL.
            prompt: the job.
            model: `provider/model` or `scripted:FILE`; empty for the settings' own.
            base: branch, tag or commit; empty for the branch that is checked out.
            check: shell command; None for the settings' own, empty for none.
            notices: what the user should know of how the task was set up.
        """
        return Task(
            id=new_task_id(),
            prompt=prompt,
            repo=_absolute(repo),
            model=model or self.settings.model,
            base=base,
            check=self.settings.check if check is None else check,
            check_seconds=self.settings.check_seconds,
            limits=self.settings.limits,
            created_at=self.clock.now(),
            notices=notices,
        )

    def shadow(self, task: Task, hooks: Hooks | None = None) -> Shadow:
        """Make the shadow that will do a task.

        Raises:
            ConfigError: the task's model cannot be used: unknown provider, missing key.
        """
        return Shadow(task, self.parts(task, hooks or Hooks()))

    def parts(self, task: Task, hooks: Hooks) -> Parts:
        """Gather what the shadow of a task is put together from.

        Raises:
            ConfigError: as for `shadow`.
        """
        if not task.model:
            raise ConfigError(
                "no model is named", fix="use --model provider/model, or set `model` in your kugetsu.toml"
            )
        settings = self.settings
        runtime = NativeRuntime(
            self._models.open(task.model),
            self._toolbox,
            clock=self.clock,
            hooks=hooks,
            retry=RetryPolicy(settings.retry.attempts, settings.retry.base_seconds, settings.retry.cap_seconds),
            instructions=settings.instructions,
            call_seconds=settings.tools.bash_seconds_max + _SPARE_SECONDS,
        )
        return Parts(
            runtime=runtime,
            workspaces=self._workspaces,
            store=self.store,
            clock=self.clock,
            scratch=self.home / "scratch" / task.id,
            environment=self._environ,
            allow=settings.tools.environment,
            hooks=hooks,
            commit_leftovers=settings.workspace.commit_leftovers,
            keep_workspace=settings.workspace.keep,
        )


def _absolute(repo: str) -> str:
    """The same repository, wherever the result is read."""
    path = Path(repo)
    return str(path.absolute()) if path.exists() else repo
