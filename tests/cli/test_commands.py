import json
import subprocess
import sys

import pytest

from kugetsu import __version__
from kugetsu.cli.main import COMMANDS, FAMILIAR
from support.command_line import CommandLine


def test_help_lists_every_command(user: CommandLine) -> None:
    done = user.run("--help")
    assert done.code == 0
    commands, familiar = done.stdout.split("\nFamiliar names:")
    assert [name for name in COMMANDS if f"\n  {name} " not in commands] == []
    assert [name for name in FAMILIAR if f"\n  {name} " not in familiar] == []


@pytest.mark.parametrize("command", [*COMMANDS, *FAMILIAR])
def test_every_command_explains_itself(user: CommandLine, command: str) -> None:
    done = user.run(command, "-h" if command == "run" else "--help")
    assert done.code == 0
    assert done.stdout.startswith(f"Usage: kugetsu {command} ")
    assert "\n  -h, --help " in done.stdout


def test_version(user: CommandLine) -> None:
    assert user.run("--version").stdout == f"kugetsu {__version__}\n"


def test_an_unknown_command_is_wrong_usage(user: CommandLine) -> None:
    done = user.run("frobnicate")
    assert done.code == 2
    assert "frobnicate" in done.stderr


def test_doctor_finds_what_is_there_and_names_keys_without_showing_them(user: CommandLine) -> None:
    user.environ["GROQ_API_KEY"] = "gsk-canary"
    done = user.run("doctor", "--json", "--model", user.script({"text": "ok"}))
    assert done.code == 0, done.stdout + done.stderr
    checks = {check["name"]: check for check in done.json()["checks"]}
    assert checks["git"]["status"] == "ok"
    assert checks["state directory"]["status"] == "ok"
    assert checks["key for groq"]["detail"] == "GROQ_API_KEY is set"
    assert checks["key for openai"]["fix"]
    assert checks[f"model {user.script({'text': 'ok'})}"]["status"] == "ok"
    assert "gsk-canary" not in done.stdout + done.stderr


def test_doctor_says_what_is_missing_and_how_to_mend_it(user: CommandLine) -> None:
    user.environ["KUGETSU_HOME"] = "/proc/nowhere"
    done = user.run("doctor", "--model", user.script({"fail": "authentication"}))
    assert done.code == 1
    assert "MISSING   state directory" in done.stdout
    assert "KUGETSU_HOME" in done.stdout
    assert "authentication" in done.stdout


def test_doctor_finds_damaged_records(user: CommandLine) -> None:
    user.home.mkdir()
    (user.home / "kugetsu.db").write_bytes(b"no database" * 1000)
    done = user.run("doctor", "--json")
    found = {check["name"]: check for check in done.json()["checks"]}
    assert (done.code, found["records"]["status"]) == (1, "missing")
    assert str(user.home / "kugetsu.db") in found["records"]["detail"]
    listed = user.run("list")
    assert listed.code == 1
    assert "kugetsu doctor" in listed.stderr


def test_help_imports_nothing_heavy(user: CommandLine) -> None:
    program = (
        "import sys; from kugetsu.cli.main import run_command_line; run_command_line(['--help']);"
        "print([name for name in ('sqlalchemy', 'alembic', 'aiohttp', 'asyncio', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], env=user.environ, capture_output=True, check=False)
    assert done.stdout.splitlines()[-1] == b"[]"


def test_config_shows_where_each_setting_comes_from(user: CommandLine) -> None:
    user.environ["KUGETSU_LIMITS_TURNS"] = "7"
    (user.directory / "kugetsu.toml").write_text(
        '[providers.mine]\nbase_url = "http://127.0.0.1:1/v1"\napi_key = "sk-canary"\n'
    )
    done = user.run("config", "--json", "--config", "kugetsu.toml", "--repo", "nowhere")
    rows = {row["field"]: row for row in json.loads(done.stdout)["settings"]}
    assert rows["limits.turns"]["value"] in {"7", 7}
    assert "KUGETSU_LIMITS_TURNS" in rows["limits.turns"]["origin"]
    assert "kugetsu.toml" in rows["providers.mine.base_url"]["origin"]
    assert "sk-canary" not in done.stdout
    assert user.run("config").code == 0


def test_demo_fixes_three_bugs_on_three_branches(user: CommandLine) -> None:
    done = user.run("demo", "--json")
    assert done.code == 0, done.stderr
    tasks = done.json()["tasks"]
    assert len(tasks) == 3
    assert len({task["branch"] for task in tasks}) == 3
    assert all(task["state"] == "completed" and task["check"]["passed"] for task in tasks)
    assert all(task["commits"] and task["turns"] >= 4 for task in tasks)
    assert "rehearsal" in done.stderr
    assert {task["id"] for task in user.run("list", "--json").json()["tasks"]} == {task["id"] for task in tasks}


def test_demo_says_what_to_type_next(user: CommandLine) -> None:
    done = user.run("demo", "--dir", str(user.directory / "sample"))
    assert done.code == 0, done.stderr
    assert "kugetsu run" in done.stdout
    assert "openrouter/" in done.stdout
    assert str(user.directory / "sample") in done.stdout


def test_demo_refuses_a_directory_that_is_in_use(user: CommandLine) -> None:
    busy = user.directory / "sample"
    busy.mkdir()
    (busy / "mine.txt").write_text("mine")
    done = user.run("demo", "--dir", str(busy))
    assert done.code == 2
    assert (busy / "mine.txt").read_text() == "mine"
