"""Changes become deliveries, and deliveries are tried until they arrive or are given up."""

import asyncio

import pytest

from kugetsu.protocols import Change, Delivery, DeliveryState, News
from kugetsu.tasks import Cancel, Outcome, Pause, Resume
from storage.store_lab import Lab

LATER = 1_000.0


def news(lab: Lab, target: str = "chat", *, event: str = "task.pending", payload: str = "{}") -> News:
    return News(target=target, event=event, payload=payload, expires_at=lab.now + LATER)


async def routed(lab: Lab, *targets: str) -> None:
    """Tell these targets of every change that there is."""
    await lab.store.route(
        {change.id: [news(lab, target) for target in targets] for change in await lab.store.changes()}
    )


async def pending(lab: Lab, *names: str, target: str = "chat") -> None:
    """A delivery for each of these tasks; one after the other."""
    for name in names or ("a",):
        await lab.submit(name)
        await routed(lab, target)


async def take(lab: Lab, most: int = 100, *, seconds: float = 30.0) -> list[Delivery]:
    return await lab.store.take_deliveries(seconds, most)


async def taken(lab: Lab, most: int = 100) -> list[tuple[str, str]]:
    return [(delivery.task, delivery.target) for delivery in await take(lab, most)]


class OutboxContract:
    """Changes, routing, attempts, retries."""

    # Changes.

    async def test_a_change_says_how_the_task_stood_then(self, lab: Lab) -> None:
        begun = lab.now
        claim = await lab.running()
        lab.clock.advance(5)
        await lab.settle(claim, "waiting", kind="question", message="asks", question="which?")
        await lab.store.control("a", Cancel())
        first, _, third, _ = await lab.store.changes()
        assert first == Change(id=first.id, task="a", at=begun, state="pending")
        assert third == Change(
            id=third.id, task="a", at=begun + 5, state="waiting", outcome=Outcome("question", "asks"), question="which?"
        )

    async def test_changes_are_had_oldest_first_of_all_tasks_or_of_some(self, lab: Lab) -> None:
        for name in "abc":
            await lab.submit(name)
        await lab.store.control("a", Pause())
        assert [change.task for change in await lab.store.changes()] == ["a", "b", "c", "a"]
        assert [change.task for change in await lab.store.changes(most=2)] == ["a", "b"]
        assert [change.task for change in await lab.store.changes(tasks=["c", "a", "nobody"])] == ["a", "c", "a"]
        assert [change.task for change in await lab.store.changes(tasks=["a"], most=1)] == ["a"]
        assert await lab.store.changes(tasks=["nobody"]) == []

    # Routing.

    async def test_a_change_that_was_routed_is_listed_no_longer(self, lab: Lab) -> None:
        await lab.submit("a")
        await lab.submit("b")
        first, second = await lab.store.changes()
        await lab.store.route({first.id: []})
        assert await lab.store.changes() == [second]
        assert await lab.store.deliveries() == []

    async def test_news_become_a_delivery_for_each_target_in_order(self, lab: Lab) -> None:
        await lab.submit("a")
        await lab.submit("b")
        lab.clock.advance(3)
        first, second = await lab.store.changes()
        mail = News(target="mail", event="task.pending", payload='{"id": "b"}', expires_at=lab.now + 7)
        await lab.store.route({second.id: [news(lab), mail], first.id: [news(lab)]})
        newest, *older = await lab.store.deliveries()
        assert [(delivery.task, delivery.target) for delivery in older] == [("b", "chat"), ("a", "chat")]
        assert newest == Delivery(
            id=newest.id,
            task="b",
            target="mail",
            event="task.pending",
            payload='{"id": "b"}',
            created_at=lab.now,
            expires_at=lab.now + 7,
            due_at=lab.now,
        )

    async def test_what_two_route_is_delivered_once(self, lab: Lab) -> None:
        await lab.submit()
        (change,) = await lab.store.changes()
        await asyncio.gather(*(lab.store.route({change.id: [news(lab)]}) for _ in range(2)))
        await lab.store.route({change.id: [news(lab)], change.id + 1: [news(lab)]})
        assert len(await lab.store.deliveries()) == 1

    async def test_no_id_of_a_change_is_given_twice(self, lab: Lab) -> None:
        await lab.submit("a")
        (first,) = await lab.store.changes()
        await lab.store.route({first.id: []})
        await lab.submit("b")
        (second,) = await lab.store.changes()
        assert second.id > first.id

    # Taking.

    async def test_what_is_taken_is_left_to_who_took_it_for_as_long_as_he_said(self, lab: Lab) -> None:
        await pending(lab)
        (delivery,) = await take(lab, seconds=30)
        assert (delivery.state, delivery.attempts, delivery.due_at) == ("pending", 0, lab.now + 30)
        assert await lab.store.deliveries() == [delivery]
        lab.clock.advance(29)
        assert await take(lab) == []
        lab.clock.advance(1)
        (again,) = await take(lab)
        assert (again.id, again.attempts) == (delivery.id, 0)

    async def test_of_many_who_take_at_once_one_gets_it(self, lab: Lab) -> None:
        await pending(lab, "a", "b", "c")
        found = await asyncio.gather(*(take(lab, 1) for _ in range(6)))
        assert sorted(delivery.task for deliveries in found for delivery in deliveries) == ["a", "b", "c"]

    async def test_the_one_that_is_due_longest_is_taken_first(self, lab: Lab) -> None:
        await pending(lab, "a", "b", "c", "d")
        first = (await take(lab, 1))[0]
        await lab.store.end_attempt(first, "pending", due_at=lab.now + 2)
        lab.clock.advance(5)
        assert await taken(lab, 2) == [("b", "chat"), ("c", "chat")]
        assert await taken(lab) == [("d", "chat"), ("a", "chat")]
        assert await take(lab, 0) == []

    async def test_of_one_task_and_one_target_only_the_oldest_is_taken(self, lab: Lab) -> None:
        await lab.submit("a")
        await lab.submit("b")
        await lab.store.control("a", Pause())
        await routed(lab, "chat", "mail")
        assert sorted(await taken(lab)) == [("a", "chat"), ("a", "mail"), ("b", "chat"), ("b", "mail")]
        assert await take(lab) == []

    @pytest.mark.parametrize("end", ["delivered", "expired", "refused"])
    async def test_the_next_news_follow_when_those_before_have_arrived_or_are_given_up(
        self, lab: Lab, end: DeliveryState
    ) -> None:
        await lab.submit()
        await lab.store.control("a", Pause())
        await routed(lab, "chat")
        (first,) = await take(lab)
        await lab.store.end_attempt(first, "pending", due_at=lab.now + 60)
        assert await take(lab) == []
        lab.clock.advance(60)
        (again,) = await take(lab)
        assert again.id == first.id
        await lab.store.end_attempt(again, end)
        (second,) = await take(lab)
        assert second.id > first.id

    async def test_deliveries_of_some_tasks_are_taken_and_those_of_others_left(self, lab: Lab) -> None:
        await pending(lab, "a", "b", "c")
        found = await lab.store.take_deliveries(30, 9, tasks=["c", "a", "nobody"])
        assert [delivery.task for delivery in found] == ["a", "c"]
        assert await taken(lab) == [("b", "chat")]
        assert await lab.store.take_deliveries(30, 9, tasks=["nobody"]) == []

    # Attempts.

    async def test_each_attempt_that_ended_is_counted_with_what_it_said(self, lab: Lab) -> None:
        await pending(lab)
        (delivery,) = await take(lab)
        await lab.store.end_attempt(delivery, "pending", error="no answer", due_at=lab.now + 5)
        (waits,) = await lab.store.deliveries()
        assert (waits.attempts, waits.error, waits.due_at, waits.ended_at) == (1, "no answer", lab.now + 5, None)
        assert await take(lab) == []
        lab.clock.advance(5)
        (delivery,) = await take(lab)
        assert (delivery.attempts, delivery.error) == (1, "no answer")
        await lab.store.end_attempt(delivery, "delivered")
        (done,) = await lab.store.deliveries()
        assert (done.state, done.attempts, done.error, done.ended_at) == ("delivered", 2, "", lab.now)

    async def test_an_attempt_that_somebody_else_ended_changes_nothing(self, lab: Lab) -> None:
        await pending(lab)
        (slow,) = await take(lab, seconds=10)
        lab.clock.advance(10)
        (fast,) = await take(lab, seconds=10)
        await lab.store.end_attempt(fast, "pending", error="fast", due_at=lab.now + 60)
        await lab.store.end_attempt(slow, "refused", error="slow")
        (delivery,) = await lab.store.deliveries()
        assert (delivery.state, delivery.attempts, delivery.error) == ("pending", 1, "fast")
        await lab.store.end_attempt(delivery, "delivered")
        await lab.store.end_attempt(delivery, "refused", error="late")
        (delivery,) = await lab.store.deliveries()
        assert (delivery.state, delivery.attempts, delivery.error) == ("delivered", 2, "")

    async def test_an_attempt_of_what_was_cleared_meanwhile_changes_nothing(self, lab: Lab) -> None:
        await pending(lab)
        (delivery,) = await take(lab)
        await lab.store.end_attempt(delivery, "delivered")
        await lab.store.clear_deliveries(lab.now + 1)
        await lab.store.end_attempt(delivery, "refused")
        assert await lab.store.deliveries() == []

    # Lists.

    async def test_deliveries_are_had_newest_first_by_state_by_task_and_page_by_page(self, lab: Lab) -> None:
        await pending(lab, "a", "b", "c", "d")
        first, second = await take(lab, 2)
        await lab.store.end_attempt(first, "delivered")
        await lab.store.end_attempt(second, "refused", error="400")

        async def tasks(**which: object) -> str:
            return "".join(delivery.task for delivery in await lab.store.deliveries(**which))  # type: ignore[arg-type]

        assert await tasks() == "dcba"
        assert await tasks(states=["pending"]) == "dc"
        assert await tasks(states=["delivered", "refused"]) == "ba"
        assert await tasks(tasks=["b", "d", "nobody"]) == "db"
        assert await tasks(tasks=["b", "d"], states=["refused"]) == "b"
        assert await tasks(most=2) == "dc"
        assert await tasks(most=2, before=second.id + 1) == "ba"
        assert await tasks(before=first.id) == ""

    # Second chances.

    async def test_deliveries_are_counted_by_state(self, lab: Lab) -> None:
        await pending(lab, "a", "b", "c")
        first, second, _ = await take(lab)
        await lab.store.end_attempt(first, "delivered")
        await lab.store.end_attempt(second, "refused", error="no")
        counts = {"pending": 1, "delivered": 1, "expired": 0, "refused": 1}
        assert await lab.store.delivery_counts() == counts
        assert sum((await lab.store.delivery_counts()).values()) == len(await lab.store.deliveries())

    async def test_all_that_were_given_up_are_tried_again(self, lab: Lab) -> None:
        await pending(lab, "a", "b", "c", "d")
        ends: list[DeliveryState] = ["delivered", "expired", "refused"]
        for delivery, state in zip(await take(lab, 3), ends, strict=True):
            await lab.store.end_attempt(delivery, state, error="hm")
        lab.clock.advance(100)
        again = await lab.store.retry_deliveries(expires_at=lab.now + 50)
        assert [delivery.task for delivery in again] == ["c", "b"]
        assert again == [delivery for delivery in await lab.store.deliveries() if delivery.task in {"b", "c"}]
        for delivery in again:
            assert (delivery.state, delivery.due_at, delivery.expires_at) == ("pending", lab.now, lab.now + 50)
            assert (delivery.attempts, delivery.ended_at) == (1, None)
        assert [task for task, _ in await taken(lab)] == ["d", "b", "c"]
        assert await lab.store.retry_deliveries(expires_at=lab.now + 50) == []

    async def test_those_that_are_named_are_tried_again_unless_they_arrived(self, lab: Lab) -> None:
        await pending(lab, "a", "b", "c", "d")
        arrived, refused, other = await take(lab, 3)
        await lab.store.end_attempt(arrived, "delivered")
        await lab.store.end_attempt(refused, "refused")
        await lab.store.end_attempt(other, "refused")
        (waits,) = await take(lab)
        named = [arrived.id, refused.id, waits.id, 10_000, 2**80, -1]
        again = await lab.store.retry_deliveries(named, expires_at=lab.now + 9)
        assert [delivery.id for delivery in again] == [waits.id, refused.id]
        assert {delivery.due_at for delivery in again} == {lab.now}
        states = [delivery.state for delivery in await lab.store.deliveries()]
        assert states == ["pending", "refused", "pending", "delivered"]

    async def test_what_ended_long_ago_is_forgotten_and_nothing_else(self, lab: Lab) -> None:
        await pending(lab, "a", "b", "c")
        first, second, _ = await take(lab)
        await lab.store.end_attempt(first, "delivered")
        lab.clock.advance(10)
        await lab.store.end_attempt(second, "refused")
        assert await lab.store.clear_deliveries(lab.now) == 1
        assert [delivery.task for delivery in await lab.store.deliveries()] == ["c", "b"]
        lab.clock.advance(LATER)
        assert await lab.store.clear_deliveries(lab.now) == 1
        assert [delivery.task for delivery in await lab.store.deliveries()] == ["c"]
        assert await lab.store.clear_deliveries(lab.now) == 0

    async def test_no_id_of_a_delivery_is_given_twice(self, lab: Lab) -> None:
        await pending(lab)
        (delivery,) = await take(lab)
        await lab.store.end_attempt(delivery, "delivered")
        await lab.store.clear_deliveries(lab.now + 1)
        await lab.store.control("a", Pause())
        await lab.store.control("a", Resume())
        await routed(lab, "chat")
        assert all(other.id > delivery.id for other in await lab.store.deliveries())
