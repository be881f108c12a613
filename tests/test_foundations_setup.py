"""What `make setup` does on machines that are not ready, and when it is interrupted; with stand-ins for Python."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

OLD = """#!/bin/sh
exit 1
"""

BARE = """#!/bin/sh
case "$*" in *ensurepip*) exit 1 ;; *print*) echo python3.12-venv ;; esac
"""

GOOD = """#!/bin/sh
# Stands in for Python: makes an environment whose Python is this script, and writes down how it was called.
case "$*" in
  *"-m venv"*) rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  *"-m pip"*) env | grep -E '^(PIP|PYTHON)' >> environment; echo "$*" >> calls; [ ! -e "$PWD/broken" ] || exit 1 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    directory = tmp_path / "a checkout"
    directory.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, directory)
    return directory


def python(directory: Path, text: str) -> str:
    path = directory.parent / "python"
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


def make(directory: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        ["make", *arguments], cwd=directory, env=env, capture_output=True, text=True, timeout=50, check=False
    )


def calls(directory: Path) -> list[str]:
    return (directory / "calls").read_text().splitlines()


def test_a_python_that_is_too_old_is_named_with_what_to_install(checkout: Path) -> None:
    done = make(checkout, "setup", f"PYTHON={python(checkout, OLD)} /no/such/python")
    assert done.returncode != 0
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "/no/such/python" in done.stderr
    assert "apt install python3" in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_python_without_venv_is_named_with_the_package_to_install(checkout: Path) -> None:
    bare = python(checkout, BARE)
    done = make(checkout, "setup", f"PYTHON=/no/such/python {bare}")
    assert done.returncode != 0
    assert f"{bare} cannot make virtual environments" in done.stderr
    assert "apt install python3-venv (or python3.12-venv)" in done.stderr


def test_setup_installs_by_hash_and_once(checkout: Path) -> None:
    good = f"PYTHON={python(checkout, GOOD)}"
    assert make(checkout, "setup", good).returncode == 0
    pinned, project = calls(checkout)
    assert "--require-hashes --no-deps -r constraints.txt" in pinned
    assert "--no-deps --no-build-isolation --editable ." in project
    assert make(checkout, "setup", good).returncode == 0
    assert len(calls(checkout)) == 2


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_setup_is_repeated_in_the_same_environment_when_what_it_read_changed(checkout: Path, name: str) -> None:
    good = f"PYTHON={python(checkout, GOOD)}"
    make(checkout, "setup", good)
    (checkout / ".venv" / "stale").touch()
    later = (checkout / ".venv" / "ready").stat().st_mtime + 10
    os.utime(checkout / name, (later, later))
    assert make(checkout, "setup", good).returncode == 0
    assert len(calls(checkout)) == 4
    assert (checkout / ".venv" / "stale").exists()


def test_setup_that_failed_starts_afresh_the_next_time(checkout: Path) -> None:
    good = f"PYTHON={python(checkout, GOOD)}"
    (checkout / "broken").touch()
    assert make(checkout, "setup", good).returncode != 0
    assert not (checkout / ".venv" / "ready").exists()
    (checkout / ".venv" / "stale").touch()
    (checkout / "broken").unlink()
    assert make(checkout, "setup", good).returncode == 0
    assert not (checkout / ".venv" / "stale").exists()


def test_a_checkout_that_moved_gets_a_new_environment(checkout: Path) -> None:
    good = f"PYTHON={python(checkout, GOOD)}"
    make(checkout, "setup", good)
    moved = checkout.rename(checkout.with_name("moved"))
    (moved / ".venv" / "stale").touch()
    assert make(moved, "setup", good).returncode == 0
    assert not (moved / ".venv" / "stale").exists()


def test_an_environment_whose_python_is_gone_is_made_anew(checkout: Path) -> None:
    good = f"PYTHON={python(checkout, GOOD)}"
    make(checkout, "setup", good)
    (checkout / ".venv" / "bin" / "python").unlink()
    assert make(checkout, "setup", good).returncode == 0
    assert len(calls(checkout)) == 4


def test_clean_and_setup_can_be_asked_for_at_once(checkout: Path) -> None:
    good = f"PYTHON={python(checkout, GOOD)}"
    make(checkout, "setup", good)
    (checkout / ".venv" / "stale").touch()
    assert make(checkout, "clean", "setup", good).returncode == 0
    assert (checkout / ".venv" / "ready").exists()
    assert not (checkout / ".venv" / "stale").exists()


def test_settings_of_the_user_for_other_projects_do_not_reach_pip_but_the_index_does(checkout: Path) -> None:
    unwanted = dict.fromkeys(("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_CONSTRAINT"), "x")
    done = make(
        checkout, "setup", f"PYTHON={python(checkout, GOOD)}", PIP_INDEX_URL="https://index.example", **unwanted
    )
    assert done.returncode == 0
    seen = (checkout / "environment").read_text()
    assert "PIP_INDEX_URL=https://index.example" in seen
    assert not any(f"{name}=" in seen for name in unwanted)
