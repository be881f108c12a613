import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from kugetsu.config import LogLevel
from kugetsu.errors import ConfigError
from kugetsu.logs import LevelFile
from logs.conftest import Journal

Waits = Callable[[Callable[[], bool]], None]


def test_a_running_log_follows_the_file(journal: Journal, waits: Waits) -> None:
    file = LevelFile(journal.home)
    with journal.open() as log:
        task = log.task("k3f9abcdef", 1)
        logging.getLogger("kugetsu.test").debug("too quiet")
        file.write("debug")
        waits(lambda: log.level == "debug")
        logging.getLogger("kugetsu.test").debug("heard now")
        assert task.where.task
        file.write("error")
        waits(lambda: log.level == "error")
        log.say("said", "too quiet again")
        file.remove()
        file.remove()
        waits(lambda: log.level == "info")
        log.say("said", "as before")
    said = [line["message"] for line in journal.kept()]
    assert said == [
        "the level of this log is now debug, as `kugetsu log-level` says",
        "heard now",
        "the level of this log is now error, as `kugetsu log-level` says",
        "the level of this log is now info, as the settings say",
        "as before",
    ]


def test_a_level_that_was_set_before_is_in_force_from_the_first_line(journal: Journal) -> None:
    LevelFile(journal.home).write("warning")
    with journal.open() as log:
        assert log.level == "warning"
        log.say("said", "too quiet")
        log.say("warned", "loud enough", level="warning")
    assert [line["event"] for line in journal.kept()] == ["log_level", "warned"]


@pytest.mark.parametrize("strange", [b"", b"verbose", b"\xff\xfe", b"debug\n" * 100, "directory", "pipe"])
def test_a_strange_file_changes_nothing_and_is_spoken_of(journal: Journal, strange: bytes | str) -> None:
    file = LevelFile(journal.home)
    match strange:
        case "directory":
            file.path.mkdir()
        case "pipe":
            os.mkfifo(file.path)
        case bytes():
            file.path.write_bytes(strange)
    with pytest.raises(ConfigError, match="log-level") as caught:
        file.read()
    assert "kugetsu log-level" in caught.value.fix
    with journal.open() as log:
        assert log.level == "info"
    (line,) = journal.kept()
    assert (line["event"], line["level"]) == ("trouble", "error")


def test_many_writers_leave_one_level_and_nothing_else(tmp_path: Path) -> None:
    file = LevelFile(tmp_path)
    levels: list[LogLevel] = ["debug", "info", "warning", "error"]

    def write(level: LogLevel) -> None:
        for _ in range(50):
            file.write(level)
            assert file.read() in levels

    threads = [threading.Thread(target=write, args=(level,)) for level in levels]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read() in levels
    assert list(tmp_path.iterdir()) == [file.path]


def test_a_level_that_cannot_be_written_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    file = LevelFile(tmp_path)
    file.path.mkdir()
    with pytest.raises(ConfigError, match="cannot write"):
        file.write("debug")
    with pytest.raises(ConfigError, match="cannot remove"):
        file.remove()
    assert list(tmp_path.iterdir()) == [file.path]
    with pytest.raises(ConfigError, match="cannot write"):
        LevelFile(tmp_path / "nowhere").write("debug")
