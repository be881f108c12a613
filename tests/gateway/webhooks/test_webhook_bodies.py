"""Bodies are data: whatever they hold, reading them fails in the declared way or not at all."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.webhooks import hook_payloads as bodies
from gateway.webhooks.hook_lab import encoded
from kugetsu.config import RuleSettings, Settings, WebhookSettings
from kugetsu.errors import UsageError
from kugetsu.gateway.webhooks.forges import read_forge
from kugetsu.gateway.webhooks.generic import read_generic
from kugetsu.gateway.webhooks.places import located, place_of, subject_name
from kugetsu.gateway.webhooks.prompts import Quoting, prompt_for
from kugetsu.gateway.webhooks.rules import Fit, fitting
from kugetsu.gateway.webhooks.told import Nothing, Ping, Told, block, line, page
from kugetsu.tasks import parse_subject

SAMPLES: list[dict[str, Any]] = [
    bodies.issue_opened("ada", "kugetsu"),
    bodies.issue_labelled(),
    bodies.issue_comment("/kugetsu go", at=1_700_000_000.0),
    bodies.review_comment("/kugetsu go"),
    bodies.review_submitted("/kugetsu go"),
    bodies.check_run(pulls=((2, "Team/Tool"),)),
    bodies.check_suite(),
    bodies.workflow_run(),
    bodies.status(),
    bodies.gitea_labels("kugetsu", changes={"added_labels": [{"name": "kugetsu"}]}),
    bodies.gitea_comment("/kugetsu go"),
    bodies.gitea_review("/kugetsu go"),
    bodies.gitea_status(),
    bodies.forgejo_action_run(),
]

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(10**400) | st.just("\ud800"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
RULE = RuleSettings(
    authors=("*",), prompt="{title} {body} {issue} {text} {path} {check} {branch} {commit} {label} {url}"
)


def ways(value: Any, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a body."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([way] if way else []), *(found for name, below in inside for found in ways(below, (*way, name)))]


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A body of a forge in which up to three values are something else."""
    body: dict[str, Any] = draw(st.sampled_from(SAMPLES))
    for _ in range(draw(st.integers(1, 3))):
        way = draw(st.sampled_from(ways(body)))
        body = bodies.with_value(body, *way, value=draw(ANYTHING))
    return body


def go_on(told: Told) -> None:
    """Everything that is done with it before somebody is asked."""
    source = WebhookSettings(kind="gitea", host="forge.example")
    here = located(told, source, Settings())
    if isinstance(here, Nothing):
        return
    subject = subject_name(here)
    assert not subject or str(parse_subject(subject)) == subject
    fit = fitting((RULE,), here, here.origin)
    if isinstance(fit, Nothing):
        return
    prompt = prompt_for(here, fit.rule, here.text, fit.label, Quoting(b"s"))
    prompt += prompt_for(here, RuleSettings(), here.text, fit.label, Quoting(b"s"))
    assert not any(ord(character) < 32 and character not in "\t\n" for character in prompt)
    place = place_of(here, fit.rule, source, {})
    assert not isinstance(place, Nothing)
    assert place.repo.startswith("https://forge.example/")
    assert "evil" not in place.repo


@given(damaged())
def test_a_damaged_body_of_a_forge_is_read_or_refused(body: dict[str, Any]) -> None:
    try:
        told = read_forge({}, json.dumps(body).encode())
    except UsageError:
        return
    if isinstance(told, Told):
        go_on(told)


