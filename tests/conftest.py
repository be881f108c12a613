from pathlib import Path

import pytest
from hypothesis import settings

from support.agent_bench import Bench
from support.command_line import CommandLine
from support.shadow_bench import ShadowBench

# The machine may be busy with other tests: how long an example takes says nothing.
settings.register_profile("kugetsu", deadline=None)
settings.load_profile("kugetsu")


HERE = Path(__file__).parent
DRILLS = HERE / "drills", HERE / "faults"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What a test is follows from the folder that it stands in."""
    for item in items:
        if any(item.path.is_relative_to(folder) for folder in DRILLS):
            item.add_marker(pytest.mark.drill)
        elif item.path.parent == HERE / "cli":
            item.add_marker(pytest.mark.story)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def shadows(tmp_path: Path) -> ShadowBench:
    return ShadowBench(tmp_path)


@pytest.fixture
def user(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)
