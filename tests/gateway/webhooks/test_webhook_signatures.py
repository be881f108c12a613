"""Who is heard: without a signature that is right, nothing is done with tasks."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.webhooks import hook_payloads as bodies
from gateway.webhooks.hook_lab import (
    HEADERS,
    SECRET,
    Lines,
    encoded,
    generic_headers,
    gitea_headers,
    hub_headers,
    mac,
    untouchable,
)
from kugetsu.config import RuleSettings, Settings, WebhookSettings
from kugetsu.errors import AccessError, KugetsuError, UsageError
from kugetsu.gateway.webhooks import Webhooks, problems
from kugetsu.testing import FakeClock

NOW = 1_700_000_000.0
ANYBODY = (RuleSettings(authors=("*",), repo="/repo"),)
COMMENT = encoded(bodies.issue_comment("/kugetsu go"))
TASK = encoded({"prompt": "go"})

SETTINGS = Settings(
    webhooks={
        "hub": WebhookSettings(kind="github", secret=SECRET, rules=ANYBODY),
        "forge": WebhookSettings(kind="gitea", secret_env="FORGE", host="forge.example", rules=ANYBODY),
        "door": WebhookSettings(secret=SECRET, rules=ANYBODY),
        "open": WebhookSettings(kind="github", rules=ANYBODY),
        "empty": WebhookSettings(secret_env="MISSING", rules=ANYBODY),
    }
)


def desk(log: Lines | None = None) -> Webhooks:
    clock = FakeClock(NOW)
    return Webhooks(untouchable(), SETTINGS, {"FORGE": SECRET}, clock, (log or Lines()).say)


async def refused(source: str, headers: dict[str, str], body: bytes) -> KugetsuError:
    with pytest.raises(AccessError) as error:
        await desk().take(source, headers, body, "192.0.2.1")
    return error.value


GOOD = hub_headers(COMMENT)["x-hub-signature-256"]
STAMPED = generic_headers(TASK, NOW)


@pytest.mark.parametrize(
    ("source", "headers", "body"),
    [
        ("hub", {}, COMMENT),
        ("hub", {"x-hub-signature-256": ""}, COMMENT),
        ("hub", {"x-hub-signature-256": "sha256="}, COMMENT),
        ("hub", {"x-hub-signature-256": GOOD.removeprefix("sha256=")}, COMMENT),
        ("hub", {"x-hub-signature-256": GOOD.replace("sha256", "sha1")}, COMMENT),
        ("hub", {"x-hub-signature-256": GOOD[:-1]}, COMMENT),
        ("hub", {"x-hub-signature-256": "sha256=\u00e9\ud800"}, COMMENT),
        ("hub", {"x-hub-signature-256": GOOD}, COMMENT + b" "),
        ("hub", {"x-gitea-signature": mac(COMMENT)}, COMMENT),
        ("hub", hub_headers(COMMENT, secret="another"), COMMENT),
        ("forge", {"x-gitea-signature": "", "x-hub-signature-256": ""}, COMMENT),
        ("forge", {**gitea_headers(COMMENT), "x-forgejo-signature": "0" * 64}, COMMENT),
        ("door", {"x-hub-signature-256": hub_headers(TASK)["x-hub-signature-256"]}, TASK),
        ("door", {**STAMPED, "x-webhook-timestamp": str(int(NOW) + 1)}, TASK),
        ("door", {"x-webhook-signature-v2": mac(b"." + TASK)}, TASK),
        ("door", {"x-webhook-timestamp": "", "x-webhook-signature-v2": mac(b"." + TASK)}, TASK),
        ("door", {"x-webhook-timestamp": "1e9", "x-webhook-signature-v2": mac(b"1e9." + TASK)}, TASK),
        ("door", {"x-webhook-timestamp": "9" * 5000, "x-webhook-signature-v2": mac(b"9" * 5000 + b"." + TASK)}, TASK),
        ("door", {"x-webhook-timestamp": "\u0664\u0662", "x-webhook-signature-v2": "0"}, TASK),
        ("open", hub_headers(COMMENT, secret=""), COMMENT),
        ("open", hub_headers(COMMENT), COMMENT),
        ("empty", generic_headers(TASK, NOW, secret=""), TASK),
        ("nobody", hub_headers(COMMENT), COMMENT),
        ("nobody", STAMPED, TASK),
        ("hub/../forge", hub_headers(COMMENT), COMMENT),
    ],
)
async def test_whoever_cannot_prove_who_he_is_gets_the_same_answer(
    source: str, headers: dict[str, str], body: bytes
) -> None:
    error = await refused(source, headers, body)
    assert error.message == "the signature is not right, or there is no such source"


@pytest.mark.parametrize(("late", "words"), [(301, "301 s behind"), (-301, "301 s ahead")])
async def test_a_signed_time_counts_for_five_minutes_only(late: int, words: str) -> None:
    error = await refused("door", generic_headers(TASK, NOW - late), TASK)
    assert words in error.message


async def test_each_kind_is_heard_with_its_own_signatures() -> None:
    ping, push = encoded(bodies.ping()), encoded(bodies.push())
    assert (await desk().take("hub", hub_headers(ping), ping, "")).what == "pong"
    for headers in (
        gitea_headers(push),
        {"x-forgejo-signature": mac(push)},
        {"x-gitea-signature": mac(push)},
        {"x-hub-signature-256": f"sha256={mac(push)}"},
    ):
        assert (await desk().take("forge", headers, push, "")).what == "ignored"


@settings(max_examples=60)
@given(
    source=st.sampled_from([*SETTINGS.webhooks, "nobody"]),
    body=st.one_of(st.binary(), st.sampled_from([COMMENT, TASK])),
    headers=st.dictionaries(
        st.sampled_from(
            [
                "x-hub-signature-256",
                "x-gitea-signature",
                "x-forgejo-signature",
                "x-webhook-timestamp",
                "x-webhook-signature-v2",
                "x-github-event",
            ]
        ),
        st.one_of(
            st.text(),
            st.sampled_from(
                ["sha256=" + mac(b"other"), mac(COMMENT, ""), mac(TASK), str(int(NOW)), "0" * 64, "issues"]
            ),
        ),
    ),
)
async def test_without_a_right_signature_the_service_is_never_called(
    source: str, body: bytes, headers: dict[str, str]
) -> None:
    with pytest.raises(AccessError):
        await desk().take(source, headers, body, "192.0.2.1")


async def test_a_form_is_refused_with_what_to_do_before_anything_is_looked_at() -> None:
    for source in ("hub", "nobody"):
        with pytest.raises(UsageError, match="choose the content type application/json"):
            await desk().take(source, {"content-type": "application/x-www-form-urlencoded"}, b"payload=%7B%7D", "")


async def test_refusals_are_in_the_log_and_nothing_of_secrets_or_control_characters() -> None:
    log = Lines()
    with pytest.raises(AccessError):
        await desk(log).take("no\x1b[31m\nsuch", {**HEADERS, "x-hub-signature-256": GOOD}, COMMENT, "192.0.2.1\r\nx")
    [(level, sentence, fields)] = log.said
    assert (level, fields["event"]) == ("warning", "webhook_refused")
    assert sentence.startswith("webhook no such from 192.0.2.1 x: the signature is not right")
    assert sentence.isprintable()
    assert SECRET not in log.text
    assert GOOD not in log.text


def test_what_keeps_sources_from_being_heard_is_named_without_secrets() -> None:
    rules = (
        RuleSettings(),
        RuleSettings(on=("task",), authors=("*",)),
        RuleSettings(authors=("*",), reply_to={"target": "x"}),
    )
    faulty = Settings(
        webhooks={
            "a": WebhookSettings(kind="github"),
            "b": WebhookSettings(kind="gitea", secret="short", rules=rules),
            "c": WebhookSettings(secret_env="GONE"),
        }
    )
    assert problems(faulty, {}) == [
        "webhooks.a: it has no secret, so everything it says is refused: set `secret_env`",
        "webhooks.a: it has no rules, so it starts nothing",
        "webhooks.b: its secret has less than 16 characters: make one with `openssl rand -hex 32`",
        "webhooks.b: its rule 1 names no `authors`, so it starts nothing",
        "webhooks.b: its rule 2 is for task, which a source of kind gitea does not tell",
        "webhooks.b: its rule 3 replies to 'x', which `notify` does not have",
        "webhooks.b: it has no `host`, so only repositories are worked on that `projects` name",
        "webhooks.c: it has no secret, so everything it says is refused: the variable GONE is empty",
        "webhooks.c: it has no rules, so it starts nothing",
    ]
    good = WebhookSettings(
        kind="github", secret_env="S", rules=(RuleSettings(authors=("a",), reply_to={"chat_id": "1"}),)
    )
    assert problems(Settings(webhooks={"d": good}), {"S": SECRET}) == []
    assert desk().problems() == problems(SETTINGS, {"FORGE": SECRET})


async def test_the_clock_of_the_house_is_the_one_that_counts() -> None:
    headers = generic_headers(encoded({"prompt": ""}), time.time())
    error = await refused("door", headers, encoded({"prompt": ""}))
    assert "s ahead" in error.message