@given(st.binary() | ANYTHING.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(UsageError):
        assert isinstance(read_forge({}, body), Told | Nothing | Ping)
    with suppress(UsageError):
        assert isinstance(read_generic(body), Told)


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"prompt": ""},
        {"prompt": 5},
        {"prompt": "x", "check": "rm -rf /"},
        {"prompt": "x", "model": "a/b"},
        {"prompt": "x", "\x1b[31m": "a/b"},
        {"prompt": "x", "subject": "nonsense"},
        {"prompt": "x", "repo": "a\nb"},
        {"prompt": "x", "key": "k" * 201},
        {"prompt": "x", "priority": 101},
        {"prompt": "x", "priority": 10**400},
        {"prompt": "x", "reply_to": {"BAD": "x"}},
        {"prompt": "x", "reply_to": {"chat_id": 5}},
        [],
        "text",
        None,
    ],
)
def test_a_generic_body_that_cannot_be_so_is_refused(sent: Any) -> None:
    with pytest.raises(UsageError) as refused:
        read_generic(encoded(sent))
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("body", SAMPLES)
def test_every_sample_is_read_as_it_stands(body: dict[str, Any]) -> None:
    told = read_forge({}, encoded(body))
    assert isinstance(told, Told)
    go_on(told)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "truncated"),
        (b"payload=%7B%7D", "malformed"),
        (b"[]", "Expected `object`"),
        (b"null", "Expected `object`"),
        (b'{"issue": {"number": "12"}}', "`issue`"),
        (b'{"action": 5, "issue": {"number": 1}}', "`action`"),
        (b'{"issue": {"number": 1e999}}', "`issue`"),
        (b'{"issue": {"number": ' + b"9" * 400 + b"}}", "`issue`"),
        (b'{"action": "opened", "issue": {"number": 1, "title": "\xff"}}', "not UTF-8"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"issue": {"number": 1, "x": "\\ud800"}}', "cannot be read"),
    ],
)
def test_a_body_that_cannot_be_read_says_where(body: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_forge({}, body)


def test_a_byte_order_mark_is_no_part_of_the_body() -> None:
    assert isinstance(read_forge({}, b"\xef\xbb\xbf" + encoded(bodies.issue_opened())), Told)
    assert read_generic(b'\xef\xbb\xbf{"prompt": "go"}').text == "go"


@pytest.mark.parametrize(
    ("body", "event"),
    [
        (bodies.issue_comment("/kugetsu go"), "issues"),
        (bodies.issue_opened(), "issue_comment"),
        (bodies.check_run(), "push"),
        (bodies.ping(), "issues"),
    ],
)
def test_a_header_cannot_make_something_else_of_a_body(body: dict[str, Any], event: str) -> None:
    for header in ("x-github-event", "x-gitea-event", "x-forgejo-event"):
        with pytest.raises(UsageError, match="but the body is that of"):
            read_forge({header: event}, encoded(body))


@given(st.text(), st.integers(2, 50))
def test_cleaned_text_is_bounded_and_holds_nothing_hidden(text: str, most: int) -> None:
    assert len(line(text, most)) <= most
    assert not any(character in line(text, most) for character in "\n\r\x1b\u202e")
    assert "\x1b" not in block(text, most)
    assert line(line(text, most), most) == line(text, most)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a <!-- hidden --> b", "a [a hidden comment of 15 characters is left out] b"),
        ("a <!-- <!-- --> b", "a [a hidden comment of 13 characters is left out] b"),
        ("a <!-- to the end", "a [a hidden comment of 15 characters is left out]"),
        ("a --> b", "a --> b"),
    ],
)
def test_what_people_do_not_see_on_a_page_is_left_out(text: str, shown: str) -> None:
    assert page(text) == shown


def test_many_hidden_comments_take_no_time() -> None:
    assert len(page("<!-- -->" * 100_000 + "<!--" * 100_000)) < 25_000


@pytest.mark.parametrize(
    ("name", "fits"),
    [
        ("changes", True),
        ("feature/new-thing", True),
        ("refs/heads/main", True),
        ("--upload-pack=x", False),
        ("a..b", False),
        ("a b", False),
        ("HEAD@{1}", False),
        ("main:evil", False),
        ("a\x00b", False),
        ("x" * 300, False),
        ("/etc", False),
        ("a/", False),
    ],
)
def test_work_starts_only_from_what_can_be_a_branch(name: str, fits: bool) -> None:
    told = read_forge({}, encoded(bodies.with_value(bodies.workflow_run(), "workflow_run", "head_branch", value=name)))
    assert isinstance(told, Told) == fits
    if isinstance(told, Told):
        assert (told.branch, told.commit) == (name.removeprefix("refs/heads/"), bodies.COMMIT)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (RuleSettings(authors=("ADA",)), True),
        (RuleSettings(authors=("*",)), True),
        (RuleSettings(), False),
        (RuleSettings(authors=("adam",)), False),
        (RuleSettings(authors=("ada",), on=("issue_opened",)), True),
        (RuleSettings(authors=("ada",), on=("comment",)), False),
        (RuleSettings(authors=("ada",), repositories=("team/*",)), True),
        (RuleSettings(authors=("ada",), repositories=("github.com/Team/Tool",)), True),
        (RuleSettings(authors=("ada",), repositories=("team",)), False),
        (RuleSettings(authors=("ada",), repositories=("*/other",)), False),
        (RuleSettings(authors=("ada",), labels=("KUGETSU",)), True),
        (RuleSettings(authors=("ada",), labels=("bug", "no")), False),
    ],
)
def test_a_rule_fits_by_event_repository_label_and_author(rule: RuleSettings, fits: bool) -> None:
    told = read_forge({}, encoded(bodies.issue_opened("ada", "kugetsu")))
    assert isinstance(told, Told)
    assert isinstance(fitting((rule,), told, "github.com"), Fit) == fits


def test_the_first_rule_that_fits_counts() -> None:
    told = read_forge({}, encoded(bodies.issue_opened("ada")))
    assert isinstance(told, Told)
    rules = (RuleSettings(authors=("bob",)), RuleSettings(authors=("ada",), priority=1), RuleSettings(authors=("*",)))
    found = fitting(rules, told, "github.com")
    assert isinstance(found, Fit)
    assert found.rule.priority == 1
