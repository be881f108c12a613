"""The real Hermes with a home of its own, a scripted model and a fake chat, all on loopback."""

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

import yaml

from hermes.fake_telegram import TOKEN, USERS, FakeTelegram
from hermes.installing import install
from hermes.scripted_model import ScriptedModel

PLUGIN = Path(__file__).parents[2] / "src/kugetsu_hermes"


def free_port() -> int:
    """A port that nobody has now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Hermes:
    """A user's Hermes.

    Args:
        directory: where its home is made.
        model: what it talks to.
        telegram: its chat, None for none.
        environ: more variables of its processes.

    Attributes:
        home: its home.
        webhook_port: where its gateway takes webhooks once it is set up so.
    """

    def __init__(
        self,
        directory: Path,
        model: ScriptedModel,
        telegram: FakeTelegram | None = None,
        environ: dict[str, str] | None = None,
    ) -> None:
        self.program = install()
        self.home = directory / "hermes"
        self.home.mkdir(parents=True, exist_ok=True)
        self.webhook_port = free_port()
        self.telegram = telegram
        self.environ = {
            "HOME": str(directory),
            "HERMES_HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "HERMES_TELEGRAM_DISABLE_FALLBACK_IPS": "1",
            **(environ or {}),
        }
        self._gateway: subprocess.Popen[bytes] | None = None
        self.write_config(_config(model, telegram))

    @property
    def config(self) -> dict[str, Any]:
        """What stands in its settings."""
        found: dict[str, Any] = yaml.safe_load((self.home / "config.yaml").read_text())
        return found

    def write_config(self, config: dict[str, Any]) -> None:
        """Replace its settings."""
        (self.home / "config.yaml").write_text("# My Hermes\n" + yaml.safe_dump(config, sort_keys=False))

    def add_plugin(self) -> None:
        """Copy the plugin into its home and enable it, as a person does by hand."""
        shutil.copytree(PLUGIN, self.home / "plugins/kugetsu", ignore=shutil.ignore_patterns("__pycache__"))
        self.write_config({**self.config, "plugins": {"enabled": ["kugetsu"]}})

    def run(self, *arguments: str, seconds: float = 60.0) -> str:
        """Run a command of it to its end; what it printed on both streams."""
        done = subprocess.run(
            [str(self.program), *arguments],
            env=self.environ,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds,
            check=False,
        )
        printed = done.stdout.decode()
        assert done.returncode == 0, printed
        return printed

    def __enter__(self) -> Self:
        """Start its gateway, and wait until it listens to the chat."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start its gateway, and wait until it listens to the chat and takes webhooks, if it is set up so."""
        if self.telegram:
            self.telegram.forget_polling()
        with (self.home / "gateway.out").open("ab") as out:
            self._gateway = subprocess.Popen(
                [str(self.program), "gateway", "run", "-v"],
                env=self.environ,
                cwd=self.home,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        try:
            if self.telegram:
                self.telegram.wait_until_polled()
            if self.config.get("platforms", {}).get("webhook", {}).get("enabled"):
                self._wait_for_webhook()
        except BaseException as error:
            self.stop()
            error.add_note(self.output())
            raise

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End its gateway: gracefully, or at once with all that runs in its process group."""
        if self._gateway is None:
            return
        gateway, self._gateway = self._gateway, None
        if how == signal.SIGKILL:
            os.killpg(gateway.pid, how)
        else:
            gateway.send_signal(how)
        try:
            gateway.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(gateway.pid, signal.SIGKILL)
            gateway.wait(10)

    @property
    def runs(self) -> bool:
        """Whether its gateway runs."""
        return self._gateway is not None and self._gateway.poll() is None

    def output(self) -> str:
        """What its gateway printed, the last of it."""
        return (self.home / "gateway.out").read_text(errors="replace")[-8000:]

    def _wait_for_webhook(self) -> None:
        port = self.config["platforms"]["webhook"].get("extra", {}).get("port", 8644)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    return
            except (OSError, urllib.error.URLError):
                time.sleep(0.05)
        raise AssertionError(f"nothing takes webhooks on port {port}")


def _config(model: ScriptedModel, telegram: FakeTelegram | None) -> dict[str, Any]:
    config: dict[str, Any] = {
        "model": {
            "default": "mock",
            "provider": "custom",
            "base_url": model.base_url,
            "api_key": "sk-mock",
            "context_length": 131_072,
        },
    }
    if telegram:
        config["platforms"] = {
            "telegram": {
                "enabled": True,
                "token": TOKEN,
                "allow_from": [str(user) for user in USERS],
                "extra": {
                    "base_url": telegram.base_url,
                    "base_file_url": telegram.base_url,
                    "fallback_ips": ["127.0.0.1"],
                },
            }
        }
        config["platform_toolsets"] = {"telegram": ["kugetsu", "todo"]}
    return config
