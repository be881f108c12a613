import fcntl
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kugetsu.config.daemon import Holder, running_daemon
from kugetsu.engine import sole_daemon
from kugetsu.errors import RecordError, StateConflictError

HOLD = """
import sys, time
from pathlib import Path
from kugetsu.engine import sole_daemon
with sole_daemon(Path(sys.argv[1]), "kugetsu serve", 1.0) as daemon:
    daemon.announce("http://127.0.0.1:1", "kgt_1_secret")
    print("held", flush=True)
    sys.stdin.read()
"""

TOKEN = "kgt_1_secret"


def test_a_second_daemon_is_refused_by_the_name_and_process_of_the_first(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(StateConflictError, match=rf"kugetsu serve \(process {holder.pid}\) works on"),
            sole_daemon(tmp_path, "another", 2.0),
        ):
            pass
        holder.kill()
        holder.wait()
        with sole_daemon(tmp_path, "another", 2.0):
            assert str(os.getpid()) in (tmp_path / "serve.lock").read_text()


def test_other_state_directories_have_daemons_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with sole_daemon(tmp_path, "one", 1.0), sole_daemon(tmp_path / "other", "two", 1.0):
        pass


@pytest.mark.parametrize("contents", [b"", b"\xff\xfe", b'{"name": 3}', b"x" * 10_000])
def test_a_lock_with_strange_contents_still_refuses(tmp_path: Path, contents: bytes) -> None:
    with sole_daemon(tmp_path, "one", 1.0):
        (tmp_path / "serve.lock").write_bytes(contents)
        with pytest.raises(StateConflictError, match="another daemon works on"), sole_daemon(tmp_path, "two", 2.0):
            pass


def test_a_lock_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "serve.lock").mkdir()
    with pytest.raises(RecordError, match="cannot open"), sole_daemon(tmp_path, "one", 1.0):
        pass


def test_a_daemon_is_found_with_its_address_and_token_while_it_lives_and_not_after_a_kill(tmp_path: Path) -> None:
    assert running_daemon(tmp_path) is None
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        assert running_daemon(tmp_path) == Holder("kugetsu serve", holder.pid, 1.0, "http://127.0.0.1:1", TOKEN)
        holder.kill()
        holder.wait()
    assert TOKEN in (tmp_path / "serve.lock").read_text()  # a killed one clears nothing
    assert running_daemon(tmp_path) is None


def test_a_daemon_without_http_is_found_without_an_address(tmp_path: Path) -> None:
    with sole_daemon(tmp_path, "kugetsu serve", 1.0):
        assert running_daemon(tmp_path) == Holder("kugetsu serve", os.getpid(), 1.0)
    assert running_daemon(tmp_path) is None


def test_the_token_is_for_the_owner_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    lock = tmp_path / "serve.lock"
    lock.write_text("left behind by somebody")
    lock.chmod(0o666)
    with sole_daemon(tmp_path, "kugetsu serve", 1.0) as daemon:
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
        lock.chmod(0o644)
        daemon.announce("http://127.0.0.1:8787", TOKEN)
        assert stat.S_IMODE(lock.stat().st_mode) == 0o600
        assert TOKEN in lock.read_text()
        assert TOKEN not in repr(daemon.holder)
    assert lock.read_text() == ""


def test_the_lock_is_given_back_when_the_block_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with sole_daemon(tmp_path, "kugetsu serve", 1.0) as daemon:
            daemon.announce("http://127.0.0.1:8787", TOKEN)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "serve.lock").read_text() == ""
    assert running_daemon(tmp_path) is None


def test_looking_for_a_daemon_never_keeps_one_from_starting(tmp_path: Path) -> None:
    looks, enough = 0, threading.Event()

    def look() -> None:
        nonlocal looks
        while not enough.is_set():
            running_daemon(tmp_path)
            looks += 1

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for number in range(200):
            with sole_daemon(tmp_path, "one", float(number)) as daemon:
                daemon.announce(f"http://127.0.0.1:{number + 1}", TOKEN)
    finally:
        enough.set()
        for looker in lookers:
            looker.join()
    assert looks


def test_what_a_dead_daemon_left_behind_is_never_taken_for_the_living_one(tmp_path: Path) -> None:
    dead = Holder("kugetsu serve", 1, 1.0, "http://127.0.0.1:1", TOKEN)
    (tmp_path / "serve.lock").write_text('{"name":"kugetsu serve","pid":1,"since":1.0,"url":"http://127.0.0.1:1"}')
    with (tmp_path / "serve.lock").open("r+b") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)  # it has the lock, and has not said yet who it is
        assert running_daemon(tmp_path) is None
    with sole_daemon(tmp_path, "kugetsu serve", 2.0):
        found = running_daemon(tmp_path)
        assert found
        assert (found.since, found.url) == (2.0, "")
        assert found != dead


def test_a_daemon_whose_file_was_spoilt_is_no_silent_absence(tmp_path: Path) -> None:
    with sole_daemon(tmp_path, "one", 1.0):
        (tmp_path / "serve.lock").write_bytes(b"\xff")
        with pytest.raises(RecordError, match="does not say which"):
            running_daemon(tmp_path)
