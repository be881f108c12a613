"""The real Hermes in an environment of its own, outside of the repository; made once and used again.

`python tests/hermes/installing.py` makes it if it is not there, and prints where its program is. It takes about a minute
and 230 MB, and needs the package index; everything after it needs no network.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "0.19.0"
REQUIREMENTS = (f"hermes-agent[mcp,acp,homeassistant]=={VERSION}", "python-telegram-bot[webhooks]==22.6")


def place() -> Path:
    """Where Hermes of this version is, or will be. `KUGETSU_HERMES_CACHE` names another directory than `~/.cache`."""
    cache = os.environ.get("KUGETSU_HERMES_CACHE") or "~/.cache/kugetsu-hermes"
    return Path(cache).expanduser() / VERSION


def installed() -> Path | None:
    """The program, None when it was never installed to the end."""
    program = place() / "venv/bin/hermes"
    return program if (place() / "ready").exists() and program.exists() else None


def install() -> Path:
    """The program; installed first if it is not there. Of several at the same time one does it, and the others wait."""
    directory = place()
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if found := installed():
            return found
        venv = directory / "venv"
        subprocess.run([_python(), "-m", "venv", "--clear", str(venv)], check=True)
        pip = [str(venv / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        subprocess.run([*pip, "--quiet", *REQUIREMENTS], check=True, stdout=sys.stderr)
        (directory / "ready").touch()
    found = installed()
    assert found
    return found


def _python() -> str:
    """Hermes needs Python 3.11 to 3.13; that of the environment we run in will do, taken from outside of it."""
    return str(Path(sys.base_prefix) / "bin/python3") if sys.base_prefix != sys.prefix else sys.executable


if __name__ == "__main__":
    assert shutil.which("git"), "Hermes needs git"
    sys.stdout.write(f"{install()}\n")
