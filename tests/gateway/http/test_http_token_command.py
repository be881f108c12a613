"""`kugetsu token`, as a user starts it."""

from typing import Any

from kugetsu.gateway.http.tokens import digest_of, read_token
from kugetsu.storage import SqlStore
from support.command_line import CommandLine


async def test_a_token_is_shown_once_and_only_its_digest_is_kept(user: CommandLine) -> None:
    made = user.run("token", "add", "ci", "--scope", "submit", "--scope", "read")
    assert made.code == 0, made.stderr
    shown = read_token(made.stdout.strip())
    assert shown is not None
    store = await SqlStore.open(user.home)
    kept = (await store.tokens())[0]
    await store.close()
    assert (kept.id, kept.name, kept.scopes, kept.digest) == (
        shown.id,
        "ci",
        ("submit", "read"),
        digest_of(shown.secret),
    )
    for path in user.home.rglob("*"):
        assert not path.is_file() or shown.secret.encode() not in path.read_bytes(), path
    assert "submit, read" in user.run("token", "list").stdout


def test_a_token_that_is_revoked_is_gone_and_its_name_free_again(user: CommandLine) -> None:
    made = user.run("token", "add", "ci", "--json").json()
    assert (made["scopes"], made["token"].startswith("kgt_")) == (["submit", "read", "control"], True)
    again = user.run("token", "add", "ci")
    assert (again.code, "already" in again.stderr) == (2, True)
    assert user.run("token", "revoke", "ci").code == 0
    assert user.run("token", "add", "ci", "--scope", "admin").code == 0
    listed: list[dict[str, Any]] = user.run("token", "list", "--all", "--json").json()["tokens"]
    assert [(found["name"], found["scopes"]) for found in listed] == [("ci", made["scopes"]), ("ci", ["admin"])]
    assert [found.get("revoked_at", 0) > 0 for found in listed] == [True, False]
    assert "token" not in listed[0]


def test_what_cannot_be_is_refused(user: CommandLine) -> None:
    assert user.run("token", "revoke", "nobody").code == 2
    assert user.run("token", "add", "a b").code == 2
    assert not user.home.exists()
