"""What the guide shows is run: a reader may copy it."""

import asyncio
import json
import re
import textwrap
from pathlib import Path

import pytest

from gateway.webhooks.hook_lab import HookLab
from kugetsu.config import RuleSettings, WebhookSettings, load_settings
from kugetsu.config.gateway import PROMPT_NAMES
from kugetsu.gateway.webhooks import Webhooks, problems
from kugetsu.protocols import SystemClock
from support.command_line import CommandLine

GUIDE = (Path(__file__).parents[3] / "docs" / "webhooks.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", GUIDE, re.DOTALL | re.MULTILINE)
    assert found
    return [textwrap.dedent(text) for _, text in found]


async def serve_one(hooks: Webhooks, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request of HTTP/1.1, which names the length of its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers["content-length"]))
    source = head[0].split()[1].removeprefix("/webhooks/")
    answer = await hooks.take(source, headers, body, "127.0.0.1")
    content = json.dumps(answer.body).encode()
    writer.write(b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (answer.status, len(content)))
    writer.write(content)
    await writer.drain()
    writer.close()


async def test_the_script_of_the_guide_starts_a_task_once(lab: HookLab, user: CommandLine) -> None:
    rule = RuleSettings(on=("task",), authors=("*",), repositories=(f"{user.repo.parent}/*",))
    lab.settings.webhooks["door"] = WebhookSettings(secret_env="DOOR_SECRET", rules=(rule,))
    secret = "0123456789abcdef" * 4
    hooks = Webhooks(lab.tasks, lab.settings, {"DOOR_SECRET": secret}, SystemClock(), lab.log.say)
    server = await asyncio.start_server(lambda *streams: serve_one(hooks, *streams), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    script = blocks("sh")[1].replace(":8787", f":{port}").replace("/srv/repositories/shop", str(user.repo))
    async with server:
        answers = []
        for _ in range(2):
            shell = await asyncio.create_subprocess_exec(
                "bash",
                "-euo",
                "pipefail",
                "-c",
                script,
                env={**user.environ, "DOOR_SECRET": secret},
                stdout=asyncio.subprocess.PIPE,
            )
            answers.append(json.loads((await shell.communicate())[0]))
            assert shell.returncode == 0
    task = await lab.one()
    assert task.prompt == "Update the dependencies and repair what breaks."
    assert [(answer["what"], answer["task"]) for answer in answers] == [("started", task.id), ("duplicate", task.id)]


def test_the_settings_of_the_guide_are_valid_and_complete(tmp_path: Path) -> None:
    path = tmp_path / "kugetsu.toml"
    path.write_text("\n".join(blocks("toml")))
    settings = load_settings(environ={}, config_file=path).settings
    assert sorted(settings.webhooks) == ["door", "forge", "hub"]
    secrets = {f"{name}_SECRET": "0123456789abcdef" for name in ("DOOR", "HUB", "FORGE")}
    assert problems(settings, secrets) == []


@pytest.mark.parametrize("name", sorted(PROMPT_NAMES))
def test_the_guide_names_whatever_a_prompt_may_name(name: str) -> None:
    assert f"`{{{name}}}`" in GUIDE
