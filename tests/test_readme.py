"""What the README shows is run: a reader may copy it."""

import asyncio
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
import yaml

from kugetsu.cli.main import COMMANDS
from kugetsu.config import PRESETS, Settings, load_settings
from kugetsu.rehearsal import parse_script
from kugetsu.tasks import Limits
from support.command_line import CommandLine, tool

README = (Path(__file__).parent.parent / "README.md").read_text()


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.DOTALL)
    assert found, f"the README has no block of {language}"
    return found[1]


def test_the_python_example_runs(user: CommandLine) -> None:
    repo = user.make_repo({"a.txt": "a\n"})
    script = user.script({"tool_calls": [tool("write", path="a.txt", content="b\n")]})
    example = block("python")
    assert len(example.rstrip().splitlines()) <= 12
    program = example.replace("path/to/repo", str(repo)).replace("openai/gpt-5.1", script)
    program = program.replace("pytest -q", "grep b a.txt")
    assert program.count(str(repo)) == program.count("scripted:") == program.count("grep b") == 1
    done = subprocess.run(
        [sys.executable, "-c", program], env=user.environ, cwd=user.directory, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.startswith(b"completed kugetsu/")


def test_the_client_example_runs(user: CommandLine) -> None:
    repo = user.make_repo({"a.txt": "a\n"})
    examples = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(examples) == 2
    program = examples[1].replace("/srv/app", str(repo))
    assert program != examples[1]
    environ = {**user.environ, "KUGETSU_MODEL": user.script({"text": "done"})}
    user.environ.update(environ)
    with user.serving():
        done = subprocess.run(
            [sys.executable, "-c", program], env=environ, cwd=user.directory, capture_output=True, check=False
        )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.endswith(b"completed\n")


def test_the_settings_example_is_valid(tmp_path: Path) -> None:
    path = tmp_path / "kugetsu.toml"
    path.write_text(block("toml"))
    settings = load_settings(environ={}, config_file=path).settings
    provider, _, model = settings.model.partition("/")
    assert settings.providers[provider].models[model].price
    assert tomllib.loads(block("toml"))


def test_the_rehearsal_example_is_valid(user: CommandLine) -> None:
    assert len(parse_script(yaml.safe_load(block("yaml"))).turns) == 3
    repo = user.make_repo({"a.txt": "a\n"})
    path = user.directory / "hello.yaml"
    path.write_text(block("yaml"))
    done = user.run("run", "Say hello", "--repo", str(repo), "--model", f"scripted:{path}", "--json")
    assert done.code == 0, done.stderr
    assert user.git("show", f"{done.json()['branch']}:hello.txt") == "hello\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert re.search(rf"`kugetsu [^`]*\b{name}\b|, `{name} ", README)


def test_every_built_in_provider_is_in_the_readme() -> None:
    assert [name for name in PRESETS if f"`{name}`" not in README] == []


def test_the_limits_in_the_readme_are_the_defaults() -> None:
    shown = dict(re.findall(r"`limits\.(\w+)` \| ([\d,]+)", README))
    assert {name: float(value.replace(",", "")) for name, value in shown.items()} == {
        name: float(value) for name, value in msgspec.structs.asdict(Limits()).items()
    }
    assert (
        f"`tools.bash_seconds` | {Settings().tools.bash_seconds:g} s, at most {Settings().tools.bash_seconds_max:g}"
        in README
    )


def test_shadows_work_side_by_side_in_one_program(user: CommandLine) -> None:
    from kugetsu import Shadow

    repo = user.make_repo({"a.txt": "a\n"})
    environ = {**os.environ, **user.environ}

    async def one(number: int) -> str:
        turn = {"tool_calls": [tool("write", path="a.txt", content=f"{number}\n")]}
        script = user.script(turn, name=f"{number}.json")
        async with Shadow(repo, model=script, environ=environ) as shadow:
            report = await shadow.run(f"Write {number}")
        assert report.state == "completed"
        return report.branch

    async def many() -> list[str]:
        return await asyncio.gather(*(one(number) for number in range(8)))

    branches = asyncio.run(many())
    assert [user.git("show", f"{branch}:a.txt") for branch in branches] == [f"{number}\n" for number in range(8)]
