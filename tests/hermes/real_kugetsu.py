"""The real Kugetsu of a user beside their Hermes: a repository, a scripted agent, a server or none."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

from hermes.real_hermes import Hermes, free_port
from support.command_line import CommandLine, Done

Turns = list[dict[str, Any]]


class Kugetsu:
    """A user's Kugetsu, set up with their Hermes by `kugetsu hermes setup`.

    Args:
        directory: the home of the user, in which that of Hermes is too.
        hermes: set up, but not started yet.
        turns: what the agent of every task says, turn by turn.
        mode: how Hermes reaches it.
    """

    def __init__(self, directory: Path, hermes: Hermes, turns: Turns, mode: str = "http") -> None:
        self.user = CommandLine(directory)
        self.mode = mode
        self.hermes = hermes
        self.port = free_port()
        self.user.environ |= {"HERMES_HOME": str(hermes.home)}
        self.user.environ.pop("KUGETSU_HTTP_PORT", None)  # what the settings say counts
        # What Hermes starts keeps its state where the user does.
        hermes.environ |= {"KUGETSU_HOME": str(self.user.home)}
        self.user.make_repo({"clock.txt": "still\n"})
        settings = directory / ".config/kugetsu/kugetsu.toml"
        settings.parent.mkdir(parents=True)
        model = self.user.script(*turns)
        settings.write_text(f'model = "{model}" # for all\n\n[http]\nport = {self.port}\n')
        config = hermes.config
        config.setdefault("platforms", {})["webhook"] = {"extra": {"port": hermes.webhook_port}}
        hermes.write_config(config)
        self.run("hermes", "setup", "--yes", "--mode", mode, "--url", self.url, "--repo", f"clock={self.user.repo}")
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self, *arguments: str) -> Done:
        """Run a command to its end, which must be a good one."""
        done = self.user.run(*arguments)
        assert done.code == 0, done.stderr
        return done

    def __enter__(self) -> Self:
        if self.mode == "http":
            self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server, and wait until it listens."""
        log = self.user.directory / "serve.out"
        begun = log.stat().st_size if log.exists() else 0
        with log.open("ab") as out:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "kugetsu", "serve"],
                cwd=self.user.directory,
                env=self.user.environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        deadline = time.monotonic() + 30
        while f"listening on {self.url}".encode() not in log.read_bytes()[begun:]:
            assert self._server.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End the server, gracefully or at once; without one, the processes of tasks."""
        if self._server is not None:
            server, self._server = self._server, None
            server.send_signal(how)
            server.wait(30)
        if how == signal.SIGKILL:
            for pid in self.processes():
                os.kill(pid, how)
            return
        for task in self.user.tasks() if self.user.home.exists() else []:
            if task["state"] == "running":
                self.user.run("cancel", task["id"])
                self.user.wait_for_state(task["id"], "cancelled")
        for pid in self.processes():
            os.kill(pid, signal.SIGTERM)

    def processes(self) -> list[int]:
        """The detached processes of this user that live."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                environ = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"kugetsu.cli.detached" in words and f"KUGETSU_HOME={self.user.home}".encode() in environ:
                found.append(int(entry.name))
        return found

    def task(self, text: str) -> str:
        """The id of a task that a message speaks of."""
        found = re.search(r"[Tt]ask `?([a-z0-9]{10})", text)
        assert found, text
        return found[1]

    @property
    def server_pid(self) -> int:
        """The process of the server."""
        assert self._server
        return self._server.pid
