"""Settings of webhooks: what can never work is refused when they are loaded, and secrets are shown by nothing."""

from pathlib import Path
from typing import Any

import pytest

from kugetsu.config import RuleSettings, WebhookSettings, load_settings
from kugetsu.errors import ConfigError


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"prompt": "fix {titel}"}, r"`prompt` has \{titel\}, which stands for nothing: use actor, author"),
        ({"prompt": "{secret}"}, r"write \{\{secret\}\} if it is meant"),
        ({"priority": 101}, "`priority` must be"),
        ({"reply_to": {"Chat": "1"}}, "`reply_to` has the name"),
        ({"reply_to": {"chat_id": "1\n2"}}, "printable"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        RuleSettings(**fields)


@pytest.mark.parametrize("prompt", ["{title} {{other}} { } {} {Title} {0} {a.b} {'x': {y}}", "{{secret}}", "{issue}"])
def test_braces_that_are_no_names_are_left_alone(prompt: str) -> None:
    known = prompt.replace("{y}", "{text}")
    assert RuleSettings(prompt=known).prompt == known


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"secret": "a", "secret_env": "B"}, "exclude each other"),
        ({"secret_env": "hush hush"}, "name of a variable"),
        ({"tolerance_seconds": 0}, "tolerance_seconds"),
        ({"host": "https://forge.example/"}, "`host` must be a name"),
        ({"host": "user@forge.example"}, "`host` must be a name"),
    ],
)
def test_a_source_that_cannot_be_meant_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        WebhookSettings(**fields)
    assert "hush" not in str(refused.value)


def test_a_source_shows_no_secret() -> None:
    assert "hush" not in repr(WebhookSettings(secret="hush"))
    assert WebhookSettings(host="Forge.Example:3000").host == "Forge.Example:3000"


SOURCE = """
[webhooks.hub]
kind = "github"
secret_env = "HUB_SECRET"

[[webhooks.hub.rules]]
on = ["issue_labelled"]
labels = ["kugetsu"]
authors = ["ada"]
"""


def load(tmp_path: Path, user: str = "", own: str = "") -> Any:
    file, repo = tmp_path / "user.toml", tmp_path / "repo"
    file.write_text(user)
    repo.mkdir()
    (repo / "kugetsu.toml").write_text(own)
    return load_settings(environ={"KUGETSU_CONFIG": str(file)}, repo=repo)


def test_the_users_file_names_sources_and_rules(tmp_path: Path) -> None:
    hub = load(tmp_path, SOURCE).settings.webhooks["hub"]
    assert (hub.kind, hub.secret_env, hub.rules[0].labels) == ("github", "HUB_SECRET", ("kugetsu",))


def test_a_repository_names_no_sources(tmp_path: Path) -> None:
    loaded = load(tmp_path, own=SOURCE)
    assert loaded.settings.webhooks == {}
    assert "webhooks" in " ".join(loaded.notices)


def test_a_wrong_rule_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"webhooks\.hub\.rules\.1\.on"):
        load(tmp_path, SOURCE.replace("issue_labelled", "issue_labeled"))


def test_a_name_that_cannot_stand_in_an_address_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="webhooks"):
        load(tmp_path, SOURCE.replace("webhooks.hub", 'webhooks."a/b"'))
