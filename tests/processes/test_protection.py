import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

SCRIPT: Final = """
import asyncio, os, sys
from pathlib import Path
from kugetsu.processes import CommandLimits, Confinement, capture, protect_self
from processes.confined import run

own, command = Path("/proc/self/oom_score_adj"), ["cat", "/proc/self/oom_score_adj"]
score = int(sys.argv[1])
print(protect_self(score), protect_self(score), own.read_text())

async def main():
    done = await capture(["sh", "-c", "sleep 0.1; cat /proc/self/oom_score_adj"], cwd=Path("/"), env=os.environ)
    print(done.stdout.decode())
    print((await run(Confinement(CommandLimits()), "cat /proc/self/oom_score_adj")).output)

asyncio.run(main())
"""


def scores(before: int, wanted: int) -> list[str]:
    """What a program prints that was started with a score and wants another."""
    launch = f'echo {before} > /proc/self/oom_score_adj && exec "$0" "$@"'
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    argv = ["sh", "-c", launch, sys.executable, "-c", SCRIPT, str(wanted)]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout.split()


def may_lower() -> bool:
    own = Path("/proc/self/oom_score_adj")
    before = own.read_text()
    try:
        own.write_text(str(int(before) - 1))
    except OSError:
        return False
    own.write_text(before)
    return True


@pytest.mark.parametrize(("before", "command"), [(300, 500), (800, 800)])
def test_the_program_is_protected_and_what_it_starts_is_not(before: int, command: int) -> None:
    # Everybody may go back to what they were started with.
    lower = int(Path("/proc/self/oom_score_adj").read_text())
    assert scores(before, lower) == ["True", "True", str(lower), str(before), str(command)]


def test_a_program_that_is_protected_already_stays_as_it_is() -> None:
    assert scores(200, 300) == ["True", "True", "200", "200", "500"]


def test_where_it_is_not_allowed_nothing_changes() -> None:
    if may_lower():
        pytest.skip("this user may protect a program")
    before = Path("/proc/self/oom_score_adj").read_text().strip()
    assert scores(int(before), -500) == ["False", "False", before, before, "500"]


def test_a_user_with_the_right_may_go_below_zero() -> None:
    if not may_lower():
        pytest.skip("this user may not protect a program")
    assert scores(0, -500) == ["True", "True", "-500", "0", "500"]
