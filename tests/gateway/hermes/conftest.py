import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hermes.fake_kugetsu import FakeKugetsu
from hermes.stand_in import StandIn


@pytest.fixture
def kugetsu() -> Iterator[FakeKugetsu]:
    with FakeKugetsu() as served:
        yield served


@pytest.fixture
def hermes_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "hermes"
    home.mkdir()
    monkeypatch.setenv("HERMES_HOME", str(home))
    return home


@pytest.fixture
def hermes(hermes_home: Path, kugetsu: FakeKugetsu) -> StandIn:
    configure(hermes_home, server=kugetsu.url, repositories={"site": "/srv/site"})
    return StandIn()


def configure(home: Path, **settings: Any) -> None:
    (home / "kugetsu.json").write_text(json.dumps(settings))
