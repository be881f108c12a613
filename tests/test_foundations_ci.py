"""What `.ci/run` says and how it ends, with a Makefile that stands in for ours."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

STEPS = """check:
\t@echo checked $(CHECK)
\t@exit $(or $(CHECK),0)
test:
\t@echo "==== 7 passed, 1 skipped in 0.12s ===="
\t@exit $(or $(TEST),0)
test-cli:
\t@exit $(or $(CLI),0)
test-mcp:
\t@exit $(or $(MCP),0)
test-hermes:
\t@exit $(or $(HERMES),0)
drill:
\t@exit $(or $(DRILL),0)
demo:
\t@echo "state in $$KUGETSU_HOME"
\t@exit $(or $(DEMO),0)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    (tmp_path / "Makefile").write_text(STEPS)
    return tmp_path


def ci(checkout: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        [checkout / ".ci" / "run"], cwd="/", env=env, capture_output=True, text=True, timeout=50, check=False
    )


def test_a_good_run_ends_with_what_the_tests_said(checkout: Path) -> None:
    done = ci(checkout)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "==== 7 passed, 1 skipped in 0.12s ===="


@pytest.mark.parametrize(
    ("step", "next_step"),
    [
        ("CHECK", "make test"),
        ("TEST", "make test-cli"),
        ("CLI", "make test-mcp"),
        ("MCP", "make test-hermes"),
        ("HERMES", "make drill"),
        ("DRILL", "make demo"),
        ("DEMO", "all passed"),
    ],
)
def test_a_step_that_fails_ends_the_run(checkout: Path, step: str, next_step: str) -> None:
    done = ci(checkout, **{step: "3"})
    assert done.returncode != 0
    assert next_step not in done.stdout


def test_the_demo_leaves_nothing_on_the_machine(checkout: Path) -> None:
    state = next(line for line in ci(checkout).stdout.splitlines() if line.startswith("state in "))
    assert not Path(state.removeprefix("state in ")).parent.exists()
