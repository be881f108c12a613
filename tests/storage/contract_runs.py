"""What a run may write, and when it may not."""

from collections.abc import Awaitable, Callable

import pytest

from kugetsu.errors import LeaseLostError, RecordError, TaskNotFoundError
from kugetsu.events import Noted, TurnStarted
from kugetsu.messages import AssistantMessage, Text, ToolCall, ToolResult, user
from kugetsu.protocols import Claim, Effect, Lease, Store
from kugetsu.sessions import Checkpoint, Entry, Finished, Heard, Renewed, Replied, Rewound
from kugetsu.tasks import Answer, Budgets, Cancel, Pause, Place, Resume, Retry, Say, Spent, day_of
from storage.store_lab import HEARD, Lab, a_call, a_finish
from tasks.task_lab import PLACE, a_task, an_ending

Write = Callable[[Store, Lease], Awaitable[object]]
Ending = Callable[[Lab, Claim], Awaitable[object]]

WRITES: dict[str, Write] = {
    "append": lambda store, lease: store.append(lease, [HEARD]),
    "append of nothing": lambda store, lease: store.append(lease, []),
    "event": lambda store, lease: store.append(lease, [], events=[Noted(task="a", seq=9, message="hm")]),
    "take": lambda store, lease: store.append(lease, [], taken=[1, 2, 3]),
    "headway": lambda store, lease: store.append(lease, [], headway=True),
    "spend": lambda store, lease: store.append(lease, [], spent=Spent(1)),
    "reserve": lambda store, lease: store.reserve(lease, Spent(), Spent(1), Budgets()),
    "place": lambda store, lease: store.place(lease, Place(base="f" * 40, branch="other", path="/other")),
    "begin_effect": lambda store, lease: store.begin_effect(lease, Effect(1, "push")),
    "end_effect": lambda store, lease: store.end_effect(lease, Effect(1, "push")),
    "settle": lambda store, lease: store.settle(lease, an_ending("completed"), entries=[HEARD]),
}

LOSSES: dict[str, Ending] = {
    "settled": lambda lab, claim: lab.settle(claim, "pending"),
    "completed": lambda lab, claim: lab.settle(claim, "completed"),
    "reaped": lambda lab, _: lab.die(),
    "known to be dead": lambda lab, _: lab.store.reap(["w"]),
    "given back": lambda lab, _: lab.store.retire("w"),
}


async def everything(lab: Lab) -> list[object]:
    """All that a store tells of the task `a`."""
    store = lab.store
    told = [await lab.find(), await store.session("a"), await store.events("a"), await store.runs("a")]
    return [*told, await store.spending(day_of(lab.now))]


