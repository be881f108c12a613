"""`kugetsu token`."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, get_args

import click
import msgspec

from kugetsu.cli.options import json_option, write_json
from kugetsu.cli.views.tokens import print_tokens
from kugetsu.config import prepare_home, state_home
from kugetsu.protocols import Keyring, Scope, Token

_USUAL: Final[tuple[Scope, ...]] = ("submit", "read", "control")
_FOLLOWS: Final = "a running `kugetsu serve` follows within about two seconds"


class _Shown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token as users see it; `token` is there once, when it is made."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    created_at: float
    revoked_at: float = 0.0
    token: str = ""


@click.group("token")
def token_command() -> None:
    """Make, list and revoke tokens: what callers of `kugetsu serve` show over HTTP.

    While there is none, programs of this machine need none. As soon as there is one, every call needs one.
    """


@token_command.command("add")
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(get_args(Scope)),
    multiple=True,
    help="What it is for; may be repeated. Default: submit, read and control.",
)
@json_option
def add_command(name: str, scopes: tuple[Scope, ...], *, as_json: bool) -> None:
    """Make a token. It is shown once, and kept nowhere.

    Scopes: `submit` puts tasks into the queue, `read` looks at everything, `control` changes tasks, `admin` may do all of
    it, and give tasks more than the settings allow.
    """
    from kugetsu.gateway.http.tokens import make_token  # noqa: PLC0415 - needed by this command alone

    kept, shown = make_token(name, scopes or _USUAL, time.time())
    asyncio.run(_add(kept))
    if as_json:
        write_json(_shown(kept, shown))
        return
    click.echo(shown)
    click.echo(f"kugetsu: this is the only time that it is shown; it is for {', '.join(kept.scopes)}", err=True)
    click.echo(f"kugetsu: {_FOLLOWS}", err=True)


@token_command.command("list")
@click.option("--all", "everything", is_flag=True, help="Also those that are revoked.")
@json_option
def list_command(*, everything: bool, as_json: bool) -> None:
    """List the tokens that count. Their secrets are known to nobody here."""
    tokens = [token for token in asyncio.run(_tokens()) if everything or not token.revoked_at]
    if as_json:
        write_json({"tokens": [_shown(token) for token in tokens]})
        return
    if not tokens:
        click.echo("there are no tokens; `kugetsu token add NAME` makes one", err=True)
        return
    print_tokens(tokens, sys.stdout, now=time.time())


@token_command.command("revoke")
@click.argument("name")
@json_option
def revoke_command(name: str, *, as_json: bool) -> None:
    """Let a token count no longer. NAME is its name or its id."""
    revoked = asyncio.run(_revoke(name))
    if as_json:
        write_json(_shown(revoked))
        return
    click.echo(f"{revoked.name} counts no longer")
    click.echo(f"kugetsu: {_FOLLOWS}", err=True)


def _shown(token: Token, secret: str = "") -> _Shown:
    return _Shown(
        id=token.id,
        name=token.name,
        scopes=token.scopes,
        created_at=token.created_at,
        revoked_at=token.revoked_at,
        token=secret,
    )


async def _add(token: Token) -> None:
    async with _keyring(create=True) as keyring:
        await keyring.add_token(token)


async def _tokens() -> list[Token]:
    async with _keyring(create=False) as keyring:
        return await keyring.tokens()


async def _revoke(name: str) -> Token:
    async with _keyring(create=False) as keyring:
        return await keyring.revoke_token(name)


@asynccontextmanager
async def _keyring(*, create: bool) -> AsyncIterator[Keyring]:
    """The tokens of this machine.

    Raises:
        RecordError: they cannot be read.
    """
    from kugetsu.storage import SqlStore  # noqa: PLC0415 - its library is slow to import

    home = state_home(os.environ)
    store = await SqlStore.open(prepare_home(home) if create else home, create=create)
    try:
        yield store
    finally:
        await store.close()
