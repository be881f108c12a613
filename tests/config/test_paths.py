import stat
from pathlib import Path

import pytest

from kugetsu.config import prepare_home, state_home, user_config_file
from kugetsu.errors import ConfigError


def test_the_variable_of_the_house_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    environ = {"KUGETSU_HOME": "link/../link/home", "XDG_STATE_HOME": "/elsewhere"}
    assert state_home(environ) == tmp_path / "real" / "home"


def test_else_the_state_directory_of_the_platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    usual = tmp_path / ".local" / "state" / "kugetsu"
    assert state_home({"XDG_STATE_HOME": str(tmp_path / "xdg")}) == tmp_path / "xdg" / "kugetsu"
    assert state_home({}) == usual
    assert state_home({"KUGETSU_HOME": "", "XDG_STATE_HOME": "relative"}) == usual


def test_the_users_file_stands_in_the_configuration_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_config_file({"XDG_CONFIG_HOME": "/etc/xdg"}) == Path("/etc/xdg/kugetsu/kugetsu.toml")
    assert user_config_file({}) == tmp_path / ".config" / "kugetsu" / "kugetsu.toml"


def test_the_home_is_made_for_its_user_alone(tmp_path: Path) -> None:
    home = tmp_path / "a" / "home"
    assert prepare_home(home) == home
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert prepare_home(home) == home


def test_a_home_that_is_a_file_is_refused_with_the_fix(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for home in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match=r"cannot write to the state directory .*set KUGETSU_HOME"):
            prepare_home(home)


def test_a_home_that_cannot_be_written_is_refused_with_the_fix() -> None:
    for home in (Path("/proc"), Path("/proc/kugetsu")):
        with pytest.raises(ConfigError, match=r"cannot write to the state directory /proc.*set KUGETSU_HOME"):
            prepare_home(home)
