import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from hermes.fake_kugetsu import FakeKugetsu
from support.command_line import CommandLine, Done

HERMES = """\
# My Hermes
model: {default: mock}   # the best
platforms:
  telegram:
    enabled: true
    token: "123:abc"
    # people
    allow_from: ["42"]
platform_toolsets:
  telegram: [web, file]
"""


class Setup:
    """A user with a Hermes, and what `kugetsu hermes` makes of it."""

    def __init__(self, user: CommandLine) -> None:
        self.user = user
        self.home = user.directory / "hermes"
        self.home.mkdir()
        self.config = self.home / "config.yaml"
        self.config.write_text(HERMES)
        self.settings = user.directory / ".config/kugetsu/kugetsu.toml"
        user.environ |= {"HERMES_HOME": str(self.home)}

    def run(self, *arguments: str, stdin: str = "") -> Done:
        return self.user.run("hermes", "setup", *arguments, stdin=stdin)

    @property
    def hermes(self) -> Any:
        return yaml.safe_load(self.config.read_text())

    @property
    def plugin(self) -> Any:
        return json.loads((self.home / "kugetsu.json").read_text())

    @property
    def target(self) -> Any:
        return tomllib.loads(self.settings.read_text())["notify"]["hermes"]

    def files(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.user.directory.rglob("*") if path.is_file()}


@pytest.fixture
def setup(user: CommandLine) -> Setup:
    return Setup(user)


def test_both_sides_are_written_with_one_secret_and_comments_stay(setup: Setup) -> None:
    done = setup.run("--yes")

    assert done.code == 0, done.stderr
    webhook = setup.hermes["platforms"]["webhook"]
    route = webhook["extra"]["routes"]["kugetsu-telegram"]
    assert (webhook["enabled"], webhook["extra"]["host"]) == (True, "127.0.0.1")
    assert (route["deliver"], route["deliver_only"], route["prompt"]) == ("telegram", True, "{text}")
    assert route["deliver_extra"] == {"chat_id": "{reply_to.chat_id}", "thread_id": "{reply_to.thread_id}"}
    assert setup.target == {
        "url": "http://127.0.0.1:8644/webhooks/kugetsu-{platform}",
        "secret": route["secret"],
    }
    assert len(route["secret"]) == 64
    assert setup.hermes["plugins"]["enabled"] == ["kugetsu"]
    assert setup.hermes["platform_toolsets"] == {"telegram": ["web", "file", "kugetsu"]}
    for line in HERMES.splitlines():
        assert line.partition(" [web")[0] in setup.config.read_text()


def test_what_holds_a_secret_is_for_its_user_alone(setup: Setup) -> None:
    setup.settings.parent.mkdir(parents=True)
    setup.settings.write_text('model = "scripted:x" # mine\n')
    setup.settings.chmod(0o644)

    setup.run("--yes")

    files = [setup.settings, setup.config, setup.home / "kugetsu.json", *setup.home.glob("config.yaml.before-*")]
    assert [stat.S_IMODE(path.stat().st_mode) for path in files] == [0o600] * 4
    assert setup.settings.read_text().startswith('model = "scripted:x" # mine\n')
    assert next(setup.home.glob("config.yaml.before-*")).read_text() == HERMES


def test_the_change_is_shown_without_secrets_before_anything_is_written(setup: Setup) -> None:
    before = setup.files()

    shown = setup.run("--dry-run")
    refused = setup.run(stdin="n\n")

    assert (shown.code, refused.code) == (0, 3)
    assert "+        kugetsu-telegram:\n+          secret: ********\n" in shown.stdout
    assert "+secret = ********\n" in shown.stdout
    assert "123:abc" not in shown.stdout
    assert "Write this? [y/N]" in refused.stdout
    assert {path: data for path, data in setup.files().items() if "state" not in path.parts} == before


def test_a_second_time_writes_nothing(setup: Setup) -> None:
    setup.run("--yes")
    before = setup.files()

    again = setup.run("--yes")

    assert "set up already" in again.stdout
    assert setup.files() == before


