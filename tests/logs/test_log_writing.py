import json
import logging
import os
import resource
import select
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kugetsu.config import LogSettings
from kugetsu.logs import LOG_FILE, Log, open_log
from kugetsu.logs.outlets import FileOutlet, StreamOutlet
from kugetsu.logs.writer import MOST_WAITING
from logs.conftest import Journal

Waits = Callable[[Callable[[], bool]], None]


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def say_many(log: Log, count: int) -> float:
    """Say so many things; the longest time that one of them took."""
    longest = 0.0
    for number in range(count):
        started = time.thread_time()
        log.say("counted", "x" * 100, number=number)
        longest = max(longest, time.thread_time() - started)
    return longest


def drain(reader: int, seconds: float) -> bytes:
    """What comes out of a pipe until nothing more does for a while."""
    data = b""
    while select.select([reader], [], [], seconds)[0]:
        if not (piece := os.read(reader, 65_536)):
            break
        data += piece
    return data


def test_a_terminal_that_takes_nothing_holds_nobody_up_and_is_told_what_it_missed(tmp_path: Path, waits: Waits) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, open_log(LogSettings(format="json"), tmp_path, stream=stream) as log:
        assert say_many(log, 3 * MOST_WAITING) < 0.5
        data, said = b"", 3 * MOST_WAITING

        def all_accounted_for() -> bool:
            nonlocal data, said
            data += drain(reader, 0.3)
            log.say("counted", "is there more?")
            said += 1
            data += drain(reader, 0.3)
            lines = [json.loads(line) for line in data.splitlines()]
            lost = [line for line in lines if line["event"] == "lines_lost"]
            assert all("came faster than they could be written" in line["message"] for line in lost)
            return bool(lost) and sum(line["count"] for line in lost) + len(lines) - len(lost) == said

        waits(all_accounted_for)
    os.close(reader)


