"""Turns changes of tasks into deliveries, in batches."""

from collections.abc import Callable, Collection, Mapping
from typing import Final

from kugetsu.config import Settings
from kugetsu.errors import RecordError, TaskNotFoundError
from kugetsu.gateway.notifications.payload import event_of, payload_of
from kugetsu.gateway.notifications.routing import listeners, states_heard
from kugetsu.logs import Redactor, known_secrets
from kugetsu.protocols import Change, Clock, News, Store
from kugetsu.tasks import TaskRecord

_MOST: Final = 100
"""Changes that are routed in one transaction."""

_PATIENCE: Final = 3
"""How often it is tried to read a task before its news go out without what is known of it."""


class Router:
    """Looks at what changed, and leaves a delivery for each who is to hear of it.

    Args:
        store: where changes and deliveries are.
        settings: who hears of what.
        environ: where secrets come from, which no news hold.
        clock: time.
        say: told in one sentence what goes wrong.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        environ: Mapping[str, str],
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock
        self._say = say
        self._words = Redactor(known_secrets(settings, environ))
        self._heard = states_heard(settings)
        self._unreadable: dict[int, int] = {}

    async def route(self, tasks: Collection[str]) -> bool:
        """Route what changed; whether there may be more of it.

        Args:
            tasks: ids of those that count; empty for all.

        Raises:
            RecordError: the store cannot be used.
        """
        changes = await self._store.changes(tasks=tasks, most=_MOST)
        news: dict[int, list[News]] = {}
        put_off: set[str] = set()
        for change in changes:
            if change.state not in self._heard:
                news[change.id] = []
            elif change.task in put_off:
                continue  # its news are told in their order
            elif (found := await self._news(change)) is not None:
                news[change.id] = found
            else:
                put_off.add(change.task)
        if news:
            await self._store.route(news)
        return len(changes) == _MOST and len(news) == _MOST

    async def _news(self, change: Change) -> list[News] | None:
        """The news of a change; None when its task cannot be read just now."""
        try:
            record: TaskRecord | None = await self._store.find(change.task)
        except TaskNotFoundError:
            record = None
        except RecordError as error:
            tries = self._unreadable[change.id] = self._unreadable.get(change.id, 0) + 1
            if tries < _PATIENCE:
                return None
            self._say(f"the news of task {change.task} say little, because it cannot be read: {error}")
            record = None
        self._unreadable.pop(change.id, None)
        task, report = (record.task, record.shown) if record else (None, None)
        names = listeners(change, task, self._settings, self._clock.now())
        if not names:
            return []
        payload, event = payload_of(change, task, report, self._words), event_of(change)
        return [News(target=name, event=event, payload=payload, expires_at=until) for name, until in names.items()]