def test_what_the_user_has_stays(setup: Setup) -> None:
    setup.config.write_text(
        "plugins: {enabled: [mine], disabled: [kugetsu]}\n"
        "platforms:\n"
        "  discord: {enabled: true}\n"
        "  webhook:\n"
        "    enabled: true\n"
        "    extra: {port: 9000, rate_limit: 5, routes: {mine: {secret: s, deliver: log}}}\n"
    )
    setup.settings.parent.mkdir(parents=True)
    setup.settings.write_text('[notify.hermes] # mine\nurl = "http://x"\nsecret = "shared"\nstates = ["failed"]\n')
    (setup.home / "kugetsu.json").write_text('{"repositories": {"a": "/a"}, "seconds": 3}')

    done = setup.run("--yes", "--mode", "spawn", "--repo", "b=https://example.org/b.git")

    assert done.code == 0, done.stderr
    extra = setup.hermes["platforms"]["webhook"]["extra"]
    assert (extra["port"], extra["rate_limit"], "host" in extra) == (9000, 5, False)
    assert extra["routes"]["mine"] == {"secret": "s", "deliver": "log"}
    assert extra["routes"]["kugetsu-discord"]["secret"] == "shared"
    assert setup.hermes["plugins"] == {"enabled": ["mine", "kugetsu"], "disabled": []}
    assert setup.target == {
        "url": "http://127.0.0.1:9000/webhooks/kugetsu-{platform}",
        "secret": "shared",
        "states": ["failed"],
    }
    plugin = setup.plugin
    assert (plugin["mode"], plugin["seconds"], plugin["platforms"]) == ("spawn", 3, ["discord"])
    assert plugin["repositories"] == {"a": "/a", "b": "https://example.org/b.git"}
    assert plugin["command"]


def test_webhooks_that_the_user_has_under_gateway_are_added_to_there(setup: Setup) -> None:
    setup.config.write_text(
        "gateway:\n  platforms:\n    telegram: {enabled: true}\n    webhook:\n      enabled: true\n"
        "      extra:\n        routes:\n          mine: {secret: s}\n"
    )

    setup.run("--yes")

    assert "platforms" not in setup.hermes
    routes = setup.hermes["gateway"]["platforms"]["webhook"]["extra"]["routes"]
    assert set(routes) == {"mine", "kugetsu-telegram"}


def test_a_secret_that_a_variable_holds_stays_there(setup: Setup) -> None:
    setup.settings.parent.mkdir(parents=True)
    setup.settings.write_text('[notify.hermes]\nurl = "http://x"\nsecret_env = "NEWS_SECRET"\n')

    refused = setup.run("--yes")
    assert (refused.code, "NEWS_SECRET" in refused.stderr) == (2, True)

    setup.user.environ["NEWS_SECRET"] = "of-the-variable"
    assert setup.run("--yes").code == 0
    assert "secret" not in setup.target
    route = setup.hermes["platforms"]["webhook"]["extra"]["routes"]["kugetsu-telegram"]
    assert route["secret"] == "of-the-variable"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("a: [1\n", "it is no YAML"),
        ("platforms: some\n", "no chat is switched on"),
        ("x: &x {enabled: true}\nplatforms: {telegram: *x, webhook: *x}\n", "cannot be changed"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name_and_stays(setup: Setup, written: str, said: str) -> None:
    setup.config.write_text(written)

    done = setup.run("--yes")

    assert (done.code, said in done.stderr, str(setup.config) in done.stderr) == (2, True, True)
    assert setup.config.read_text() == written
    assert not setup.settings.exists()


def test_a_hermes_that_is_not_there_is_named(setup: Setup) -> None:
    done = setup.run("--yes", "--hermes-home", "/nowhere")

    assert (done.code, "/nowhere" in done.stderr, "--hermes-home" in done.stderr) == (2, True, True)


def test_status_says_what_is_missing_and_what_to_do(setup: Setup) -> None:
    before = setup.user.run("hermes", "status")
    assert (before.code, "run `kugetsu hermes setup`" in before.stdout) == (1, True)
    with FakeKugetsu() as kugetsu:
        setup.run("--yes", "--url", kugetsu.url)
        found = setup.user.run("hermes", "status", "--json").json()

    points = {point["name"]: point["good"] for point in found["points"]}
    assert points == {
        "plugin": True,
        "enabled": True,
        "settings": True,
        "kugetsu": True,
        "notify": True,
        "telegram": False,  # no gateway runs
    }


def test_an_older_plugin_is_noticed_and_replaced(setup: Setup) -> None:
    setup.run("--yes")
    (setup.home / "plugins/kugetsu/words.py").write_text("old = True\n")

    assert "another version" in setup.user.run("hermes", "status").stdout
    assert "replaced" in setup.run("--yes").stdout
    assert "old = True" not in (setup.home / "plugins/kugetsu/words.py").read_text()


def test_a_token_is_made_for_hermes_when_others_are_in_use(setup: Setup) -> None:
    made = setup.user.run("token", "add", "ada", "--scope", "read")
    if made.code == 2 and "No such command" in made.stderr:
        pytest.skip("there is no `kugetsu token` yet")

    shown = setup.run("--dry-run")
    setup.run("--yes")

    assert "A token 'hermes' is made" in shown.stdout
    assert setup.plugin["token"].startswith("kgt_")
    assert "set up already" in setup.run("--yes").stdout
