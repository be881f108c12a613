"""What becomes of the tasks of a worker that died: who is to blame, and who waits for whom."""

from kugetsu.tasks import MOST_CRASHES, TaskRecord, orphaned
from tasks.task_lab import NOW, PLACE, a_record, a_task


def orphans(*crashes: float) -> list[TaskRecord]:
    records = [
        a_record(state="running", worker="w", generation=4, place=PLACE, crashes=number, task=a_task(f"t{place}"))
        for place, number in enumerate(crashes)
    ]
    return orphaned(records, now=NOW, evidence={record.id: "in turn 3" for record in records})


def test_nobody_knows_which_task_killed_a_worker_so_all_of_them_share_the_blame() -> None:
    assert [record.crashes for record in orphans(0, 0, 0, 0)] == [0.25] * 4
    assert [record.available_at for record in orphans(0, 0, 0, 0)] == [0.0] * 4


def test_those_that_were_not_cleared_go_one_by_one() -> None:
    after = orphans(0.25, 0, 0.25, 0)
    assert [record.crashes for record in after] == [0.5, 0.25, 0.5, 0.25]
    assert [record.available_at for record in after] == [0.0, 0.0, NOW + 1, 0.0]


def test_one_to_blame_for_too_many_deaths_is_set_aside_alone() -> None:
    assert [record.state for record in orphans(0, MOST_CRASHES - 1 / 3, 0)] == ["pending", "failed", "pending"]
    assert [record.state for record in orphans(*[MOST_CRASHES - 1 / 3] * 3)] == ["failed"] * 3
    assert [record.state for record in orphans(MOST_CRASHES - 1)] == ["failed"]
