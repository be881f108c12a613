import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.config import PRESETS, Loaded, describe, load_settings
from kugetsu.errors import ConfigError
from kugetsu.tasks import Limits


class Places:
    """A user's configuration directory and a repository."""

    def __init__(self, tmp: Path) -> None:
        self.user = tmp / "xdg" / "kugetsu" / "kugetsu.toml"
        self.repo = tmp / "repo"
        self.user.parent.mkdir(parents=True)
        self.repo.mkdir()
        self.environ = {"XDG_CONFIG_HOME": str(tmp / "xdg")}

    @property
    def own(self) -> Path:
        return self.repo / "kugetsu.toml"

    def load(
        self,
        user: str = "",
        repo: str = "",
        flags: Mapping[str, Any] | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Loaded:
        if user:
            self.user.write_text(user)
            self.user.chmod(0o600)
        if repo:
            self.own.write_text(repo)
        return load_settings(environ={**self.environ, **(variables or {})}, repo=self.repo, flags=flags or {})


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_without_any_file_the_defaults_are_in_force(places: Places) -> None:
    loaded = places.load()
    assert loaded.settings.limits == Limits()
    assert loaded.notices == ()
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.origins["limits.turns"] == "default"


def test_later_places_win_over_earlier_ones(places: Places) -> None:
    user = 'model = "a/user"\ncheck = "user"\n[limits]\nturns = 150\ntokens = 9\nusd = 1'
    repo = 'check = "repo"\n[limits]\nturns = 100\ntokens = 8'
    flags = {"limits": {"turns": 70}, "model": None}
    loaded = places.load(user, repo, flags, {"KUGETSU_LIMITS_TURNS": "80", "KUGETSU_LIMITS_TOKENS": "7"})
    assert loaded.settings.model == "a/user"
    assert loaded.settings.check == "repo"
    assert loaded.settings.limits == Limits(turns=70, tokens=7, usd=1)
    assert {
        name: loaded.origins[name] for name in ("model", "check", "limits.turns", "limits.tokens", "limits.usd")
    } == {
        "model": str(places.user),
        "check": str(places.own),
        "limits.turns": "command line",
        "limits.tokens": "KUGETSU_LIMITS_TOKENS",
        "limits.usd": str(places.user),
    }


def test_flags_may_be_given_by_dotted_name(places: Places) -> None:
    assert places.load(flags={"limits.turns": 3, "tools.confine": False}).settings.limits.turns == 3


def test_a_wrong_flag_is_named_with_the_command_line(places: Places) -> None:
    with pytest.raises(ConfigError, match=r"command line: limits\.turns must be 0 \(no limit\) or more, got -1"):
        places.load(flags={"limits.turns": -1})


class TestUsersFile:
    def test_the_given_file_replaces_the_usual_one(self, places: Places, tmp_path: Path) -> None:
        places.user.write_text('model = "a/usual"')
        other = tmp_path / "other.toml"
        other.write_text('model = "a/other"')
        assert load_settings(environ=places.environ, config_file=other).settings.model == "a/other"
        environ = {**places.environ, "KUGETSU_CONFIG": str(other)}
        assert load_settings(environ=environ).settings.model == "a/other"
        assert load_settings(environ=environ, config_file=places.user).settings.model == "a/usual"

    def test_a_given_file_must_exist(self, places: Places, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"missing\.toml does not exist"):
            load_settings(environ=places.environ, config_file=tmp_path / "missing.toml")

    def test_the_null_device_stands_for_no_settings(self, places: Places) -> None:
        places.user.write_text('model = "a/usual"')
        assert load_settings(environ=places.environ, config_file=Path(os.devnull)).settings.model == ""

    def test_a_built_in_provider_can_be_changed_in_one_field(self, places: Places) -> None:
        loaded = places.load("[providers.openrouter]\nidle_seconds = 7")
        provider = loaded.settings.providers["openrouter"]
        assert (provider.idle_seconds, provider.base_url) == (7, PRESETS["openrouter"].base_url)
        assert provider.api_key_env == "OPENROUTER_API_KEY"
        assert loaded.origins["providers.openrouter.base_url"] == "built in"
        assert loaded.origins["providers.openrouter.idle_seconds"] == str(places.user)

    def test_a_file_with_a_key_that_others_can_read_is_noticed(self, places: Places) -> None:
        places.user.write_text('[providers.x]\napi_key = "sk-1"')
        places.user.chmod(0o644)
        (notice,) = places.load().notices
        assert f"chmod 600 {places.user}" in notice
        places.user.chmod(0o600)
        assert places.load().notices == ()

    def test_a_byte_order_mark_is_no_error(self, places: Places) -> None:
        places.user.write_bytes(b'\xef\xbb\xbfmodel = "a/b"\r\n')
        assert places.load().settings.model == "a/b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('\n[limits]\nturns = "many"', r'kugetsu\.toml:3: limits\.turns: expected a whole number, got "many"'),
        ("limits = 3", r"kugetsu\.toml:1: limits: expected a table, got 3"),
        ("limits.turns = -1", r"kugetsu\.toml:1: limits\.turns must be 0 \(no limit\) or more, got -1"),
        ("[limits]\nusd = nan", r"kugetsu\.toml:2: limits\.usd: expected a number, got NaN"),
        ("[limits]\nusd = inf", r"limits\.usd: expected a number, got Infinity"),
        (f"[limits]\nusd = 1{'0' * 400}", r"limits\.usd: expected a number, got 10+\.\.\."),
        (f"[limits]\nusd = 1{'0' * 5000}", r"is no TOML"),
        ("check_seconds = 0", r"check_seconds must be above 0, got 0"),
        ('check = "a\\u0000b"', r"check must not hold a NUL character"),
        ("model = 1979-05-27", r"model: expected text, got a date"),
        ("[tools]\nconfine = 1", r"tools\.confine: expected true or false, got 1"),
        ("[tools]\nbash_seconds = 601", r"tools\.bash_seconds must be above 0 and at most `bash_seconds_max` \(600\)"),
        ('[tools]\nenvironment = ["A=1"]', r"tools\.environment must list names of variables"),
        ("[tools]\nenvironment = [1]", r"tools\.environment: expected a list of texts, got a list"),
        ("[retry]\nattempts = 0", r"retry\.attempts must be 1 or more"),
        ("[retry]\ncap_seconds = -1", r"retry\.cap_seconds must be 0 or more"),
        ("[limts]\nturns = 1", r"kugetsu\.toml:1: unknown field limts \(did you mean `limits`\?\)"),
        ("[limits]\nturn = 1", r"unknown field limits\.turn \(did you mean `limits\.turns`\?\)"),
        ("bash_seconds = 1", r"unknown field bash_seconds \(did you mean `tools\.bash_seconds`\?\)"),
        ("[workspace]\nxyz = 1", r"unknown field workspace\.xyz \(known here: commit_leftovers, keep\)"),
        ('[providers.a]\nwire = "grpc"', r'providers\.a\.wire: expected "openai" or "anthropic", got text'),
        ("[providers.a]\nidle_seconds = 0", r"providers\.a\.idle_seconds must be above 0"),
        ("providers.a = 1", r"providers\.a: expected a table"),
        ('[providers.a.models."m:8b"]\ncontext_window = 0', r'providers\.a\.models\."m:8b"\.context_window must be 1'),
        ('[providers.a.models."m".price]\ninput = -1\noutput = 1', r"models\.m\.price\.input must be 0 or more"),
        ('[providers.a.models."m"]\nprice = {input = 1}', r"models\.m\.price: output must be set too"),
        ("[a\nb", r"is no TOML: .*line 1"),
        ("a = 1\na = 2", r"is no TOML: .*overwrite"),
        (f"a = {'[' * 5000}", r"nested too deep"),
        (f"a{'.a' * 20_000} = 1", r"a key has more than 32 parts"),
        ("#" * 70_000, r"larger than 65,536 bytes"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_file_line_and_field(places: Places, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        places.load(text)


class TestRepositorysFile:
    def test_it_may_set_check_and_instructions(self, places: Places) -> None:
        loaded = places.load('instructions = "Be brief."', 'check = "make test"\ninstructions = "Use tabs."')
        assert loaded.settings.check == "make test"
        assert loaded.settings.instructions == "Be brief.\n\nUse tabs."
        assert loaded.origins["instructions"] == f"{places.user} and {places.own}"
        assert loaded.notices == ()

    def test_its_instructions_stand_alone_when_the_user_has_none(self, places: Places) -> None:
        loaded = places.load(repo='instructions = "Use tabs."')
        assert (loaded.settings.instructions, loaded.origins["instructions"]) == ("Use tabs.", str(places.own))

    @pytest.mark.parametrize(
        "text",
        [
            'model = "evil/model"',
            '[providers.openai]\nbase_url = "https://evil.example"',
            '[providers.openai]\napi_key = "sk-evil"',
            "tools.confine = false",
            'tools.environment = ["AWS_SECRET_ACCESS_KEY"]',
            "workspace.keep = true",
            "retry.attempts = 99",
            'model = {"not" = "even valid"}',
        ],
    )
    def test_it_may_set_nothing_else(self, places: Places, text: str) -> None:
        before = places.load()
        loaded = places.load(repo=f'check = "true"\n{text}')
        assert loaded.settings.check == "true"
        assert loaded.settings == load_settings(environ=places.environ, flags={"check": "true"}).settings
        assert loaded.origins == {**before.origins, "check": str(places.own)}
        (notice,) = loaded.notices
        assert text.split(maxsplit=1)[0].strip("[]") in notice
        assert str(places.user) in notice
        assert "evil" not in notice

    def test_a_thousand_fields_give_one_short_notice(self, places: Places) -> None:
        (notice,) = places.load(repo="[providers]\n" + "\n".join(f"a{i} = 1" for i in range(1000))).notices
        assert "providers.a9 and 990 more:" in notice

    def test_strange_names_are_shown_as_ascii(self, places: Places) -> None:
        (notice,) = places.load(repo='[providers."\\u001b[31m\\u202e"]\nwire = 1').notices
        assert r'providers."\u001b[31m\u202e".wire' in notice

    def test_limits_can_only_be_lowered(self, places: Places) -> None:
        user = "check_seconds = 50\n[limits]\nturns = 10\nusd = 0\nwall_seconds = 0"
        repo = "check_seconds = 60\n[limits]\nturns = 11\nwall_seconds = 30\ntokens = 0"
        loaded = places.load(user, repo)
        assert loaded.settings.limits == Limits(turns=10, usd=0, wall_seconds=30)
        assert loaded.settings.check_seconds == 50
        own = f"{places.own}:"
        assert loaded.notices == (
            f"{own}1: check_seconds is left out: a repository may only lower it (50 is in force)",
            f"{own}3: limits.turns is left out: a repository may only lower it (10 is in force)",
            f"{own}5: limits.tokens is left out: a repository may only lower it (2e+07 is in force)",
        )

    def test_limits_that_it_does_not_name_stay_as_the_user_set_them(self, places: Places) -> None:
        loaded = places.load("[limits]\nturns = 0\nusd = 0", "check_seconds = 5\n[limits]\ntokens = 5")
        assert loaded.settings.limits == Limits(turns=0, usd=0, tokens=5)
        assert loaded.settings.check_seconds == 5
        assert loaded.notices == ()

    def test_the_user_may_go_beyond_it_by_variable_or_flag(self, places: Places) -> None:
        loaded = places.load(repo="limits.turns = 5", variables={"KUGETSU_LIMITS_TURNS": "50"})
        assert loaded.settings.limits.turns == 50

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[limits", "is no TOML"),
            ("chek = 'x'", r"kugetsu\.toml:1: unknown field chek \(did you mean `check`\?\)"),
            ("check = 1", r"kugetsu\.toml:1: check: expected text, got 1"),
            ("limits = 1", r"kugetsu\.toml:1: limits: expected a table"),
            ("[limits]\n\nturns = -1", r"kugetsu\.toml:3: limits\.turns must be 0"),
        ],
    )
    def test_a_broken_one_is_an_error(self, places: Places, text: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message) as caught:
            places.load(repo=text)
        assert str(places.own) in str(caught.value)

    def test_one_that_the_user_chose_as_their_own_is_trusted(self, places: Places) -> None:
        places.own.write_text('model = "a/b"')
        loaded = load_settings(environ=places.environ, repo=places.repo, config_file=places.own)
        assert (loaded.settings.model, loaded.notices) == ("a/b", ())

    def test_a_repository_without_one_is_fine(self, places: Places) -> None:
        assert load_settings(environ=places.environ, repo=places.repo / "nowhere").notices == ()


class TestVariables:
    def test_each_kind_of_value_is_converted(self, places: Places) -> None:
        variables = {
            "KUGETSU_MODEL": "a/b",
            "KUGETSU_CHECK": "",
            "KUGETSU_CHECK_SECONDS": "1.5",
            "KUGETSU_LIMITS_TURNS": "5",
            "KUGETSU_TOOLS_BASH_SECONDS": "30",
            "KUGETSU_TOOLS_CONFINE": "false",
            "KUGETSU_TOOLS_ENVIRONMENT": "JAVA_HOME, GOPATH,",
        }
        settings = places.load('check = "x"', variables=variables).settings
        assert (settings.model, settings.check, settings.check_seconds, settings.limits.turns) == ("a/b", "", 1.5, 5)
        assert (settings.tools.bash_seconds, settings.tools.confine) == (30, False)
        assert settings.tools.environment == ("JAVA_HOME", "GOPATH")

    def test_providers_are_set_by_name(self, places: Places) -> None:
        variables = {
            "KUGETSU_PROVIDERS_MY_LAB_API_KEY_ENV": "LAB_KEY",
            "KUGETSU_PROVIDERS_NEW_ONE_BASE_URL": "http://127.0.0.1:2",
            "KUGETSU_PROVIDERS_NEW_ONE_WIRE": "anthropic",
            "KUGETSU_PROVIDERS_OPENAI_API_KEY": "sk-1",
        }
        loaded = places.load('[providers.my-lab]\nbase_url = "http://127.0.0.1:1"', variables=variables)
        providers = loaded.settings.providers
        assert providers["my-lab"].api_key_env == "LAB_KEY"
        assert providers["my-lab"].base_url == "http://127.0.0.1:1"
        assert (providers["new_one"].wire, providers["new_one"].base_url) == ("anthropic", "http://127.0.0.1:2")
        assert (providers["openai"].api_key, providers["openai"].base_url) == ("sk-1", PRESETS["openai"].base_url)
        assert loaded.origins["providers.my-lab.api_key_env"] == "KUGETSU_PROVIDERS_MY_LAB_API_KEY_ENV"
        assert loaded.notices == ()

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            (
                "KUGETSU_LIMITS_TURNS",
                "many",
                r'KUGETSU_LIMITS_TURNS: limits\.turns: expected a whole number, got "many"',
            ),
            ("KUGETSU_LIMITS_TURNS", "-1", r"KUGETSU_LIMITS_TURNS: limits\.turns must be 0"),
            ("KUGETSU_LIMITS_USD", "nan", r"KUGETSU_LIMITS_USD: limits\.usd: expected a number"),
            ("KUGETSU_TOOLS_CONFINE", "yes", r'tools\.confine: expected true or false, got "yes"'),
            ("KUGETSU_PROVIDERS_X_WIRE", "grpc", r'providers\.x\.wire: expected "openai" or "anthropic"'),
            ("KUGETSU_CHECK", "\udcff", r"KUGETSU_CHECK: check: holds bytes that are not UTF-8"),
        ],
    )
    def test_a_wrong_value_names_variable_and_field(self, places: Places, name: str, value: str, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            places.load(variables={name: value})

    def test_unknown_ones_are_noticed_with_the_nearest_name(self, places: Places) -> None:
        variables = {
            "KUGETSU_MODLE": "x",
            "KUGETSU_LIMIT_TURNS": "5",
            "KUGETSU_PROVIDERS_X_HEADERS": "a",
            "KUGETSU_\x1b[31m": "1",
            "OTHER": "1",
        }
        loaded = places.load(variables=variables)
        assert loaded.settings == places.load().settings
        notices = "\n".join(loaded.notices)
        assert "KUGETSU_MODLE is left out: it is no setting; did you mean KUGETSU_MODEL?" in notices
        assert "KUGETSU_LIMIT_TURNS is left out: it is no setting; did you mean KUGETSU_LIMITS_TURNS?" in notices
        assert "KUGETSU_PROVIDERS_X_HEADERS is left out: after KUGETSU_PROVIDERS_<NAME>_ comes one of WIRE" in notices
        assert "\x1b" not in notices
        assert len(loaded.notices) == 4

    def test_the_other_variables_of_the_house_are_no_mistake(self, places: Places) -> None:
        others = {"KUGETSU_HOME": "/x", "KUGETSU_TASK": "t", "KUGETSU_CALL": "c"}
        assert places.load(variables=others).notices == ()


KEY = "sk-veryverysecret"


class TestSecrets:
    @pytest.mark.parametrize(
        "text",
        [
            f'[providers.x]\napi_key = ["{KEY}"]',
            f'[providers.x]\napi_key = "{KEY} "',
            f'[providers.x]\napi_key = "{KEY}',
            f"[providers.x]\napi_key = {KEY}",
            f'[providers.x]\napi_key_env = "{KEY}"',
            f'[providers.x]\napi_kee = "{KEY}"',
            f'[providers]\napi_key = "{KEY}"',
            f'[providers.x]\nheaders = "{KEY}"',
            f'[providers.x.headers]\nAuthorization = ["{KEY}"]',
            f'[providers.x.headers]\nAuthorization = "{KEY}\\n"',
        ],
    )
    def test_no_error_repeats_a_key(self, places: Places, text: str) -> None:
        with pytest.raises(ConfigError) as caught:
            places.load(text)
        assert KEY not in f"{caught.value!s} {caught.value!r} {caught.value.fix}"

    def test_no_error_of_a_variable_repeats_a_key(self, places: Places) -> None:
        with pytest.raises(ConfigError, match="api_key must be one word") as caught:
            places.load(variables={"KUGETSU_PROVIDERS_X_API_KEY": f"{KEY}\n"})
        assert KEY not in str(caught.value)

    def test_keys_are_described_as_set_and_appear_nowhere_else(self, places: Places) -> None:
        text = f'[providers.x]\nbase_url = "http://me:{KEY}@h/v1?k={KEY}"\napi_key = "{KEY}"\nheaders = {{A = "{KEY}"}}'
        loaded = places.load(text, repo=f'[providers.y]\napi_key = "{KEY}"')
        rows = {field: (value, origin) for field, value, origin in describe(loaded)}
        assert rows["providers.x.api_key"] == ("(set)", str(places.user))
        assert rows["providers.x.headers.A"] == ("(set)", str(places.user))
        assert rows["providers.x.base_url"][0] == '"http://(set)@h/v1?(set)"'
        assert KEY not in repr(rows) + repr(loaded)


def test_every_field_in_force_is_described_with_its_origin(places: Places) -> None:
    user = '[providers.local.models."qwen:8b"]\nprice = {input = 1.0, output = 2.0}'
    loaded = places.load(user, flags={"model": "local/ü"})
    rows = describe(loaded)
    assert ("model", '"local/ü"', "command line") in rows
    assert ("check_seconds", "600.0", "default") in rows
    assert ("tools.confine", "true", "default") in rows
    assert ("tools.environment", "[]", "default") in rows
    assert ('providers.local.models."qwen:8b".price.input', "1.0", str(places.user)) in rows
    assert ("providers.local.api_key", "(not set)", "default") in rows
    assert [field for field, _, _ in rows] == list(loaded.origins)


def test_a_described_value_holds_nothing_that_a_terminal_would_obey(places: Places) -> None:
    loaded = places.load(repo='check = "caf\u00e9 \\u001b[2J \\u009b2J \\u202e \\U000e0001"')
    rows = {field: value for field, value, _ in describe(loaded)}
    assert rows["check"] == '"café \\u001b[2J \\u009b2J \\u202e \\udb40\\udc01"'


@given(data=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_settings_or_a_clear_error(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "kugetsu.toml"
    path.write_bytes(data)
    error = ""
    try:
        load_settings(environ={}, repo=path.parent, config_file=Path(os.devnull))
    except ConfigError as raised:
        error = str(raised)
    assert not error or str(path) in error


NAMES = st.sampled_from(["model", "check", "limits", "turns", "providers", "tools", "x", "api_key", "check_seconds"])
TREES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
    lambda inside: st.dictionaries(NAMES, inside, max_size=4),
    max_leaves=12,
)


@given(tree=st.dictionaries(NAMES, TREES, max_size=5))
def test_any_tree_of_values_gives_settings_or_a_clear_error(tree: dict[str, Any]) -> None:
    error, rows = "", []
    try:
        rows = describe(load_settings(environ={"KUGETSU_CONFIG": os.devnull}, flags=tree))
    except ConfigError as raised:
        error = str(raised)
    assert rows or error.startswith("command line: ")


def test_files_are_read_but_never_changed(places: Places) -> None:
    places.load("limits.turns = 1", "limits.turns = 2")
    assert stat.S_IMODE(places.user.stat().st_mode) == 0o600
    assert (places.user.read_text(), places.own.read_text()) == ("limits.turns = 1", "limits.turns = 2")
