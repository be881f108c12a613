"""The real Hermes in an environment of its own, outside of the repository; made once and used again.

`python tests/hermes/installing.py` makes it if it is not there, and prints where its program is. It takes about a minute
and 230 MB, and needs the package index; everything after it needs no network.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

VERSION = "0.19.0"
REQUIREMENTS = (f"hermes-agent[mcp,acp,homeassistant]=={VERSION}", "python-telegram-bot[webhooks]==22.6")


class NotInstallableError(Exception):
    """Hermes cannot be installed here."""


def place() -> Path:
    """Where Hermes of this version is, or will be. `KUGETSU_HERMES_CACHE` names another directory than `~/.cache`."""
    cache = os.environ.get("KUGETSU_HERMES_CACHE") or "~/.cache/kugetsu-hermes"
    return Path(cache).expanduser() / VERSION


def installed() -> Path | None:
    """The program, None when it was never installed to the end."""
    program = place() / "venv/bin/hermes"
    return program if (place() / "ready").exists() and program.exists() else None


def install(say: Callable[[str], object] = lambda _line: None) -> Path:
    """The program; installed first if it is not there. Of several at the same time one does it, and the others wait.

    Args:
        say: told in a line what is being done.

    Raises:
        NotInstallableError: it cannot be installed here; says why.
    """
    directory = place()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if found := installed():
                return found
            say(f"installing Hermes {VERSION} into {directory}: about 230 MB, a minute or two")
            _make(directory / "venv", say)
            (directory / "ready").touch()
    except OSError as error:
        raise NotInstallableError(f"{directory}: {error.strerror}") from error
    found = installed()
    assert found
    return found


def _make(venv: Path, say: Callable[[str], object]) -> None:
    _run([_python(), "-m", "venv", "--clear", str(venv)], say)
    pip = [str(venv / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    _run([*pip, "--retries", "1", "--timeout", "20", *REQUIREMENTS], say)


def _run(command: list[str], say: Callable[[str], object]) -> None:
    """Run a command to its end, and tell of each package that it takes up."""
    lines = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            lines.append(line.strip())
            if line.startswith("Collecting "):
                say(f"  {line.split()[1]}")
    if process.returncode:
        errors = [line for line in lines if line.startswith("ERROR: ")]
        said = (errors or lines or ["not a word"])[-1].removeprefix("ERROR: ")
        raise NotInstallableError(f"{said} (pip needs the package index)")


def _python() -> str:
    """Hermes needs Python 3.11 to 3.13: that of the environment we run in, taken from outside of it, or another one."""
    ours = str(Path(sys.base_prefix) / "bin/python3") if sys.base_prefix != sys.prefix else sys.executable
    if sys.version_info < (3, 14):
        return ours
    return next(filter(None, map(shutil.which, ("python3.13", "python3.12", "python3.11"))), ours)


if __name__ == "__main__":
    assert shutil.which("git"), "Hermes needs git"
    program = install(lambda line: sys.stderr.write(line + "\n"))
    sys.stdout.write(f"{program}\n")
