"""Who may do what: tokens and their scopes, and how often."""

import asyncio
from typing import Final

from kugetsu.config import HttpSettings
from kugetsu.errors import ConfigError
from kugetsu.gateway.asgi import Caller
from kugetsu.gateway.http.origins import is_loopback
from kugetsu.gateway.http.problems import Refusal
from kugetsu.gateway.http.rates import Rates, who_is
from kugetsu.gateway.http.tokens import Presented, digest_of, proves, read_token
from kugetsu.protocols import Clock, Keyring, Scope, Token

FRESH_SECONDS: Final = 1.0
"""So long what was read of the tokens is believed."""

_ALL: Final[frozenset[Scope]] = frozenset({"admin"})
_MAKE_ONE: Final = "make a token with `kugetsu token add NAME`, and send it as `Authorization: Bearer TOKEN`"


class Access:
    """Decides who a caller is, and whether it may go on.

    Args:
        keyring: the tokens.
        settings: of the server.
        clock: time.
        secret: the token of this start; empty for none.
    """

    def __init__(self, keyring: Keyring, settings: HttpSettings, clock: Clock, secret: str = "") -> None:
        self._keyring = keyring
        self._clock = clock
        passing = read_token(secret)
        self._passing = Presented(passing.id, digest_of(passing.secret)) if passing else None
        self._tokens: dict[str, Token] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()
        self._rates = Rates(settings.requests_per_minute, clock.monotonic)
        self._failures = Rates(settings.failures_per_minute, clock.monotonic)

    async def admit(self, authorization: str | None, address: str, *, near: bool) -> Caller:
        """Who sends a request.

        Args:
            authorization: the header, None when there is none.
            address: where it comes from.
            near: whether it comes from a program on this machine that may do without a token while there is none.

        Raises:
            Refusal: `unauthorised`, or `rate-limited`.
            RecordError: nobody knows, because the tokens cannot be read.
        """
        if authorization is None:
            if not near or await self._known():
                raise Refusal("unauthorised", "the request has no token", fix=_MAKE_ONE)
            caller, payer = Caller("local", _ALL, address), who_is(address)
        elif (known := await self._recognised(authorization)) is None:
            # Only who is wrong is sent away: others may have the same address, on this machine or behind a proxy.
            self.require_few_failures(address)
            self.failed(address)
            raise Refusal("unauthorised", "the token is none that counts", fix=_MAKE_ONE)
        else:
            caller, payer = Caller(known.name, frozenset(known.scopes), address, known.id), f"token {known.id}"
        self._pay(payer)
        return caller

    async def counts(self, caller: Caller) -> bool:
        """Whether somebody who was let in would still be: a token may be revoked, or a first one made, meanwhile.

        Raises:
            RecordError: nobody knows, because the tokens cannot be read.
        """
        if self._passing and caller.token == self._passing.id:
            return True
        known = await self._known()
        return caller.token in known if caller.token else not known

    def pass_by(self, address: str) -> None:
        """Count a request that needs no token.

        Raises:
            Refusal: `rate-limited`.
        """
        self._pay(who_is(address))

    def failed(self, address: str) -> None:
        """Count a wrong token or signature."""
        self._failures.take(who_is(address))

    def require_few_failures(self, address: str) -> None:
        """Look whether an address was wrong too often.

        Raises:
            Refusal: `rate-limited`.
        """
        if wait := self._failures.wait(who_is(address)):
            raise Refusal("rate-limited", f"too many wrong tokens or signatures came from {address}", retry_after=wait)

    async def require_startable(self, host: str) -> None:
        """Look whether a server may listen at an address.

        Raises:
            ConfigError: others can reach it, and there is no token.
            RecordError: the tokens cannot be read.
        """
        if not is_loopback(host) and not await self._known():
            raise ConfigError(
                f"`http.host` is {host}, where others can reach this server, and there is no token yet",
                fix="make one with `kugetsu token add NAME`, or leave `http.host` at 127.0.0.1",
            )

    def _pay(self, payer: str) -> None:
        if wait := self._rates.take(payer):
            raise Refusal(
                "rate-limited",
                "too many requests",
                fix="come back later, or raise `http.requests_per_minute`",
                retry_after=wait,
            )

    async def _recognised(self, authorization: str) -> Token | None:
        scheme, _, text = authorization.partition(" ")
        shown = read_token(text.strip()) if scheme.lower() == "bearer" else None
        if shown is None:
            return None
        if self._passing and shown.id == self._passing.id:
            found = Token(id=shown.id, name="serve", digest=self._passing.secret, scopes=("admin",), created_at=0.0)
        elif (known := (await self._known()).get(shown.id)) is not None:
            found = known
        else:
            return None
        return found if proves(shown.secret, found.digest) else None

    async def _known(self) -> dict[str, Token]:
        """The tokens that count, by id; read anew when what is known is no longer fresh.

        Raises:
            RecordError: they cannot be read: then nobody is let in by what was once true.
        """
        if self._clock.monotonic() - self._read_at >= FRESH_SECONDS:
            async with self._reading:
                began = self._clock.monotonic()
                if began - self._read_at >= FRESH_SECONDS:
                    tokens = await self._keyring.tokens()
                    self._tokens = {token.id: token for token in tokens if not token.revoked_at}
                    self._read_at = began
        return self._tokens


def require_scope(caller: Caller, scope: Scope) -> None:
    """Look whether somebody may do something.

    Raises:
        Refusal: `forbidden`.
    """
    if not caller.may(scope):
        raise Refusal(
            "forbidden",
            f"the token {caller.name} is not for this: it takes the scope `{scope}`",
            fix=f"make one with `kugetsu token add NAME --scope {scope}`",
        )
