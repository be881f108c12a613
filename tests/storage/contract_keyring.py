"""Tokens: kept, looked up, revoked."""

import msgspec
import pytest

from kugetsu.errors import StateConflictError, UsageError
from kugetsu.protocols import SCOPES, Scope, Token
from storage.store_lab import Lab


def a_token(lab: Lab, number: str, name: str, *scopes: Scope) -> Token:
    return Token(id=number, name=name, digest=f"{number:0>64}", scopes=scopes or ("read",), created_at=lab.now)


class KeyringContract:
    """Add, list, revoke."""

    async def test_tokens_come_back_as_they_were_oldest_first(self, lab: Lab) -> None:
        assert await lab.store.tokens() == []
        kept = [a_token(lab, "zz", "phone"), a_token(lab, "aa", "lap top \u00fc", *SCOPES), a_token(lab, "mm", "bot")]
        for token in kept:
            await lab.store.add_token(token)
        assert await lab.store.tokens() == kept

    @pytest.mark.parametrize(("number", "name"), [("aa", "other"), ("bb", "phone"), ("aa", "phone")])
    async def test_an_id_and_a_name_that_counts_are_given_once(self, lab: Lab, number: str, name: str) -> None:
        first = a_token(lab, "aa", "phone")
        await lab.store.add_token(first)
        with pytest.raises(StateConflictError, match="there is a token"):
            await lab.store.add_token(a_token(lab, number, name))
        assert await lab.store.tokens() == [first]

    @pytest.mark.parametrize("called", ["phone", "aa"])
    async def test_a_revoked_token_is_known_and_counts_no_longer(self, lab: Lab, called: str) -> None:
        token, other = a_token(lab, "aa", "phone"), a_token(lab, "bb", "bot")
        await lab.store.add_token(token)
        await lab.store.add_token(other)
        lab.clock.advance(7)
        revoked = await lab.store.revoke_token(called)
        assert revoked == msgspec.structs.replace(token, revoked_at=lab.now)
        assert await lab.store.tokens() == [revoked, other]

    async def test_revoking_twice_keeps_the_first_time(self, lab: Lab) -> None:
        await lab.store.add_token(a_token(lab, "aa", "phone"))
        revoked = await lab.store.revoke_token("phone")
        lab.clock.advance(7)
        assert await lab.store.revoke_token("phone") == revoked
        assert await lab.store.revoke_token("aa") == revoked
        assert await lab.store.tokens() == [revoked]

    async def test_the_name_of_a_revoked_token_may_be_given_again_and_its_id_may_not(self, lab: Lab) -> None:
        await lab.store.add_token(a_token(lab, "aa", "phone"))
        await lab.store.revoke_token("phone")
        with pytest.raises(StateConflictError):
            await lab.store.add_token(a_token(lab, "aa", "phone"))
        await lab.store.add_token(a_token(lab, "bb", "phone"))
        lab.clock.advance(7)
        assert (await lab.store.revoke_token("phone")).id == "bb"
        assert (await lab.store.revoke_token("phone")).id == "bb"
        assert [token.revoked_at > 0 for token in await lab.store.tokens()] == [True, True]

    @pytest.mark.parametrize("name", ["", "pho", "PHONE", "phone ", "%", "\udcff"])
    async def test_a_token_that_is_not_there_cannot_be_revoked(self, lab: Lab, name: str) -> None:
        await lab.store.add_token(a_token(lab, "aa", "phone"))
        with pytest.raises(UsageError, match="there is no token"):
            await lab.store.revoke_token(name)
