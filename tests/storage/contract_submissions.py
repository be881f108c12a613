"""How tasks come in."""

import pytest

from kugetsu.errors import LeaseLostError, QueueFullError, StateConflictError, TaskNotFoundError, UsageError
from kugetsu.sessions import Entry, Forked, Replied
from kugetsu.tasks import Cancel, Pause, Task, TaskReport
from storage.store_lab import HEARD, Lab, a_call
from tasks.task_lab import a_task

EVERYTHING = a_task(
    repo="https://user:secret@host/x.git",
    base="main",
    check="make test",
    notices=("mind the gap",),
    created_at=1.5,
    priority=7,
    attempts=3,
    patience_seconds=60.0,
)


class SubmissionContract:
    """Submit: ids, keys, backpressure, dependencies, claims and forks."""

    async def test_a_submitted_task_is_pending_and_found_as_it_was_asked_for(self, lab: Lab) -> None:
        submitted = await lab.store.submit(EVERYTHING)
        assert (submitted.created, submitted.claim) == (True, None)
        record = await lab.find()
        assert record == submitted.record
        assert (record.task, record.state, record.priority) == (EVERYTHING, "pending", 7)
        assert (record.queued_at, record.available_at, record.generation, record.runs) == (lab.now, 0.0, 0, 0)
        assert record.report == TaskReport.of(EVERYTHING)
        assert await lab.store.session("a") == []
        assert await lab.store.runs("a") == []

    @pytest.mark.parametrize("field", ["repo", "base", "model", "check"])
    async def test_a_text_that_would_not_be_kept_as_it_is_is_refused_by_name(self, lab: Lab, field: str) -> None:
        with pytest.raises(UsageError, match=rf"`{field}` is not well-formed Unicode: .*caf\\udce9.*UTF-8"):
            await lab.submit(**{field: "/tmp/caf\udce9"})
        assert await lab.store.reports() == []
        await lab.submit(**{field: "/tmp/caf\u00e9"})
        assert getattr((await lab.find()).task, field) == "/tmp/caf\u00e9"

    async def test_tasks_are_numbered_in_order_of_their_arrival(self, lab: Lab) -> None:
        numbers = [(await lab.submit(name)).number for name in ("c", "a", "b")]
        assert numbers == sorted(set(numbers))
        assert numbers[0] > 0

    async def test_an_id_is_given_once(self, lab: Lab) -> None:
        await lab.submit("a")
        with pytest.raises(StateConflictError, match="task a already"):
            await lab.submit("a", prompt="something else")
        assert (await lab.find("a")).task.prompt == "do a"

    @pytest.mark.parametrize("name", ["", "a/b", "..", "a-b", "a b", "é", "x" * 65, "a\n", "%"])
    async def test_what_is_no_id_is_refused(self, lab: Lab, name: str) -> None:
        with pytest.raises(UsageError, match="no task id"):
            await lab.submit(name)
        assert await lab.store.reports() == []

    @pytest.mark.parametrize("name", ["a", "A_1", "x" * 64])
    async def test_letters_digits_and_underscores_are_an_id(self, lab: Lab, name: str) -> None:
        assert (await lab.submit(name)).id == name

    # Keys.

    async def test_a_second_submission_of_a_key_returns_the_first_ones_task(self, lab: Lab) -> None:
        first = await lab.store.submit(a_task("a", prompt="do it", created_at=1.0), key="k")
        again = await lab.store.submit(a_task("b", prompt="do it", created_at=2.0, notices=("new",)), key="k")
        assert (again.created, again.claim) == (False, None)
        assert again.record == first.record
        assert len(await lab.store.reports()) == 1

    async def test_a_key_is_known_as_long_as_its_task_whatever_became_of_it(self, lab: Lab) -> None:
        await lab.store.submit(a_task("a", prompt="do it"), key="k")
        await lab.finish("a", "failed")
        again = await lab.store.submit(a_task("b", prompt="do it"), key="k")
        assert (again.created, again.record.id, again.record.state) == (False, "a", "failed")

    @pytest.mark.parametrize(
        "other",
        [
            {"prompt": "something else"},
            {"repo": "/other"},
            {"base": "other"},
            {"model": "other/model"},
            {"check": "make other"},
            {"priority": 1},
            {"after": ("before",)},
        ],
    )
    async def test_a_key_does_not_stand_for_two_different_requests(self, lab: Lab, other: dict[str, object]) -> None:
        await lab.submit("before")
        await lab.store.submit(a_task("a", prompt="do it"), key="k")
        with pytest.raises(StateConflictError, match="key 'k'"):
            await lab.store.submit(a_task("b", **{"prompt": "do it", **other}), key="k")
        assert len(await lab.store.reports()) == 2

    async def test_submissions_without_a_key_are_all_taken(self, lab: Lab) -> None:
        for name in ("a", "b"):
            assert (await lab.store.submit(a_task(name, prompt="the same"))).created

    async def test_a_refused_submission_does_not_use_up_its_key(self, lab: Lab) -> None:
        with pytest.raises(StateConflictError):
            await lab.store.submit(a_task("a", after=("nothing",)), key="k")
        assert (await lab.store.submit(a_task("b"), key="k")).created

    # Backpressure.

    async def test_a_full_queue_refuses_and_says_when_to_come_back(self, lab: Lab) -> None:
        for name in ("a", "b"):
            await lab.store.submit(a_task(name), most_pending=2)
        with pytest.raises(QueueFullError) as refused:
            await lab.store.submit(a_task("c"), most_pending=2)
        assert refused.value.retry_after == 30
        assert refused.value.fix
        with pytest.raises(TaskNotFoundError):
            await lab.find("c")
        await lab.store.submit(a_task("c"))  # no limit

    async def test_only_pending_tasks_take_room(self, lab: Lab) -> None:
        await lab.running("a")
        await lab.submit("b")
        await lab.store.control("b", Pause())
        await lab.submit("c")
        await lab.store.control("c", Cancel())
        await lab.store.submit(a_task("d"), most_pending=1)
        with pytest.raises(QueueFullError):
            await lab.store.submit(a_task("e"), most_pending=1)

    async def test_the_wait_follows_how_fast_tasks_were_started_lately(self, lab: Lab) -> None:
        async def wait() -> float:
            with pytest.raises(QueueFullError) as refused:
                await lab.store.submit(a_task("refused"), most_pending=1)
            return refused.value.retry_after

        await lab.submit("waiting")
        for number in range(10):
            lab.clock.advance(20)
            await lab.running(f"t{number}")
        lab.clock.advance(20)
        slow = await wait()
        assert 10 <= slow <= 40
        for number in range(10, 70):
            lab.clock.advance(2)
            await lab.running(f"t{number}")
        assert 1 <= await wait() < slow / 2
        for number in range(70, 130):
            await lab.running(f"t{number}")
        assert await wait() == 1

    async def test_a_known_key_is_answered_though_the_queue_is_full(self, lab: Lab) -> None:
        await lab.store.submit(a_task("a"), key="k", most_pending=1)
        assert not (await lab.store.submit(a_task("b", prompt="do a"), key="k", most_pending=1)).created

    # Dependencies.

    async def test_a_task_cannot_wait_for_one_that_does_not_exist(self, lab: Lab) -> None:
        with pytest.raises(StateConflictError, match="nothing"):
            await lab.submit("a", after=("nothing",))
        with pytest.raises(StateConflictError, match="'a'"):
            await lab.submit("a", after=("a",))
        assert await lab.store.reports() == []

    @pytest.mark.parametrize("situation", ["failed", "cancelled"])
    async def test_a_task_cannot_wait_for_one_that_never_will_be_completed(self, lab: Lab, situation: str) -> None:
        await lab.enter(situation)
        with pytest.raises(StateConflictError, match=situation):
            await lab.submit("b", after=("a",))

    # With a worker.

    async def test_a_worker_may_get_its_submission_at_once(self, lab: Lab) -> None:
        await lab.submit("first", priority=100)
        await lab.worker()
        submitted = await lab.store.submit(a_task("a", start_at=lab.now + 60), worker="w")
        assert submitted.claim is not None
        assert submitted.claim.record == submitted.record == await lab.find("a")
        assert (submitted.record.state, submitted.record.worker, submitted.record.runs) == ("running", "w", 1)
        await lab.store.append(submitted.claim.lease, [HEARD])
        assert [run.generation for run in await lab.store.runs("a")] == [1]

    async def test_a_submission_that_is_claimed_at_once_takes_no_room_in_the_queue(self, lab: Lab) -> None:
        await lab.submit("first")
        await lab.worker()
        assert (await lab.store.submit(a_task("a"), worker="w", most_pending=1)).claim is not None

    async def test_a_worker_without_a_lease_submits_nothing(self, lab: Lab) -> None:
        with pytest.raises(LeaseLostError):
            await lab.store.submit(a_task("a"), worker="nobody", key="k")
        assert await lab.store.reports() == []
        assert (await lab.store.submit(a_task("a"), key="k")).created

    async def test_a_worker_does_not_get_what_has_to_wait_for_others(self, lab: Lab) -> None:
        await lab.submit("before")
        await lab.worker()
        with pytest.raises(StateConflictError):
            await lab.store.submit(a_task("a", after=("before",)), worker="w")
        with pytest.raises(TaskNotFoundError):
            await lab.find("a")

    async def test_a_known_key_is_not_claimed_again(self, lab: Lab) -> None:
        await lab.store.submit(a_task("a"), key="k")
        await lab.worker()
        again = await lab.store.submit(a_task("b", prompt="do a"), key="k", worker="w")
        assert (again.created, again.claim, again.record.state) == (False, None, "pending")

    # With a session.

    @pytest.mark.parametrize("worker", ["", "w"])
    async def test_a_fork_begins_with_the_session_it_was_given(self, lab: Lab, worker: str) -> None:
        await lab.worker()
        begun: list[Entry] = [HEARD, *a_call(1, done=True), Forked("origin")]
        await lab.store.submit(a_task("a", forked_from="origin:1"), session=begun, worker=worker)
        if not worker:
            await lab.running("a")
        lease = (await lab.find("a")).generation
        assert lease == 1
        lines = await lab.store.session("a")
        assert [line.entry for line in lines] == begun
        assert [(line.seq, line.at) for line in lines] == [(number, lab.now) for number in range(1, 6)]

    async def test_a_forked_session_is_continued_without_a_gap(self, lab: Lab) -> None:
        await lab.worker()
        submitted = await lab.store.submit(a_task("a"), session=[HEARD], worker="w")
        assert submitted.claim is not None
        reply = a_call(1)[0]
        assert isinstance(reply, Replied)
        await lab.store.append(submitted.claim.lease, [reply])
        assert [(line.seq, line.entry) for line in await lab.store.session("a")] == [(1, HEARD), (2, reply)]

    async def test_strange_text_in_a_task_comes_back_as_it_went_in(self, lab: Lab) -> None:
        task: Task = a_task(prompt="a nul \0, an emoji 🦀, a 'quote'; DROP TABLE tasks", model="-- /*")
        await lab.store.submit(task, key="'k'\0")
        assert (await lab.find()).task == task