def test_a_stuck_terminal_does_not_keep_lines_from_the_file_nor_the_program_from_its_end(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while select.select([], [writer], [], 0)[1]:
        os.write(writer, b"x" * 4096)
    started = time.monotonic()
    with os.fdopen(writer, "w") as stream:
        with open_log(LogSettings(level="error"), tmp_path, stream=stream) as log:
            for number in range(10):
                log.say("counted", "x", level="error", number=number)
        assert time.monotonic() - started < 10
        *counted, last = lines_of(tmp_path / LOG_FILE)
        assert [line["number"] for line in counted] == list(range(10))
        assert last["message"] == "10 lines are missing at the end of the log on stderr"
        drain(reader, 0.1)  # lets the thread go
        os.close(reader)


def test_a_terminal_that_is_gone_is_spoken_of_in_the_file_once(tmp_path: Path, waits: Waits) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    file = tmp_path / LOG_FILE
    with os.fdopen(writer, "w") as stream, open_log(LogSettings(), tmp_path, stream=stream) as log:
        log.say("first", "is it there?")
        waits(lambda: file.exists() and b"log_unwritable" in file.read_bytes())
        log.say("second", "and now?")
    said = [(line["event"], line["message"]) for line in lines_of(file)]
    assert said == [
        ("first", "is it there?"),
        ("log_unwritable", "the log on stderr cannot be written: Broken pipe; its lines are lost until it can be"),
        ("second", "and now?"),
        ("lines_lost", "2 lines are missing at the end of the log on stderr"),
    ]


def test_a_file_that_cannot_be_written_is_spoken_of_and_goes_on_when_it_can(journal: Journal, waits: Waits) -> None:
    (journal.home / "logs").write_text("in the way")
    with journal.open() as log:
        log.say("first", "one")
        waits(lambda: "cannot be written: " in journal.stream.getvalue())
        log.say("second", "two")
        waits(lambda: " two" in journal.stream.getvalue())
        (journal.home / "logs").unlink()
        log.say("third", "three")
    lost, *others = journal.kept()
    assert (lost["event"], lost["level"]) == ("lines_lost", "warning")
    assert lost["count"] + len(others) == 3  # the second may have been early or late
    assert others[-1]["event"] == "third"
    assert [line.partition(": ")[2][:9] for line in journal.shown()] == ["one", "the log f", "two", "three"]


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "kugetsu.log"
    outlet = FileOutlet(path, 10**6, 1)
    line = b'{"n":1}\n'
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        done, error = outlet.write([line] * 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (done, error is None) == (12, False)
    assert path.read_bytes() == line * 12
    assert outlet.write([line]) == (1, None)
    outlet.close()
    assert path.read_bytes() == line * 13


def test_a_line_that_a_crash_has_cut_stays_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "kugetsu.log"
    path.write_bytes(b'{"n":1}\n{"n":')
    outlet = FileOutlet(path, 10**6, 1)
    assert outlet.write([b'{"n":3}\n']) == (1, None)
    outlet.close()
    assert path.read_bytes().splitlines() == [b'{"n":1}', b'{"n":', b'{"n":3}']


@pytest.mark.parametrize("older", [0, 1, 3])
def test_a_file_that_is_large_enough_is_begun_anew_and_the_oldest_goes(tmp_path: Path, older: int) -> None:
    path = tmp_path / "logs" / "kugetsu.log"
    outlet = FileOutlet(path, 100, older)
    for number in range(100):
        assert outlet.write([b"%03d %s\n" % (number, b"x" * 20)]) == (1, None)
    outlet.close()
    files = [path, *(path.with_name(f"kugetsu.log.{number}") for number in range(1, older + 1))]
    assert sorted(path.parent.iterdir()) == sorted(files)
    assert all(0 < file.stat().st_size <= 100 for file in files)
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    numbers = [int(line[:3]) for file in reversed(files) for line in file.read_bytes().splitlines()]
    assert numbers == list(range(100 - len(numbers), 100))


def test_a_line_above_the_size_of_the_file_has_one_for_itself(tmp_path: Path) -> None:
    path = tmp_path / "kugetsu.log"
    outlet = FileOutlet(path, 10, 9)
    assert outlet.write([b"a\n", b"x" * 100 + b"\n", b"b\n"]) == (3, None)
    outlet.close()
    assert path.read_bytes() == b"b\n"
    assert path.with_name("kugetsu.log.1").stat().st_size == 101
    assert path.with_name("kugetsu.log.2").read_bytes() == b"a\n"


@pytest.mark.parametrize("taken", ["moved", "removed"])
def test_a_file_that_somebody_takes_away_is_made_again(tmp_path: Path, taken: str) -> None:
    path = tmp_path / "kugetsu.log"
    outlet = FileOutlet(path, 10**6, 1)
    outlet.write([b"a\n"])
    if taken == "moved":
        path.rename(tmp_path / "elsewhere")
    else:
        path.unlink()
    assert outlet.write([b"b\n"]) == (1, None)
    outlet.close()
    assert path.read_bytes() == b"b\n"


def test_a_directory_where_an_older_file_should_be_keeps_the_file_from_growing(tmp_path: Path) -> None:
    path = tmp_path / "kugetsu.log"
    path.with_name("kugetsu.log.1").mkdir()
    outlet = FileOutlet(path, 10, 1)
    assert outlet.write([b"12345678\n"]) == (1, None)
    done, error = outlet.write([b"12345678\n"])
    outlet.close()
    assert (done, isinstance(error, IsADirectoryError)) == (0, True)
    assert path.stat().st_size == 9


def test_a_reader_who_is_slow_gets_every_line_whole() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    got: list[bytes] = []
    slow = threading.Thread(target=lambda: got.append(drain(reader, 1.0)))
    with os.fdopen(writer, "w") as stream:
        outlet = StreamOutlet(stream)
        slow.start()
        lines = [b"%05d %s\n" % (number, b"x" * 1000) for number in range(500)]
        assert outlet.write(lines) == (500, None)
        outlet.close()
        outlet.close()
    slow.join()
    os.close(reader)
    assert got == [b"".join(lines)]


def test_a_value_that_cannot_be_written_loses_its_line_and_no_other(journal: Journal) -> None:
    class Strange:
        def __str__(self) -> str:
            raise ValueError("no words")

    with journal.open() as log:
        log.say("first", "one", value=Strange())
        log.say("second", "two")
    assert {line["event"] for line in journal.kept()} == {"lines_lost", "second"}
    assert any("ValueError while they were put into words" in line for line in journal.shown())


def test_what_is_said_after_the_end_is_dropped_quietly(journal: Journal) -> None:
    with journal.open() as log:
        log.say("first", "one")
    log.say("second", "two")
    logging.getLogger("kugetsu.storage").error("three")
    assert [line["event"] for line in journal.kept()] == ["first"]


def test_all_threads_end_with_the_log(journal: Journal) -> None:
    before = set(threading.enumerate())
    with journal.open():
        assert {thread.name for thread in set(threading.enumerate()) - before} == {"kugetsu-log", "kugetsu-log-level"}
    assert set(threading.enumerate()) == before
