"""Workers, their leases, and what becomes of tasks whose worker is gone."""

import pytest

from kugetsu.errors import LeaseLostError, StateConflictError, TaskNotFoundError
from kugetsu.protocols import WorkerInfo
from kugetsu.sessions import Checkpoint
from kugetsu.tasks import MOST_CRASHES, Cancel, Outcome, Pause, Retry
from storage.store_lab import HEARD, LEASE_SECONDS, Lab, a_call, a_worker
from tasks.task_lab import an_ending


class LeaseContract:
    """Register, renew, retire, reap, and claims by name."""

    # Leases of workers.

    async def test_a_worker_has_a_lease_from_now_on(self, lab: Lab) -> None:
        for _ in range(2):
            await lab.store.register(a_worker(), 30)
        (state,) = await lab.store.workers()
        assert state.info == WorkerInfo("w", "host:boot", 4711, "kugetsu serve")
        assert state.expires_at == lab.now + 30

    async def test_a_lease_is_extended_from_now_on(self, lab: Lab) -> None:
        await lab.worker()
        lab.clock.advance(20)
        await lab.store.renew("w", 30)
        (state,) = await lab.store.workers()
        assert state.expires_at == lab.now + 30

    async def test_a_lease_that_expired_unnoticed_can_be_renewed(self, lab: Lab) -> None:
        claim = await lab.running()
        lab.clock.advance(3600)
        assert [state.info.id for state in await lab.store.workers()] == ["w"]
        await lab.store.renew("w", 30)
        assert await lab.store.reap() == []
        await lab.store.append(claim.lease, [HEARD])

    async def test_a_worker_that_nobody_knows_cannot_renew_or_claim(self, lab: Lab) -> None:
        await lab.submit()
        with pytest.raises(LeaseLostError):
            await lab.store.renew("nobody", 30)
        with pytest.raises(LeaseLostError):
            await lab.store.claim("nobody", 1)
        with pytest.raises(LeaseLostError):
            await lab.store.claim_task("nobody", "a")
        assert (await lab.find()).state == "pending"

    @pytest.mark.parametrize("end", ["retire", "reap"])
    async def test_a_lease_that_has_ended_is_gone(self, lab: Lab, end: str) -> None:
        await lab.worker()
        await lab.submit()
        await (lab.store.retire("w") if end == "retire" else lab.store.reap(["w"]))
        assert await lab.store.workers() == []
        with pytest.raises(LeaseLostError):
            await lab.store.renew("w", 30)
        with pytest.raises(LeaseLostError):
            await lab.store.claim("w", 1)
        with pytest.raises(LeaseLostError):
            await lab.store.claim_task("w", "a")
        assert (await lab.find()).state == "pending"

    # Retiring.

    async def test_a_worker_that_retires_gives_its_tasks_back(self, lab: Lab) -> None:
        await lab.running("a")
        await lab.running("b")
        await lab.running("c", worker="other")
        assert sorted(await lab.store.retire("w")) == ["a", "b"]
        record = await lab.find("a")
        assert (record.state, record.worker, record.crashes, record.generation) == ("pending", "", 0, 2)
        assert (await lab.find("c")).state == "running"
        assert await lab.store.retire("w") == []

    async def test_a_worker_that_nobody_knows_may_retire(self, lab: Lab) -> None:
        assert await lab.store.retire("nobody") == []

    async def test_what_was_given_back_keeps_its_place_in_the_queue(self, lab: Lab) -> None:
        await lab.running("a")
        lab.clock.advance(5)
        await lab.submit("b")
        await lab.store.retire("w")
        assert await lab.claim(worker="w2") == ["a", "b"]

    # Reaping.

    async def test_nothing_is_taken_from_workers_that_are_alive(self, lab: Lab) -> None:
        await lab.running()
        lab.clock.advance(LEASE_SECONDS - 1)
        assert await lab.store.reap() == []
        assert await lab.store.reap(["somebody else"]) == []
        assert (await lab.find()).state == "running"

    async def test_the_tasks_of_an_expired_worker_are_taken(self, lab: Lab) -> None:
        await lab.running("a")
        await lab.running("b")
        await lab.running("c", worker="other")
        taken = await lab.expire("w")
        assert [record.id for record in taken] == ["a", "b"]
        assert taken == [await lab.find("a"), await lab.find("b")]
        record = taken[0]
        assert (record.state, record.worker, record.crashes, record.generation) == ("pending", "", 0, 2)
        assert record.outcome == Outcome("interrupted", "its worker was not heard of in time")
        assert [run.outcome for run in await lab.store.runs("a")] == [record.outcome]
        assert (await lab.find("c")).state == "running"
        assert [state.info.id for state in await lab.store.workers()] == ["other"]
        assert await lab.store.reap() == []

    async def test_the_tasks_of_a_worker_known_to_be_dead_are_taken_at_once(self, lab: Lab) -> None:
        await lab.running()
        (record,) = await lab.store.reap(["w"])
        assert (record.id, record.crashes) == ("a", 1)
        assert record.outcome == Outcome("interrupted", "its worker died")
        assert await lab.store.workers() == []

    async def test_of_workers_that_are_gone_only_the_dead_put_blame_on_their_tasks(self, lab: Lab) -> None:
        await lab.running("late", worker="late")
        await lab.running("dead", worker="dead")
        lab.clock.advance(LEASE_SECONDS + 1)
        late, dead = await lab.store.reap(["dead"])
        assert (late.id, late.state, late.crashes) == ("late", "pending", 0)
        assert (dead.id, dead.state, dead.crashes) == ("dead", "pending", 1)

    # Crashes.

    async def test_a_task_that_kills_its_workers_is_set_aside_with_what_it_was_doing(self, lab: Lab) -> None:
        await lab.submit("b")
        await lab.submit("after", after=("b",))
        for number in range(1, MOST_CRASHES + 1):
            claim = await lab.running("b")
            if number == 1:
                await lab.store.append(claim.lease, [HEARD, *a_call(1, done=True), Checkpoint(1), *a_call(2)])
            (record,) = await lab.die()
            assert record.crashes == number
        assert record.state == "failed"
        outcome = await lab.outcome("b")
        assert outcome.kind == "poisonous"
        for word in (f"{MOST_CRASHES} times", "turn 2", "bash"):
            assert word in outcome.message
        assert (await lab.outcome("after")).kind == "dependency"
        with pytest.raises(StateConflictError):
            await lab.running("b")

    async def test_tasks_that_were_there_when_a_worker_died_share_the_blame(self, lab: Lab) -> None:
        for _ in range(2 * MOST_CRASHES):
            await lab.running("a")
            await lab.running("b")
            records = await lab.die()
        assert {record.state for record in records} == {"failed"}

    async def test_one_that_makes_headway_is_cleared_and_the_other_is_not(self, lab: Lab) -> None:
        for number in range(2 * MOST_CRASHES):
            good = await lab.running("good")
            await lab.running("bad")
            await lab.store.append(good.lease, [HEARD], headway=number > 0)
            records = await lab.die()
        assert {record.id: record.state for record in records} == {"good": "pending", "bad": "failed"}

    async def test_suspects_start_one_after_the_other(self, lab: Lab) -> None:
        for _ in range(2):
            for name in ("a", "b", "c"):
                await lab.running(name)
            await lab.die()
        for name in ("a", "b", "c"):
            assert await lab.claim() == [name]
            lab.clock.advance(1.0)

    async def test_headway_clears_a_task_of_crashes(self, lab: Lab) -> None:
        for _ in range(MOST_CRASHES + 2):
            claim = await lab.running()
            await lab.store.append(claim.lease, [HEARD], headway=True)
            assert (await lab.find()).crashes == 0
            (record,) = await lab.die()
            assert (record.state, record.crashes) == ("pending", 1)

    async def test_entries_alone_are_no_headway(self, lab: Lab) -> None:
        for _ in range(MOST_CRASHES):
            await lab.store.append((await lab.running()).lease, [HEARD])
            (record,) = await lab.die()
        assert record.state == "failed"

    async def test_a_run_that_ends_clears_a_task_of_crashes(self, lab: Lab) -> None:
        for _ in range(MOST_CRASHES - 1):
            await lab.running()
            await lab.die()
        assert (await lab.settle(await lab.running(), "pending")).crashes == 0

    async def test_a_worker_that_stops_in_good_order_is_no_crash(self, lab: Lab) -> None:
        for _ in range(MOST_CRASHES + 1):
            await lab.running()
            await lab.store.retire("w")
        assert (await lab.find()).crashes == 0

    async def test_a_worker_that_may_live_puts_blame_on_nobody(self, lab: Lab) -> None:
        await lab.running()
        await lab.die()
        for _ in range(MOST_CRASHES):
            await lab.running()
            (record,) = await lab.expire()
            assert (record.state, record.crashes, record.available_at) == ("pending", 1, 0)

    async def test_a_poisonous_task_may_be_tried_again(self, lab: Lab) -> None:
        for _ in range(MOST_CRASHES):
            await lab.running()
            await lab.die()
        record = await lab.store.control("a", Retry())
        assert (record.state, record.crashes) == ("pending", 0)
        await lab.running()
        (record,) = await lab.die()
        assert record.state == "pending"

    # What users wanted survives.

    async def test_a_cancel_survives_a_crash(self, lab: Lab) -> None:
        await lab.running(place=True)
        await lab.store.control("a", Cancel("no need"))
        (record,) = await lab.die()
        assert (record.state, record.wanted, record.reason) == ("pending", "cancel", "no need")
        (claim,) = await lab.store.claim(await lab.worker("w2"), 1)
        assert (claim.record.wanted, claim.record.reason) == ("cancel", "no need")
        assert [found.wanted for found in await lab.store.attention("w2")] == ["cancel"]

    async def test_a_cancelled_task_that_kills_its_workers_ends_all_the_same(self, lab: Lab) -> None:
        await lab.running(place=True)
        await lab.store.control("a", Cancel("no need"))
        for _ in range(MOST_CRASHES - 1):
            await lab.die()
            await lab.running()
        (record,) = await lab.die()
        assert (record.state, record.wanted) == ("cancelled", "")
        assert "no need" in (await lab.outcome()).message

    @pytest.mark.parametrize("end", ["die", "expire"])
    async def test_a_pause_is_done_by_a_crash(self, lab: Lab, end: str) -> None:
        await lab.running()
        await lab.store.control("a", Pause("not now"))
        (record,) = await (lab.die() if end == "die" else lab.expire())
        assert (record.state, record.wanted) == ("paused", "")
        assert await lab.claim(worker="w2") == []

    @pytest.mark.parametrize(("control", "state", "wanted"), [("cancel", "pending", "cancel"), ("pause", "paused", "")])
    async def test_what_users_wanted_survives_a_retirement(
        self, lab: Lab, control: str, state: str, wanted: str
    ) -> None:
        await lab.running(place=True)
        await lab.store.control("a", Cancel() if control == "cancel" else Pause())
        await lab.store.retire("w")
        record = await lab.find()
        assert (record.state, record.wanted) == (state, wanted)

    # Claims by name.

    async def test_a_task_can_be_claimed_by_name_out_of_turn_and_before_its_time(self, lab: Lab) -> None:
        await lab.submit("first", priority=9)
        await lab.submit("a", start_at=lab.now + 60)
        claim = await lab.store.claim_task(await lab.worker(), "a")
        assert (claim.record.state, claim.record.worker, claim.record.generation) == ("running", "w", 1)
        assert (claim.lease.task, claim.lease.generation) == ("a", 1)
        assert claim.record == await lab.find()

    async def test_a_task_that_does_not_exist_cannot_be_claimed(self, lab: Lab) -> None:
        await lab.worker()
        await lab.submit("abc")
        with pytest.raises(TaskNotFoundError):
            await lab.store.claim_task("w", "ab")

    async def test_a_task_that_is_running_cannot_be_claimed_by_a_second_worker(self, lab: Lab) -> None:
        claim = await lab.running()
        await lab.worker("w2")
        for claiming in ("queue", "name", "rewind"):
            with pytest.raises(StateConflictError, match="is running"):
                await lab.store.claim_task("w2", "a", claiming)
        await lab.store.append(claim.lease, [HEARD])

    async def test_a_task_that_waits_for_others_cannot_be_claimed(self, lab: Lab) -> None:
        await lab.enter("blocked")
        await lab.worker()
        for claiming in ("name", "rewind"):
            with pytest.raises(StateConflictError, match="waits for 1 other task"):
                await lab.store.claim_task("w", "a", claiming)

    @pytest.mark.parametrize("situation", ["asking", "halted", "completed", "failed", "cancelled"])
    async def test_only_a_rewind_claims_what_is_not_pending_and_is_no_run(self, lab: Lab, situation: str) -> None:
        await lab.enter(situation)
        runs, before = await lab.store.runs("a"), await lab.find()
        await lab.worker("w2")
        with pytest.raises(StateConflictError):
            await lab.store.claim_task("w2", "a")
        claim = await lab.store.claim_task("w2", "a", "rewind")
        assert (claim.record.state, claim.record.generation) == ("running", before.generation + 1)
        assert claim.record.question == before.question
        await lab.store.append(claim.lease, [HEARD])
        record = await lab.store.settle(claim.lease, an_ending("paused", report=claim.record.report))
        assert (record.state, record.runs) == ("paused", before.runs)
        assert await lab.store.runs("a") == runs

    async def test_a_rewind_does_not_revoke_a_cancel(self, lab: Lab) -> None:
        await lab.enter("cancelling")
        before = await lab.find()
        with pytest.raises(StateConflictError, match="is being cancelled"):
            await lab.store.claim_task(await lab.worker("w2"), "a", "rewind")
        assert await lab.find() == before

    async def test_a_rewind_whose_worker_dies_ends_no_earlier_run_again(self, lab: Lab) -> None:
        await lab.enter("completed")
        runs = await lab.store.runs("a")
        await lab.store.claim_task(await lab.worker("w2"), "a", "rewind")
        await lab.die("w2")
        assert await lab.store.runs("a") == runs

    async def test_a_worker_that_dies_while_it_puts_a_task_back_leaves_it_paused(self, lab: Lab) -> None:
        await lab.finish("a", "completed")
        await lab.store.claim_task(await lab.worker(), "a", "rewind")
        (record,) = await lab.die()
        assert (record.state, record.wanted) == ("paused", "")
