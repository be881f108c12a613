"""A shadow for programs: names instead of parts."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from kugetsu.agent import Hooks
from kugetsu.app.house import House
from kugetsu.config import Settings, load_settings, state_home
from kugetsu.errors import UsageError
from kugetsu.events import Feed
from kugetsu.shadows import Shadow as BareShadow
from kugetsu.tasks import TaskReport


class Shadow:
    """One isolated agent, on the settings that the command line would use.

    ```python
    async with Shadow("path/to/repo", model="openai/gpt-5.1", check="pytest -q") as shadow:
        report = await shadow.run("Fix the failing date parser test")
    print(report.state, report.branch)
    ```

    Args:
        repo: path or URL of the repository.
        model: `provider/model` or `scripted:FILE`; empty for the settings' own.
        check: shell command whose success proves the work; None for the settings' own, empty for none.
        base: branch, tag or commit to start from; empty for the branch that is checked out.
        hooks: the caller's own code that looks into the run.
        settings: all other settings; None to read them as the command line does.
        environ: where variables come from; None for this process's own.

    Attributes:
        task: what is to be done; its prompt is the one that `run` is given.

    Raises:
        ConfigError: a setting is wrong.
    """

    def __init__(
        self,
        repo: str | Path = ".",
        *,
        model: str = "",
        check: str | None = None,
        base: str = "",
        hooks: Hooks | None = None,
        settings: Settings | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        environ = os.environ if environ is None else environ
        notices: tuple[str, ...] = ()
        if settings is None:
            loaded = load_settings(environ=environ, repo=Path(repo))
            settings, notices = loaded.settings, loaded.notices
        self._house = House(settings, state_home(environ), environ, name="a program")
        self.task = self._house.task(str(repo), model=model, base=base, check=check, notices=notices)
        self._hooks = hooks
        self._shadow: BareShadow | None = None

    async def __aenter__(self) -> Self:
        """Open the state directory.

        Raises:
            ConfigError: the model or the state directory cannot be used.
            RecordError: the store cannot be used.
        """
        await self._house.__aenter__()
        try:
            self._shadow = self._house.shadow(self.task, hooks=self._hooks)
        except BaseException:
            await self._house.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close everything; a task that is not over can be taken up again with `kugetsu resume`."""
        await self._house.__aexit__(kind, error, traceback)

    @property
    def feed(self) -> Feed:
        """What happens, as it happens."""
        return self._inner.feed

    async def run(self, prompt: str) -> TaskReport:
        """Do the task and report; see `kugetsu.shadows.Shadow.run`."""
        return await self._house.worker.run(self._inner, prompt)

    def steer(self, text: str) -> None:
        """Say something to the agent as soon as its running tool batch is done."""
        self._inner.steer(text)

    def follow_up(self, text: str) -> None:
        """Say something when the agent would otherwise stop."""
        self._inner.follow_up(text)

    def cancel(self, reason: str = "cancelled by the user") -> None:
        """End the task soon; what the agent did is kept on the branch."""
        self._inner.cancel(reason)

    @property
    def _inner(self) -> BareShadow:
        if self._shadow is None:
            raise UsageError("the shadow is used outside of its block", fix="use `async with Shadow(...) as shadow:`")
        return self._shadow
