from collections.abc import Iterator
from pathlib import Path

import pytest

from support.drill import PLAN, THOUGHTS, Course, Drill
from support.patient_model import PatientModel


@pytest.fixture
def drill(tmp_path: Path) -> Iterator[Drill]:
    with PatientModel(PLAN, thoughts=THOUGHTS) as model:
        yield Drill(tmp_path, model)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The course of the job when nothing happens to it."""
    with PatientModel(PLAN, thoughts=THOUGHTS) as model:
        drill = Drill(tmp_path_factory.mktemp("undisturbed"), model)
        assert not drill.run_job()
        assert model.paid_twice == 0
        assert len(model.noted) == 2
        course = drill.course(drill.task)
    assert [through > 0 for _, through in course.changes] == [False, True] * 2, "the plan is made for this"
    return course
