"""The part of the store that gateways use: news that go out, and tokens."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from kugetsu.errors import RecordError
from kugetsu.protocols import Change, Clock, Delivery, DeliveryState, News, Token
from kugetsu.storage import keyring, outbox
from kugetsu.storage.connecting import Access
from kugetsu.storage.readers import Readers
from kugetsu.storage.writer import Writer


class SqlGate:
    """Keeps the outbox and the keyring. Implements `protocols.Outbox` and `protocols.Keyring`.

    Attributes:
        path: of the file.
    """

    def __init__(self, path: Path, clock: Clock, *, passing: bool = False, access: Access = "") -> None:
        self.path = path
        self._clock = clock
        self._passing = passing
        self._writer = Writer(path)
        self._readers = Readers(path, access)

    # News that go out.

    async def changes(self, *, tasks: Collection[str] = (), most: int = 100) -> list[Change]:
        """Changes that nobody was told of, oldest first; damaged ones are left out: see `check`."""
        return await self._readers.run(partial(outbox.changes_of, names=tuple(tasks), most=most))

    async def route(self, news: Mapping[int, Sequence[News]]) -> None:
        """Turn changes, by their ids, into deliveries, of which there may be none; they are listed no longer."""
        given = {change: tuple(those) for change, those in news.items()}
        if given:
            await self._writer.run(lambda connection: outbox.route(connection, given, self._now()))

    async def take_deliveries(
        self, seconds: float, most: int, *, tasks: Collection[str] = (), skip: Collection[str] = ()
    ) -> list[Delivery]:
        """Take what is due and try it; nobody else gets it for so long."""
        names, busy = tuple(tasks), tuple(skip)
        return await self._writer.run(
            lambda connection: outbox.take(connection, seconds, most, names, self._now(), skip=busy)
        )

    async def end_attempt(
        self, delivery: Delivery, state: DeliveryState, *, error: str = "", due_at: float = 0.0
    ) -> None:
        """Say how an attempt ended: `attempts` is one more. Nothing happens when somebody else ended it meanwhile."""
        await self._writer.run(
            lambda connection: outbox.end_attempt(connection, delivery, state, error, due_at, self._now())
        )

    async def deliveries(
        self, *, states: Collection[DeliveryState] = (), tasks: Collection[str] = (), most: int = 0, before: int = 0
    ) -> list[Delivery]:
        """Deliveries, newest first."""
        return await self._readers.run(
            partial(outbox.deliveries_of, states=tuple(states), names=tuple(tasks), most=most, before=before)
        )

    async def retry_deliveries(self, ids: Collection[int] = (), *, expires_at: float) -> list[Delivery]:
        """Let deliveries be tried again now: those named, or all that expired or were refused."""
        these = tuple(ids)
        return await self._writer.run(lambda connection: outbox.retry(connection, these, expires_at, self._now()))

    async def delivery_counts(self) -> dict[DeliveryState, int]:
        """How many deliveries are in each state; every state is named."""
        return await self._readers.run(outbox.counts)

    async def clear_deliveries(self, before: float) -> int:
        """Forget deliveries that ended before a time; how many there were."""
        return await self._writer.run(lambda connection: outbox.clear(connection, before))

    # Who may do what.

    async def add_token(self, token: Token) -> None:
        """Keep a token."""
        self._require_home()
        await self._writer.run(lambda connection: keyring.add(connection, token))

    async def tokens(self) -> list[Token]:
        """All of them, oldest first, also those that are revoked."""
        return await self._readers.run(keyring.all_of)

    async def revoke_token(self, name: str) -> Token:
        """Let a token count no longer."""
        return await self._writer.run(lambda connection: keyring.revoke(connection, name, self._now()))

    def _now(self) -> float:
        return self._clock.now()

    def _require_home(self) -> None:
        if self._passing:
            raise RecordError("this store was opened to be read, and there is no database", fix="open it to write")
