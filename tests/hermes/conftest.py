"""Hermes is installed before the first story. Where it cannot be, all are skipped, or fail with `KUGETSU_HERMES=required`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermes.installing import NotInstallableError, install
from hermes.pair import Pair


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Before any test's time begins to run, and where progress can be seen."""
    stories = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    if not stories or config.option.collectonly:
        return
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    say = terminal.write_line if terminal else print
    try:
        install(say)
    except NotInstallableError as error:
        reason = f"Hermes cannot be installed: {error}"
        if os.environ.get("KUGETSU_HERMES") == "required":
            raise pytest.UsageError(reason) from error
        say(f"{reason}\nNo story with Hermes is tested. KUGETSU_HERMES=required makes this a failure.")
        for story in stories:
            story.add_marker(pytest.mark.skip(reason))


@pytest.fixture(scope="session", params=["http", "spawn"])
def shared_pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with Pair(tmp_path_factory.mktemp(request.param), request.param) as pair:
        yield pair


@pytest.fixture
def pair(shared_pair: Pair) -> Pair:
    """Both programs, as the user has them when all is well. Stories share them: each is played in chats of its own."""
    shared_pair.mend()
    return shared_pair