class RunContract:
    """Fencing, sessions, events, notes and effects."""

    # Fencing.

    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("write", WRITES)
    async def test_a_run_that_lost_its_task_writes_nothing(self, lab: Lab, write: str, loss: str) -> None:
        claim = await lab.running()
        await LOSSES[loss](lab, claim)
        before = await everything(lab)
        with pytest.raises(LeaseLostError):
            await WRITES[write](lab.store, claim.lease)
        assert await everything(lab) == before

    @pytest.mark.parametrize("write", WRITES)
    async def test_a_zombie_writes_nothing_beside_the_run_that_took_over(self, lab: Lab, write: str) -> None:
        zombie = await lab.running()
        await lab.die()
        heir = await lab.running(worker="w2")
        await lab.store.control("a", Say("hm"))
        before = [*await everything(lab), await lab.notes()]
        with pytest.raises(LeaseLostError):
            await WRITES[write](lab.store, zombie.lease)
        assert [*await everything(lab), await lab.notes()] == before
        await WRITES[write](lab.store, heir.lease)

    @pytest.mark.parametrize("write", WRITES)
    async def test_a_lease_on_no_task_writes_nothing(self, lab: Lab, write: str) -> None:
        with pytest.raises(LeaseLostError):
            await WRITES[write](lab.store, Lease("nothing", 1))

    async def test_an_effect_that_a_zombie_wanted_to_begin_is_new_to_its_heir(self, lab: Lab) -> None:
        zombie = await lab.running()
        await lab.die()
        heir = await lab.running(worker="w2")
        with pytest.raises(LeaseLostError):
            await lab.store.begin_effect(zombie.lease, Effect(1, "push"))
        assert await lab.store.begin_effect(heir.lease, Effect(1, "push")) == "new"

    async def test_a_run_may_write_until_somebody_takes_its_task_though_its_workers_lease_has_expired(
        self, lab: Lab
    ) -> None:
        claim = await lab.running()
        lab.clock.advance(3600)
        await lab.store.append(claim.lease, [HEARD])
        assert len(await lab.store.session("a")) == 1

    # Sessions.

    async def test_a_session_keeps_its_entries_in_order_without_a_gap(self, lab: Lab) -> None:
        claim = await lab.running()
        written: list[Entry] = [HEARD, *a_call(1, done=True), Checkpoint(1, "f" * 40)]
        await lab.store.append(claim.lease, written[:1])
        lab.clock.advance(5)
        await lab.store.append(claim.lease, written[1:])
        lines = await lab.store.session("a")
        assert [line.entry for line in lines] == written
        assert [line.seq for line in lines] == [1, 2, 3, 4, 5]
        assert [line.at for line in lines] == [lab.now - 5, *[lab.now] * 4]

    async def test_a_session_goes_on_where_the_run_before_left_it(self, lab: Lab) -> None:
        claim = await lab.running()
        await lab.store.append(claim.lease, [HEARD])
        await lab.die()
        again = await lab.running(worker="w2")
        await lab.store.append(again.lease, [Renewed()])
        assert [(line.seq, line.entry) for line in await lab.store.session("a")] == [(1, HEARD), (2, Renewed())]

    async def test_what_a_call_gave_is_found_in_the_session_of_its_task(self, lab: Lab) -> None:
        claim = await lab.running()
        results = [ToolResult(name, "bash", (Text(f"gave {name}"),)) for name in ("c1", "c10", 'ü"\\', "c1")]
        other = ToolResult("x", "bash", (Text('"call_id":"c9"'),))
        for turn, result in enumerate([*results, other], 1):
            reply = AssistantMessage((ToolCall(result.call_id, "bash", "{}"),), "tool_calls")
            entries: list[Entry] = [Replied(turn, reply), Finished(turn, result), Checkpoint(turn)]
            await lab.store.append(claim.lease, [*([HEARD] if turn == 1 else []), *entries])
        for result in results[1:]:
            assert await lab.store.result("a", result.call_id) == result
        assert await lab.store.result("a", "c9") is None
        with pytest.raises(TaskNotFoundError):
            await lab.store.result("nobody", "c1")

    async def test_what_a_turn_said_and_gave_is_found_in_the_session_of_its_task(self, lab: Lab) -> None:
        claim = await lab.running()
        await lab.store.append(claim.lease, [HEARD])
        for turn in (1, 2, 12):
            calls = tuple(ToolCall(f"c{turn}.{place}", "bash", '{"turn":1,"a":2}') for place in range(turn % 3))
            reply = AssistantMessage((Text(f"turn {turn}"), *calls), "tool_calls")
            results = [ToolResult(one.id, "bash", (Text('"turn":2,'),)) for one in calls]
            await lab.store.append(claim.lease, [Replied(turn, reply), *(Finished(turn, one) for one in results)])
            assert await lab.store.turn("a", turn) == [reply, *results]
            await lab.store.append(claim.lease, [Checkpoint(turn)])
        await lab.store.append(claim.lease, [Rewound(1)])
        assert len(await lab.store.turn("a", 2)) == 3
        assert await lab.store.turn("a", 3) == []
        with pytest.raises(TaskNotFoundError):
            await lab.store.turn("nobody", 1)

    async def test_sessions_of_different_tasks_do_not_mix(self, lab: Lab) -> None:
        for name in ("a", "b"):
            claim = await lab.running(name)
            await lab.store.append(claim.lease, [Heard(user(name))])
        for name in ("a", "b"):
            assert [(line.seq, line.entry) for line in await lab.store.session(name)] == [(1, Heard(user(name)))]

    async def test_strange_text_in_a_session_does_not_stop_a_run(self, lab: Lab) -> None:
        claim = await lab.running()
        await lab.store.append(claim.lease, [Heard(user("a nul \0, an emoji 🦀 and a 'quote'; DROP TABLE tasks"))])
        (line,) = await lab.store.session("a")
        assert line.entry == Heard(user("a nul \0, an emoji 🦀 and a 'quote'; DROP TABLE tasks"))

    async def test_the_last_entries_and_events_of_a_run_are_written_with_its_end(self, lab: Lab) -> None:
        claim = await lab.running()
        event = a_finish("a", claim.last_event + 1, "completed")
        await lab.store.settle(claim.lease, an_ending("completed"), entries=[HEARD], events=[event])
        assert [line.entry for line in await lab.store.session("a")] == [HEARD]
        assert await lab.store.events("a", after=claim.last_event) == [event]

    # Events.

    async def test_events_come_back_from_the_one_that_follows_a_number(self, lab: Lab) -> None:
        claim = await lab.running()
        # Numbers may be left out: not every event is kept.
        assert claim.last_event == 1
        events = [TurnStarted(task="a", seq=number, at=lab.now, turn=number) for number in (2, 3, 6, 8, 9)]
        await lab.store.append(claim.lease, [], events=events[:3])
        await lab.store.append(claim.lease, [], events=events[3:])
        assert (await lab.store.events("a"))[1:] == events
        assert await lab.store.events("a", after=3) == events[2:]
        assert await lab.store.events("a", after=4) == events[2:]
        assert await lab.store.events("a", after=2, most=2) == events[1:3]
        assert await lab.store.events("a", after=9) == []

    @pytest.mark.parametrize("numbers", [[1], [3], [2], [5, 4], [4, 4]])
    async def test_events_that_do_not_follow_the_last_one_are_refused_with_all_that_came_along(
        self, lab: Lab, numbers: list[int]
    ) -> None:
        claim = await lab.running()
        await lab.store.append(claim.lease, [], events=[Noted(task="a", seq=3, message="hm")])
        with pytest.raises(RecordError, match="event"):
            await lab.store.append(
                claim.lease, [HEARD], events=[Noted(task="a", seq=number, message="hm") for number in numbers]
            )
        assert [event.seq for event in await lab.store.events("a")] == [1, 3]
        assert await lab.store.session("a") == []

    async def test_a_claim_says_with_which_number_events_go_on(self, lab: Lab) -> None:
        await lab.worker()
        at_once = await lab.store.submit(a_task("b"), worker="w")
        assert at_once.claim is not None
        assert at_once.claim.last_event == 0
        claim = await lab.running()
        assert claim.last_event == 1  # that it came in
        await lab.store.append(claim.lease, [], events=[Noted(task="a", seq=4, message="hm")])
        await lab.die()
        assert (await lab.running()).last_event == 5

    # Notes.

    async def test_what_users_say_waits_until_a_run_has_taken_it_into_the_session(self, lab: Lab) -> None:
        await lab.submit()
        await lab.store.control("a", Say("first"))
        await lab.store.control("a", Say("second", "follow_up"))
        claim = await lab.running()
        assert [(note.kind, note.text) for note in claim.notes] == [("steering", "first"), ("follow_up", "second")]
        assert claim.notes[0].id < claim.notes[1].id
        await lab.store.append(claim.lease, [HEARD], taken=[claim.notes[0].id])
        assert await lab.notes() == [claim.notes[1]]
        await lab.die()
        assert (await lab.running()).notes == (claim.notes[1],)

    async def test_taking_a_note_twice_or_one_that_never_was_does_no_harm(self, lab: Lab) -> None:
        await lab.running()
        await lab.store.control("a", Say("first"))
        await lab.store.control("a", Say("second"))
        claim = (await lab.notes())[0]
        lease = Lease("a", (await lab.find()).generation)
        await lab.store.append(lease, [], taken=[claim.id, claim.id])
        await lab.store.append(lease, [], taken=[claim.id, 99])
        assert [note.text for note in await lab.notes()] == ["second"]

    async def test_a_run_cannot_take_the_notes_of_another_task(self, lab: Lab) -> None:
        await lab.running("a")
        other = await lab.running("b")
        await lab.store.control("a", Say("for a alone"))
        (note,) = await lab.notes("a")
        await lab.store.append(other.lease, [], taken=[note.id])
        assert await lab.notes("a") == [note]

    async def test_a_message_is_heard_once_for_each_key_and_task(self, lab: Lab) -> None:
        claim = await lab.running("a")
        await lab.running("b")
        for text in ("once", "twice"):
            await lab.store.control("a", Say(text, key="k"))
        await lab.store.control("b", Say("elsewhere", key="k"))
        assert [note.text for note in await lab.notes("a")] == ["once"]
        assert [note.text for note in await lab.notes("b")] == ["elsewhere"]
        await lab.store.append(claim.lease, [HEARD], taken=[note.id for note in await lab.notes("a")])
        await lab.store.control("a", Say("later", key="k"))
        assert await lab.notes("a") == []

    async def test_messages_without_a_key_are_all_heard(self, lab: Lab) -> None:
        await lab.running()
        for _ in range(2):
            await lab.store.control("a", Say("again"))
        assert [note.text for note in await lab.notes()] == ["again", "again"]

    async def test_an_answer_and_the_reason_of_a_retry_wait_like_what_users_say(self, lab: Lab) -> None:
        await lab.enter("asking")
        await lab.store.control("a", Answer("the red one"))
        claim = await lab.running()
        assert [(note.kind, note.text) for note in claim.notes] == [("answer", "the red one")]
        await lab.store.append(claim.lease, [], taken=[note.id for note in claim.notes])
        await lab.settle(claim, "failed", kind="check_failed", message="2 tests fail")
        await lab.store.control("a", Retry())
        assert [(note.kind, note.text) for note in (await lab.running()).notes] == [
            ("retry", "check_failed: 2 tests fail")
        ]

    # Attention.

    async def test_a_worker_is_told_what_is_wanted_of_its_tasks(self, lab: Lab) -> None:
        for name in ("a", "b", "c", "d"):
            await lab.running(name)
        await lab.running("e", worker="other")
        await lab.store.control("a", Cancel("no need"))
        await lab.store.control("b", Pause("not now"))
        await lab.store.control("c", Say("hm"))
        await lab.store.control("e", Cancel("not yours"))
        told = {found.task: found for found in await lab.store.attention("w")}
        assert {name: (found.wanted, found.reason) for name, found in told.items()} == {
            "a": ("cancel", "no need"),
            "b": ("pause", "not now"),
            "c": ("", ""),
        }
        assert [note.text for note in told["c"].notes] == ["hm"]
        assert {found.generation for found in told.values()} == {1}

    async def test_a_worker_is_told_until_it_is_done(self, lab: Lab) -> None:
        claim = await lab.running()
        await lab.store.control("a", Pause("not now"))
        await lab.store.control("a", Say("hm"))
        for _ in range(2):
            (found,) = await lab.store.attention("w")
            assert (found.wanted, len(found.notes)) == ("pause", 1)
        await lab.store.append(claim.lease, [HEARD], taken=[found.notes[0].id])
        (found,) = await lab.store.attention("w")
        assert (found.wanted, found.notes) == ("pause", ())
        await lab.store.control("a", Resume())
        assert await lab.store.attention("w") == []

    async def test_a_worker_without_tasks_is_told_nothing(self, lab: Lab) -> None:
        await lab.submit()
        await lab.store.control("a", Say("hm"))
        assert await lab.store.attention("w") == []

    # Places and effects.

    async def test_the_place_of_the_work_is_known_to_every_later_run(self, lab: Lab) -> None:
        claim = await lab.running()
        assert claim.record.place is None
        for _ in range(2):
            await lab.store.place(claim.lease, PLACE)
        await lab.die()
        assert (await lab.running()).record.place == PLACE

    async def test_an_effect_is_new_then_begun_then_done_whichever_run_asks(self, lab: Lab) -> None:
        effect = Effect(3, "deliver", '{"branch": "x"}')
        claim = await lab.running()
        assert await lab.store.begin_effect(claim.lease, effect) == "new"
        assert await lab.store.begin_effect(claim.lease, effect) == "begun"
        await lab.die()
        claim = await lab.running()
        assert await lab.store.begin_effect(claim.lease, effect) == "begun"
        for _ in range(2):
            await lab.store.end_effect(claim.lease, effect)
        assert await lab.store.begin_effect(claim.lease, effect) == "done"
        await lab.settle(claim, "failed")
        await lab.store.control("a", Retry())
        assert await lab.store.begin_effect((await lab.running()).lease, effect) == "done"

    async def test_effects_are_told_apart_by_task_turn_and_call_not_by_payload(self, lab: Lab) -> None:
        claim, other = await lab.running("a"), await lab.running("b")
        await lab.store.begin_effect(claim.lease, Effect(3, "push", "one"))
        assert await lab.store.begin_effect(claim.lease, Effect(3, "push", "two")) == "begun"
        assert await lab.store.begin_effect(claim.lease, Effect(4, "push", "one")) == "new"
        assert await lab.store.begin_effect(claim.lease, Effect(3, "comment", "one")) == "new"
        assert await lab.store.begin_effect(other.lease, Effect(3, "push", "one")) == "new"
