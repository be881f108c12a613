"""Models by name, over one pool of connections."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from kugetsu.config import Settings
from kugetsu.errors import ConfigError
from kugetsu.models.scripted import Places, ScriptedModel
from kugetsu.protocols import Clock, Model, SystemClock
from kugetsu.rehearsal import load_script

if TYPE_CHECKING:
    from kugetsu.models.http import Connections

SCRIPTED: Final = "scripted:"
"""What names of rehearsal models begin with; a file follows."""


class Models:
    """Gives models by name. An async context manager: leaving it closes all connections.

    Args:
        settings: whose providers count, over the built-in ones.
        environ: where keys are looked up; nothing else of it is read.
        clock: for the waits of rehearsals and the dates of providers; None for the machine's.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], *, clock: Clock | None = None) -> None:
        self._providers = settings.providers
        self._environ = environ
        self._clock = clock or SystemClock()
        self._connections: Connections | None = None
        self._known: dict[str, Model] = {}
        self._places: dict[str, Places] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def open(self, name: str) -> Model:
        """Give the model of a name: `provider/model`, or `scripted:FILE` for a rehearsal.

        A model over HTTP is the same object every time; a rehearsal begins anew every time. Makes no connection.

        Raises:
            ConfigError: the name, its provider or its script cannot be used; never shows a key.
        """
        if name.startswith(SCRIPTED):
            return self._rehearsal(name.removeprefix(SCRIPTED))
        if name not in self._known:
            self._known[name] = self._over_http(name)
        return self._known[name]

    async def close(self) -> None:
        """Close all connections; calls under way fail as `network`. May be called twice."""
        if self._connections is not None:
            await self._connections.close()

    def _rehearsal(self, file: str) -> Model:
        if not file:
            raise ConfigError("`scripted:` names no file", fix="write scripted:FILE, with a script in YAML or JSON")
        path = Path(file).expanduser()
        places = self._places.setdefault(file, {})
        return ScriptedModel(load_script(path), f"{SCRIPTED}{path.name}", self._clock, places)

    def _over_http(self, name: str) -> Model:
        provider, slash, model = name.partition("/")
        if not (provider and slash and model):
            raise ConfigError(
                f"{name!r} is no name of a model",
                fix="write provider/model, for example openai/gpt-5, or scripted:FILE",
            )
        # The library for HTTP takes a fifth of a second to import, which rehearsals need not wait for.
        from kugetsu.models.assembly import assemble  # noqa: PLC0415 - see above
        from kugetsu.models.http import Connections  # noqa: PLC0415 - see above
        from kugetsu.models.provider import find_provider  # noqa: PLC0415 - see above

        found = find_provider(provider, self._providers, self._environ)
        if self._connections is None:
            self._connections = Connections()
        return assemble(found, model, self._connections, self._clock)
