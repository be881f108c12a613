import os
import time
from pathlib import Path

import pytest

from kugetsu.config import Loaded, load_settings
from kugetsu.errors import ConfigError


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    return tmp_path / "kugetsu.toml"


def load(path: Path, text: str = "") -> Loaded:
    """Load a repository's settings file, which may be anybody's."""
    if text:
        path.write_text(text)
    return load_settings(environ={"KUGETSU_CONFIG": os.devnull}, repo=path.parent)


@pytest.mark.parametrize("quote", ['"""\n', "'''\n"])
def test_dots_in_long_instructions_are_no_long_key(settings_file: Path, quote: str) -> None:
    text = "a.b." * 1000
    assert load(settings_file, f"instructions = {quote}{text}{quote.strip()}").settings.instructions == text


LONG_KEY = ".".join("a" * 20_000)


@pytest.mark.parametrize(
    "text",
    [
        f"{LONG_KEY} = 1",
        f"[{LONG_KEY}]",
        f"x = {{ {LONG_KEY} = 1 }}",
        f"""x = ['''it's''', {{{LONG_KEY} = 1}}, "'"]""",
        f'x = "\\"" # "\n{LONG_KEY} = 1',
        f'x = """a"""" \n{LONG_KEY} = 1',
        f'limits = 3\nx = """\n[{LONG_KEY}]\n{LONG_KEY} = 1"""',
        "limits = 3\n#" + "[" * 60_000,
        'limits = 3\nx = """\n' + "[" * 60_000 + '"""',
        'limits = 3\nx = """\n' + "a" * 60_000 + '"""',
        'limits = 3\nx = """\n[' + " " * 60_000 + '"""',
        "limits = 3\n" + "\n".join(f"a{number} = 1" for number in range(6000)),
        "x = " + '"\\' * 30_000,
        "a" * 60_000,
        "a " * 30_000,
        ". " * 30_000,
    ],
    ids=range(16),
)
def test_no_file_of_a_stranger_takes_long(settings_file: Path, text: str) -> None:
    started = time.process_time()
    with pytest.raises(ConfigError):
        load(settings_file, text)
    assert time.process_time() - started < 1


def test_a_file_that_is_not_utf8_is_named_with_its_line(settings_file: Path) -> None:
    settings_file.write_bytes(b'# fine\nmodel = "caf\xe9"')
    with pytest.raises(ConfigError, match=r"kugetsu\.toml:2: byte 0xe9 is not UTF-8 \(save it as UTF-8\)"):
        load(settings_file)


def test_a_pipe_or_directory_in_place_of_a_file_is_an_error_and_no_wait(settings_file: Path) -> None:
    os.mkfifo(settings_file)
    with pytest.raises(ConfigError, match="it is no regular file"):
        load(settings_file)
    settings_file.unlink()
    settings_file.mkdir()
    with pytest.raises(ConfigError, match=r"cannot read .*kugetsu\.toml: it is no regular file|Is a directory"):
        load(settings_file)


def test_a_file_that_may_not_be_read_is_an_error(settings_file: Path) -> None:
    settings_file.symlink_to(settings_file)
    with pytest.raises(ConfigError, match=r"cannot read .*: Too many levels of symbolic links"):
        load(settings_file)
