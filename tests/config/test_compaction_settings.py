from pathlib import Path

import pytest

from kugetsu.config import CompactionSettings, Loaded, describe, load_settings
from kugetsu.errors import ConfigError


def load(tmp_path: Path, user: str = "", repo: str = "", **variables: str) -> Loaded:
    (tmp_path / "user.toml").write_text(user)
    (tmp_path / "kugetsu.toml").write_text(repo)
    return load_settings(environ=variables, repo=tmp_path, config_file=tmp_path / "user.toml")


def test_old_turns_are_taken_out_by_the_tasks_own_model_unless_somebody_says_otherwise() -> None:
    settings = CompactionSettings()
    assert settings.model == ""
    assert 0 < settings.at < 1
    assert settings.most_tokens >= 500
    assert CompactionSettings(at=0).at == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("at = 1.0", r"user\.toml:2: compaction\.at must be from 0 \(never\) to 0\.95, got 1$"),
        ("at = -0.1", r"user\.toml:2: compaction\.at must be from 0 \(never\) to 0\.95, got -0\.1$"),
        ("most_tokens = 499", r"user\.toml:2: compaction\.most_tokens must be 500 or more, got 499$"),
        ("most_tokens = 800.5", r"compaction\.most_tokens: expected a whole number, got 800\.5$"),
        ("model = 5", r"compaction\.model: expected text, got 5$"),
        (
            'model = "scripted:notes.yaml"',
            r"compaction\.model must name a script by its whole path \(scripted:/FILE\), got scripted:notes\.yaml$",
        ),
        ("modle = 5", r"compaction\.modle.*model"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_place_and_name(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        load(tmp_path, f"[compaction]\n{text}")


@pytest.mark.parametrize("model", ["", "provider/cheap", "scripted:/srv/notes.yaml", "scripted:~/notes.yaml"])
def test_a_model_is_named_so_that_it_is_the_same_wherever_a_process_works(model: str) -> None:
    assert CompactionSettings(model=model).model == model


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    user = '[compaction]\nmodel = "a/b"\nat = 0.5'
    loaded = load(
        tmp_path, user, KUGETSU_COMPACTION_MODEL="stepfun/step-3.5-flash:free", KUGETSU_COMPACTION_MOST_TOKENS="900"
    )
    assert loaded.settings.compaction == CompactionSettings("stepfun/step-3.5-flash:free", 0.5, 900)
    rows = {field: (value, origin) for field, value, origin in describe(loaded) if field.startswith("compaction.")}
    assert rows == {
        "compaction.model": ('"stepfun/step-3.5-flash:free"', "KUGETSU_COMPACTION_MODEL"),
        "compaction.at": ("0.5", str(tmp_path / "user.toml")),
        "compaction.most_tokens": ("900", "KUGETSU_COMPACTION_MOST_TOKENS"),
    }
    with pytest.raises(ConfigError, match=r"KUGETSU_COMPACTION_AT: compaction\.at must be from 0 \(never\) to 0\.95"):
        load(tmp_path, KUGETSU_COMPACTION_AT="2")


def test_a_repository_can_neither_choose_who_reads_conversations_nor_when(tmp_path: Path) -> None:
    loaded = load(tmp_path, repo='[compaction]\nmodel = "evil/m"\nat = 0.9')
    assert loaded.settings.compaction == CompactionSettings()
    (notice,) = loaded.notices
    assert "left out compaction.model, compaction.at: a repository may not set this" in notice
    assert str(tmp_path / "user.toml") in notice
