import os
import subprocess
import sys
from pathlib import Path

import pytest

from kugetsu.engine import sole_daemon
from kugetsu.errors import RecordError, StateConflictError

HOLD = """
import sys, time
from pathlib import Path
from kugetsu.engine import sole_daemon
with sole_daemon(Path(sys.argv[1]), "kugetsu serve", 1.0):
    print("held", flush=True)
    sys.stdin.read()
"""


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
