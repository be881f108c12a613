"""Kugetsu as a program: each task is a detached `kugetsu run`, and no server is needed."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Final

from .contract import Json
from .settings import Settings
from .trouble import Trouble

_MOST_BYTES: Final = 2_000_000
"""Largest answer that is read."""

_START_SECONDS: Final = 20.0
"""How long it may take, at least, until a task is accepted and its program runs: git has to look at the repository."""

_LONGEST_WORDS: Final = 100_000
"""Characters of one argument; the kernel takes 128 KiB."""

_NO_CAPACITY: Final = 4
_OURS: Final = ("KUGETSU_HERMES_", "KUGETSU_SERVER", "KUGETSU_TOKEN", "KUGETSU_TASK", "KUGETSU_CALL")
_FOREIGN: Final = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
"""Variables that are for the Python of Hermes, not for that of Kugetsu."""


class SpawnedTasks:
    """Implements `contract.Tasks` by the program `kugetsu`. Nothing passes through a shell."""

    def __init__(self, settings: Settings) -> None:
        self._command = settings.command
        self._seconds = settings.seconds

    def available(self) -> bool:
        """Whether the program is there."""
        return shutil.which(self._command[0]) is not None

    def submit(self, new: Json) -> tuple[Json, bool]:
        """Start a detached run; see `contract.Tasks`. Returns when the task is stored and its program runs."""
        arguments = ["run", "--detach", "--json"]
        for option in ("repo", "model", "base", "check", "subject", "key"):
            if value := str(new.get(option, "")):
                arguments += [f"--{option}", os.path.expanduser(value) if option == "repo" else value]  # noqa: PTH111 - may be a URL
        for name, value in new.get("reply_to", {}).items():
            arguments += ["--reply-to", f"{name}={value}"]
        task = self._json(*arguments, "--", "-", words=new["prompt"], seconds=max(self._seconds, _START_SECONDS))
        return task, bool(task.get("created", True))

    def show(self, task: str) -> Json:
        """Everything that is known of a task; see `contract.Tasks`."""
        return self._json("show", "--json", "--", task)

    def newest(self, states: tuple[str, ...], most: int) -> list[Json]:
        """Tasks, newest first; see `contract.Tasks`."""
        chosen = [part for state in states for part in ("--state", state)]
        found = self._json("list", "--json", "--limit", str(most), *chosen).get("tasks")
        return found if isinstance(found, list) else []

    def control(self, task: str, verb: str, body: Json) -> Json:
        """Do what a user asks for; see `contract.Tasks`. What goes on then does so in a detached program."""
        match verb:
            case "steer":
                flags = ["--follow-up"] if body.get("follow_up") else []
                return self._json("steer", "--json", *flags, "--", task, "-", words=body.get("text", ""))
            case "answer":
                self._json("answer", "--json", "--", task, "-", words=body.get("text", ""))
                return self._go_on(task)
            case "retry":
                self._json("retry", "--json", "--", task)
                return self._go_on(task)
            case "resume":
                return self._go_on(task)
            case "cancel":
                return self._json("cancel", "--json", "--reason", body.get("reason", ""), "--", task)
            case "pause":
                return self._json("pause", "--json", "--", task)
            case _:
                raise Trouble(f"there is no {verb!r}")

    def diff(self, task: str) -> str:
        """What a task changed; see `contract.Tasks`."""
        return str(self._json("diff", "--json", "--", task).get("diff", ""))

    def _go_on(self, task: str) -> Json:
        return self._json("resume", "--detach", "--json", "--", task, seconds=max(self._seconds, _START_SECONDS))

    def _json(self, *arguments: str, words: str = "", seconds: float = 0.0) -> Json:
        """Run a command that prints JSON; `words` are what it reads for `-`."""
        if any(len(each) > _LONGEST_WORDS for each in arguments):
            raise Trouble("that is too long for a command", fix="say it in fewer words")
        # Files, not pipes: whoever was started on may keep them open.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as heard:
            heard.write(words.encode("utf-8", "replace"))
            heard.seek(0)
            code = self._run([*self._command, *arguments], heard, out, said, seconds or self._seconds)
            printed, sentences = _content(out), _content(said)
        if code == 0:
            return _decoded(printed)
        raise _refusal(code, printed, sentences)

    def _run(self, command: list[str], heard: IO[bytes], out: IO[bytes], said: IO[bytes], seconds: float) -> int:
        try:
            # In a session of its own: what ends a turn of Hermes ends nothing of this.
            return subprocess.run(
                command,
                stdin=heard,
                stdout=out,
                stderr=said,
                cwd=Path.home(),
                env=_environment(),
                timeout=seconds,
                check=False,
                start_new_session=True,
            ).returncode
        except subprocess.TimeoutExpired:
            raise Trouble(
                f"`{command[0]}` gave no answer in {seconds:g} s; what was asked may have been done all the same",
                fix="look with kugetsu_status before asking again",
            ) from None
        except (OSError, ValueError) as error:
            words = getattr(error, "strerror", None) or str(error)
            raise Trouble(
                f"`{command[0]}` cannot be started: {words}", fix="look at `command` in kugetsu.json"
            ) from None


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name not in _FOREIGN and not name.startswith(_OURS)}


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read(_MOST_BYTES + 1)


def _decoded(data: bytes) -> Json:
    if len(data) > _MOST_BYTES:
        raise Trouble("the answer is too large to be read here", fix="look with `kugetsu show` or `kugetsu diff`")
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    raise Trouble("`kugetsu` printed no JSON", fix="look at `command` in kugetsu.json")


def _refusal(code: int, printed: bytes, sentences: bytes) -> Trouble:
    """What the program says when it fails: `kugetsu: MESSAGE`, and below it `-> FIX`."""
    lines = sentences.decode("utf-8", "replace").strip().splitlines()
    said = [line.removeprefix("kugetsu: ") for line in lines if line.startswith("kugetsu: ")]
    message = next((line for line in reversed(said) if not line.startswith("note: ")), "")
    fix = next((line.strip().removeprefix("-> ") for line in reversed(lines) if line.strip().startswith("-> ")), "")
    seconds = 0.0
    if code == _NO_CAPACITY:
        try:
            seconds = float(json.loads(printed)["retry_after"])
        except (ValueError, KeyError, TypeError):
            seconds = 60.0
    words = message or " ".join(lines[-3:]) or f"`kugetsu` ended with {code}"
    return Trouble(words[:1000], fix=fix[:500], retry_after=seconds)
