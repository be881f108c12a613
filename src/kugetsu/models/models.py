"""Models by name, over one pool of connections, and within limits that all who use them share."""

import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from kugetsu.config import Settings
from kugetsu.errors import ConfigError
from kugetsu.models.breaker import Breaker
from kugetsu.models.limiter import Patience
from kugetsu.models.scripted import Places, ScriptedModel
from kugetsu.protocols import Clock, Model, SystemClock
from kugetsu.rehearsal import load_script

if TYPE_CHECKING:
    from kugetsu.models.http import Connections
    from kugetsu.models.http_model import HttpModel

SCRIPTED: Final = "scripted:"
"""What names of rehearsal models begin with; a file follows."""


class Models:
    """Gives models by name. An async context manager: leaving it closes all connections.

    Args:
        settings: whose providers count, over the built-in ones, and whose fallback and patience.
        environ: where keys are looked up; nothing else of it is read.
        clock: for all waits, and the dates of providers; None for the machine's.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str], *, clock: Clock | None = None) -> None:
        self._providers = settings.providers
        self._fallback = settings.fallback
        self._park_seconds = settings.retry.park_seconds
        self._cap_seconds = settings.retry.cap_seconds
        self._environ = environ
        self._clock = clock or SystemClock()
        self._connections: Connections | None = None
        self._known: dict[str, HttpModel] = {}
        self._aside: set[str] = set()
        self._breakers: dict[str, Breaker] = {}
        self._places: dict[str, Places] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def open(self, name: str, *, patience: float | None = None, aside: bool = False) -> Model:
        """Give the model of a name: `provider/model`, or `scripted:FILE` for a rehearsal. Makes no connection.

        A model over HTTP has the limits of its provider, which all share, and the fallback of the settings: whatever lacks
        capacity for longer than `retry.park_seconds` is asked of that one. A rehearsal begins anew every time, and has
        neither.

        Args:
            name: see above.
            patience: how many seconds a call may wait before it begins; one that would have to wait longer fails at once,
                as `rate_limited` and with how long it would be. None for one that has nowhere else to wait: it waits for
                its turn as long as that takes, and up to `retry.cap_seconds` until its provider takes calls again.
            aside: whether work goes on without it, so that no task need wait for it: of a model that is opened in no other
                way `closed` says nothing, and that it fails holds back no other model of its provider.

        Raises:
            ConfigError: the name, its provider, its script or the fallback cannot be used; never shows a key.
        """
        if name.startswith(SCRIPTED):
            return self._rehearsal(name.removeprefix(SCRIPTED))
        # Imports the library for HTTP, which rehearsals need not wait for.
        from kugetsu.models.opened import OpenedModel  # noqa: PLC0415 - see above

        allowed = Patience(block=self._cap_seconds) if patience is None else Patience(patience, patience)
        if not aside:
            self._aside.discard(name)
        elif name not in self._known:
            self._aside.add(name)
        own, spare = self._model(name, aside=aside), self._fallback_of(name)
        return OpenedModel(own, self._model(spare) if spare else None, allowed, self._park_seconds)

    def closed(self) -> dict[str, float]:
        """Names of models without capacity for longer than `retry.park_seconds`, and until when, in seconds since the epoch.

        Only of models that were opened, and not of those whose fallback has some.
        """
        now, longest = self._clock.now(), self._park_seconds
        waits = {name: model.limiter.wait for name, model in self._known.items()}
        shut = {
            name: min(wait, self._fallback_wait(name, waits))
            for name, wait in waits.items()
            if wait > longest and name not in self._aside
        }
        return {name: now + wait for name, wait in shut.items() if wait > longest}

    def room(self) -> dict[str, int]:
        """Names of models, and how many tasks with each can be kept busy; more would but wait for each other.

        One while a provider is tried again after failures. Only of models that were opened, whose limits are known, and
        which have no fallback.
        """
        rooms = {name: model.limiter.room(self._park_seconds) for name, model in self._known.items()}
        return {name: room for name, room in rooms.items() if room and not self._fallback_of(name)}

    async def close(self) -> None:
        """Close all connections; calls under way fail as `network`. May be called twice."""
        if self._connections is not None:
            await self._connections.close()

    def _fallback_of(self, name: str) -> str:
        """The fallback of a model; empty for none."""
        return "" if name == self._fallback else self._fallback

    def _fallback_wait(self, name: str, waits: Mapping[str, float]) -> float:
        """Seconds that the fallback of a model makes one wait; nobody knows of one that was never opened."""
        fallback = self._fallback_of(name)
        return waits.get(fallback, 0.0) if fallback else math.inf

    def _model(self, name: str, *, aside: bool = False) -> "HttpModel":
        """The model of a name, the same object every time."""
        if name not in self._known:
            try:
                self._known[name] = self._over_http(name, aside=aside)
            except ConfigError as error:
                if name != self._fallback:
                    raise
                raise type(error)(f"`fallback`: {error.message}", fix=error.fix) from None
        return self._known[name]

    def _rehearsal(self, file: str) -> Model:
        if not file:
            raise ConfigError("`scripted:` names no file", fix="write scripted:FILE, with a script in YAML or JSON")
        path = Path(file).expanduser()
        script = load_script(path)
        places = self._places.setdefault(file, {})  # only now: nothing is kept of a name that was made up
        return ScriptedModel(script, f"{SCRIPTED}{path.name}", self._clock, places)

    def _over_http(self, name: str, *, aside: bool) -> "HttpModel":
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
        # That a model fails which work goes on without must not hold back the others of its provider.
        failing = name if aside else provider
        breaker = self._breakers.setdefault(failing, Breaker(failing, self._clock))
        return assemble(found, model, self._connections, self._clock, breaker)
