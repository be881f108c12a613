"""Many tasks at once: every result comes into its own chat, none is lost or comes twice, and a full queue is said to be full."""

import re

import pytest

from hermes.agents import write
from hermes.pair import Chat, Pair
from hermes.scripted_model import Gate, Reply

pytestmark = pytest.mark.timeout(150)

NUMBERS = range(10)


def test_ten_tasks_of_one_message_bring_ten_results(pair: Pair) -> None:
    chat = pair.chat()
    jobs = [f"mint coin {number}" for number in NUMBERS]
    for job in jobs:
        pair.agents.play(job, write(job), Reply(f"Struck: {job}."))

    chat.say(f"hand over each: {'; '.join(jobs)}")
    accepted = chat.wait_for("(is accepted.*){10}", seconds=75)

    tasks = set(pair.kugetsu.tasks(accepted.text))
    assert len(tasks) == len(jobs)
    results = {job: chat.wait_for(rf"^Task \w+ completed: .*Struck: {job}\.", seconds=75) for job in jobs}
    assert {pair.kugetsu.task(result.text) for result in results.values()} == tasks
    each_told_once(pair, chat, tasks)


def test_ten_chats_that_ask_at_once_get_each_its_own_result(pair: Pair) -> None:
    chats = [pair.chat() if number % 2 else pair.thread() for number in NUMBERS]
    for number in NUMBERS:
        pair.agents.play(f"print page {number}", write(f"page {number}"), Reply(f"Printed: page {number}."))

    for number, chat in enumerate(chats):
        chat.say_at_once(f"print page {number}")

    for number, chat in enumerate(chats):
        task = pair.kugetsu.task(chat.wait_for("is accepted", seconds=75).text)
        pair.wait_for_result(chat, task, f"Printed: page {number}\\.", seconds=75)
        assert chat.count("Printed: ") == 1


@pytest.mark.parametrize("shared_pair", ["http"], indirect=True)
def test_a_full_queue_is_said_to_be_full_and_nothing_of_it_is_lost(pair: Pair) -> None:
    chat, gate = pair.chat(), Gate()
    for job in ("bake bread 1", "bake bread 2", "bake bread 3"):
        pair.agents.play(job, Reply(f"Baked: {job}.", gate=gate))
    with pair.kugetsu.changed(queue={"slots": 1, "most_pending": 1}):
        tasks = [pair.begin(chat, "bake bread 1")]
        gate.wait_until_reached()
        tasks.append(pair.hand_over(chat, "bake bread 2"))

        chat.say("bake bread 3")
        refused = chat.wait_for("Error: .*Try again in")
        assert re.search(r"Try again in [1-9]\d* s", refused.text), refused.text
        chat.say("/kugetsu submit bake bread 3")
        chat.wait_for(r"^(?!Error).*Try again in [1-9]\d* s")

        gate.open()
        for task, job in zip(tasks, ("bake bread 1", "bake bread 2"), strict=True):
            pair.wait_for_result(chat, task, f"Baked: {job}")
        later = pair.begin(chat, "bake bread 3")
        pair.wait_for_result(chat, later, "Baked: bake bread 3")


@pytest.mark.parametrize("shared_pair", ["spawn"], indirect=True)
def test_a_machine_without_room_is_said_to_be_full_and_later_takes_the_task(pair: Pair) -> None:
    chat = pair.chat()
    pair.agents.play("saw a plank", Reply("Sawn."))
    first = pair.begin(chat, "saw a plank first")
    pair.wait_for_result(chat, first, "Sawn")
    gate = Gate()
    pair.agents.play("saw a beam", Reply("Sawn.", gate=gate))
    running = pair.begin(chat, "saw a beam")
    gate.wait_until_reached()
    with pair.kugetsu.changed(machine={"reserve_mb": 100_000_000}):
        chat.say("saw a log")
        refused = chat.wait_for("Error: .*Try again in")
        assert re.search(r"there is no room for a task.*Try again in [1-9]\d* s", refused.text), refused.text
    assert not [task for task in pair.kugetsu.user.tasks() if task["prompt"] == "saw a log"]

    gate.open()
    pair.wait_for_result(chat, running, "Sawn")
    later = pair.begin(chat, "saw a log")

    pair.wait_for_result(chat, later, "done")


def each_told_once(pair: Pair, chat: Chat, tasks: set[str]) -> None:
    for task in tasks:
        pair.kugetsu.wait_until_told(task)
        assert chat.count(f"^Task {task} completed: ") == 1
