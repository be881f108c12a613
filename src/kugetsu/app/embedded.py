"""A shadow for programs: names instead of parts."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from kugetsu.agent import Hooks
from kugetsu.app.house import House
from kugetsu.config import Settings, load_settings, state_home
from kugetsu.shadows import Shadow as BareShadow


class Shadow(BareShadow):
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

    Raises:
        ConfigError: a setting is wrong, or the model cannot be used.
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
        self._house = House(settings, state_home(environ), environ)
        task = self._house.task(str(repo), model=model, base=base, check=check, notices=notices)
        super().__init__(task, self._house.parts(task, hooks or Hooks()))

    async def __aenter__(self) -> Self:
        await self._house.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._house.close()
