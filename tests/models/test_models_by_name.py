import subprocess
import sys
from pathlib import Path

import pytest

from kugetsu.config import PRESETS, ProviderSettings, Settings
from kugetsu.errors import ConfigError
from kugetsu.models import Models, ScriptedModel
from kugetsu.protocols import Model
from models.model_lab import wire_of

CANARY = "sk-canary-777"


def opened(name: str, environ: dict[str, str] | None = None, **providers: ProviderSettings) -> Model:
    return Models(Settings(providers=providers), environ or {}).open(name)


def refused(name: str, environ: dict[str, str] | None = None, **providers: ProviderSettings) -> str:
    with pytest.raises(ConfigError) as caught:
        opened(name, environ, **providers)
    shown = f"{caught.value} {caught.value!r} {caught.value.__context__!r}"
    assert CANARY not in shown
    assert caught.value.fix
    return str(caught.value)


@pytest.mark.parametrize("name", ["gpt-5", "", "/gpt-5", "openai/", "/"])
def test_a_name_without_a_provider_or_a_model_is_refused_with_an_example(name: str) -> None:
    message = refused(name)
    assert repr(name) in message
    assert "provider/model" in message


def test_an_unknown_provider_is_refused_with_those_that_are_known() -> None:
    message = refused("opnai/gpt-5", mine=ProviderSettings(base_url="http://h"))
    assert "unknown provider 'opnai'" in message
    assert all(name in message for name in [*PRESETS, "mine"])


@pytest.mark.parametrize("environ", [{}, {"OPENAI_API_KEY": ""}, {"OPENAI_API_KEY": " \n"}, {"OTHER": CANARY}])
def test_a_missing_key_is_refused_by_the_name_of_its_variable(environ: dict[str, str]) -> None:
    assert "the variable OPENAI_API_KEY is not set (export OPENAI_API_KEY=...)" in refused("openai/gpt-5", environ)


@pytest.mark.parametrize("key", [f"{CANARY}\nX: y", f"{CANARY} {CANARY}", f"{CANARY}ü", f"{CANARY}\x00"])
def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(key: str) -> None:
    assert "the key in OPENAI_API_KEY" in refused("openai/gpt-5", {"OPENAI_API_KEY": key})


def test_blanks_around_a_key_are_no_part_of_it() -> None:
    assert opened("openai/gpt-5", {"OPENAI_API_KEY": f" {CANARY}\n"}).name == "openai/gpt-5"


def test_an_empty_address_is_refused_by_its_field() -> None:
    assert "`providers.mine.base_url` is empty" in refused("mine/m", mine=ProviderSettings())


@pytest.mark.parametrize(
    "url",
    [
        "host/v1",
        "ftp://h/v1",
        "http://",
        "http:///v1",
        "http://h:99999",
        "http://h:x/",
        "http://[::1",
        "http://a b/v1",
        "http://h/\x07",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    assert "`providers.mine.base_url` is no URL" in refused("mine/m", mine=ProviderSettings(base_url=url))


@pytest.mark.parametrize("url", [f"http://u:{CANARY}@h/v1", f"http://h/v1?key={CANARY}", f"http://h/#{CANARY}"])
def test_an_address_that_may_hold_a_key_is_refused_without_showing_it(url: str) -> None:
    assert "holds more than an address" in refused("mine/m", mine=ProviderSettings(base_url=url))


def test_settings_for_a_built_in_provider_are_laid_over_it_field_by_field() -> None:
    model = wire_of(opened("openrouter/m", openrouter=ProviderSettings(api_key=CANARY, idle_seconds=7)))
    assert str(model._endpoint._url) == "https://openrouter.ai/api/v1/chat/completions"
    assert model._endpoint._idle_seconds == 7
    assert model._endpoint._headers["Authorization"] == f"Bearer {CANARY}"
    moved = wire_of(
        opened("anthropic/m", {"ANTHROPIC_API_KEY": CANARY}, anthropic=ProviderSettings(base_url="http://h/"))
    )
    assert str(moved._endpoint._url) == "http://h/v1/messages"


def test_a_server_that_needs_no_key_gets_none() -> None:
    model = wire_of(opened("ollama/qwen3"))
    assert not {"Authorization", "X-Api-Key"} & model._endpoint._headers.keys()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_built_in_provider_can_be_opened(preset: str) -> None:
    variable = PRESETS[preset].api_key_env
    model = opened(f"{preset}/some/model:free", {variable: CANARY})
    assert model.name == f"{preset}/some/model:free"
    assert model.info.max_output <= model.info.context_window


async def test_a_model_is_shared_by_all_who_open_it_and_a_rehearsal_is_made_every_time(tmp_path: Path) -> None:
    script = tmp_path / "demo.yaml"
    script.write_text("turns: []")
    async with Models(Settings(), {}) as models:
        assert wire_of(models.open("ollama/m")) is wire_of(models.open("ollama/m", patience=3))
        first, second = models.open(f"scripted:{script}"), models.open(f"scripted:{script}")
    assert first is not second
    assert isinstance(first, ScriptedModel)
    assert first.name == "scripted:demo.yaml"


@pytest.mark.parametrize("content", [None, "turns: 7", "turns: [", '{"turns": [{"text": 1}]}', b"\xff\xfe"])
def test_a_script_that_cannot_be_used_is_refused_by_its_file(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "broken.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        opened(f"scripted:{path}")
    assert "names no file" in refused("scripted:")


async def test_closing_models_that_called_nobody_is_nothing() -> None:
    models = Models(Settings(), {})
    models.open("ollama/m")
    await models.close()
    await models.close()


def test_a_rehearsal_imports_no_library_for_http_or_prices(tmp_path: Path) -> None:
    script = tmp_path / "demo.json"
    script.write_text("{}")
    program = f"""
import sys
from kugetsu.config import Settings
from kugetsu.models import Models
Models(Settings(), {{}}).open("scripted:{script}")
print([name for name in ("aiohttp", "genai_prices", "pydantic", "yaml") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
