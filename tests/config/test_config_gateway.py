"""Settings of the gateway: lists of tables, names that stand in addresses, and secrets that nobody repeats."""

from pathlib import Path

import pytest

from kugetsu.config import Loaded, Settings, describe, load_settings
from kugetsu.errors import ConfigError
from kugetsu.logs import known_secrets

SECRET = "a-secret-of-mine-123"

GOOD = f"""
[projects."github.com/acme/app"]
repo = "/srv/app"
notify = ["ops"]

[webhooks.forge]
kind = "gitea"
secret = "{SECRET}"
[[webhooks.forge.rules]]
on = ["issue_labelled"]
labels = ["kugetsu"]
authors = ["*"]
[[webhooks.forge.rules]]
on = ["comment"]
authors = ["alice"]
priority = 5

[notify.ops]
url = "https://user:{SECRET}@chat.example/hook"
secret = "{SECRET}"
all = true
"""


def load(tmp_path: Path, text: str) -> Settings:
    return loaded(tmp_path, text).settings


def loaded(tmp_path: Path, text: str) -> Loaded:
    path = tmp_path / "kugetsu.toml"
    path.write_text(text)
    path.chmod(0o600)
    return load_settings(environ={"HOME": str(tmp_path)}, repo=None, config_file=path, flags={})


def test_rules_are_tables_in_their_order(tmp_path: Path) -> None:
    rules = load(tmp_path, GOOD).webhooks["forge"].rules
    assert [(rule.on, rule.authors, rule.priority) for rule in rules] == [
        (("issue_labelled",), ("*",), 0),
        (("comment",), ("alice",), 5),
    ]


def test_no_secret_is_shown(tmp_path: Path) -> None:
    found = loaded(tmp_path, GOOD)
    shown = describe(found)
    assert SECRET not in repr(shown)
    assert SECRET not in repr(found.settings)
    assert ("webhooks.forge.secret", "(set)") in [(name, value) for name, value, _ in shown]
    assert ("notify.ops.url", '"https://(set)@chat.example/(set)"') in [(name, value) for name, value, _ in shown]
    assert SECRET in known_secrets(found.settings, {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[webhooks.'../x']\nsecret='s'", r"webhooks.*'\.\./x'"),
        ("[[webhooks.x.rules]]\nwhen=['task']", r"unknown field webhooks\.x\.rules\.1\.when"),
        ("[webhooks.x]\nrules=3", r"webhooks\.x\.rules: expected a list of tables, got a whole number"),
        ("[[webhooks.x.rules]]\non=['nonsense']", r"webhooks\.x\.rules\.1\.on"),
        ("[[webhooks.x.rules]]\npriority=1000", r"webhooks\.x\.rules\.1\.priority must be from -100"),
        (f"[webhooks.x]\nsecret='{SECRET}'\nsecret_env='X'", "exclude each other"),
        (f"[webhooks.x]\nsecret_env='{SECRET}!'", "must be the name of a variable"),
        ("[notify.x]\nurl='ftp://x'", r"notify\.x\.url must begin with http"),
        ("[notify.x]\nkind='command'", r"notify\.x\.command must name a program"),
        ("[http]\nport=70000", r"http\.port must be from 0"),
        ("[http]\nhost=''", r"http\.host must be an address"),
        ("[http]\nbody_kb=0", r"http\.body_kb must be 1 or more"),
    ],
)
def test_a_wrong_setting_is_named_without_repeating_a_secret(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as refused:
        load(tmp_path, text)
    assert SECRET not in str(refused.value)


def test_a_repository_may_set_nothing_of_this(tmp_path: Path) -> None:
    repo = tmp_path / "repo"
    repo.mkdir()
    (repo / "kugetsu.toml").write_text(GOOD)
    found = load_settings(environ={"HOME": str(tmp_path)}, repo=repo, flags={})
    assert (found.settings.webhooks, found.settings.notify, found.settings.projects) == ({}, {}, {})
    assert "a repository may not set this" in " ".join(found.notices)
