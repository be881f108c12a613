from collections.abc import Iterator
from pathlib import Path

import pytest

from support.drill import PLAN, Drill
from support.patient_model import PatientModel


@pytest.fixture
def drill(tmp_path: Path) -> Iterator[Drill]:
    with PatientModel(PLAN) as model:
        yield Drill(tmp_path, model)
