"""The real Kugetsu of a user beside their Hermes: a repository, scripted agents, a server or none."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import tomlkit

from hermes.real_hermes import Hermes, free_port
from hermes.scripted_model import ScriptedModel
from support.command_line import CommandLine, Done


class Kugetsu:
    """A user's Kugetsu, set up with their Hermes by `kugetsu hermes setup`.

    Args:
        directory: the home of the user, in which that of Hermes is too.
        hermes: set up, but not started yet.
        agents: what the agents of all tasks talk to.
        mode: how Hermes reaches it.
    """

    def __init__(self, directory: Path, hermes: Hermes, agents: ScriptedModel, mode: str = "http") -> None:
        self.user = CommandLine(directory)
        self.mode = mode
        self.hermes = hermes
        self.port = free_port()
        self.user.environ |= {"HERMES_HOME": str(hermes.home)}
        self.user.environ.pop("KUGETSU_HTTP_PORT", None)  # what the settings say counts
        # What Hermes starts keeps its state where the user does.
        hermes.environ |= {"KUGETSU_HOME": str(self.user.home)}
        self.user.make_repo({"clock.txt": "still\n"})
        self.settings = directory / ".config/kugetsu/kugetsu.toml"
        self.settings.parent.mkdir(parents=True)
        self.settings.write_text(
            'model = "agents/mock" # for all\n\n'
            f'[providers.agents]\nbase_url = "{agents.base_url}"\nidle_seconds = 600\n\n'
            f"[http]\nport = {self.port}\n"
        )
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
        self.mend()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.end_processes(signal.SIGTERM)

    def mend(self) -> None:
        """Let a server run if Hermes is to ask one, else none."""
        if self.mode == "http" and (self._server is None or self._server.poll() is not None):
            self.stop()
            self.start()
        if self.mode != "http":
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
        """End the server if there is one, gracefully; or at once, with the processes of tasks."""
        if self._server is not None:
            server, self._server = self._server, None
            server.send_signal(how)
            server.wait(30)
        if how == signal.SIGKILL:
            self.end_processes(how)

    def end_processes(self, how: signal.Signals) -> None:
        """End the processes of tasks, and wait until they are gone."""
        deadline = time.monotonic() + 20
        for pid in self.processes():
            os.kill(pid, how)
        while living := self.processes():
            if time.monotonic() > deadline:
                for pid in living:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    @contextmanager
    def changed(self, **tables: dict[str, Any]) -> Iterator[None]:
        """Let other settings count while the block runs; a server is started anew for it."""
        before = self.settings.read_text()
        document = tomlkit.parse(before)
        for name, table in tables.items():
            document[name] = table
        try:
            self._change(tomlkit.dumps(document))
            yield
        finally:
            self._change(before)

    def _change(self, text: str) -> None:
        self.settings.write_text(text)
        if self._server is not None:
            self.stop()
            self.start()

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

    def news(self, task: str) -> list[dict[str, Any]]:
        """The deliveries of a task's news, newest first."""
        found: list[dict[str, Any]] = self.run("notify", "list", "--json", "-n", "500").json()["deliveries"]
        return [each for each in found if each["task"] == task]

    def wait_until_told(self, task: str) -> None:
        """Wait until all news of a task have been delivered."""
        self._wait_for_news(task, lambda news: news and all(each["state"] == "delivered" for each in news))

    def wait_until_tried(self, task: str) -> None:
        """Wait until news of a task could not be delivered at least once."""
        self._wait_for_news(task, lambda news: any(each["attempts"] and each["error"] for each in news))

    def _wait_for_news(self, task: str, enough: Any) -> None:
        deadline = time.monotonic() + 45
        while not enough(news := self.news(task)):
            assert time.monotonic() < deadline, news

    def task(self, text: str) -> str:
        """The id of a task that a message speaks of."""
        return self.tasks(text)[0]

    def tasks(self, text: str) -> list[str]:
        """The ids of the tasks that a message says to be accepted, or of the one that it speaks of."""
        found: list[str] = re.findall(r"[Tt]ask `?([a-z0-9]{10})", text)
        assert found, text
        return found

    @property
    def server_pid(self) -> int:
        """The process of the server."""
        assert self._server
        return self._server.pid
