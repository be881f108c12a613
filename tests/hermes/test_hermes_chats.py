"""What people do with tasks from their chats: real Hermes, real Kugetsu, by a server and without."""

import pytest

from hermes.agents import ask, write
from hermes.pair import Pair
from hermes.scripted_model import Gate, Reply, Talk

pytestmark = pytest.mark.timeout(120)


def test_a_message_becomes_a_branch_and_the_result_comes_back(pair: Pair) -> None:
    chat = pair.chat()
    pair.agents.play("mend the clock", write("tick"), Reply("It ticks now."))
    assert pair.kugetsu.run("hermes", "status").code == 0

    task = pair.hand_over(chat, "mend the clock")

    pair.wait_for_result(chat, task, "It ticks now")
    report = pair.kugetsu.user.wait_for_state(task, "completed")
    assert pair.kugetsu.user.git("show", f"{report['branch']}:clock.txt") == "tick\n"


def test_a_result_comes_back_into_the_thread_of_the_group_where_it_was_asked_for(pair: Pair) -> None:
    thread, elsewhere = pair.thread(), pair.thread()
    pair.agents.play("oil the clock", write("smooth"), Reply("It is smooth."))

    task = pair.hand_over(thread, "oil the clock")

    pair.wait_for_result(thread, task, "It is smooth")
    other = pair.begin(elsewhere, "oil the clock by command")
    pair.wait_for_result(elsewhere, other, "It is smooth")


def test_a_question_is_answered_by_a_command(pair: Pair) -> None:
    chat = pair.chat()
    pair.agents.play("paint a clock", ask("Which clock?"), lambda talk: Reply(f"Painted: {talk.results[-1]}"))
    task = pair.begin(chat, "paint a clock")
    chat.wait_for("Which clock\\?")

    chat.say(f"/kugetsu answer {task} the red one")

    chat.wait_for("has its answer")
    pair.wait_for_result(chat, task, "Painted: .*the red one")


def test_a_question_is_answered_in_ones_own_words_by_the_model(pair: Pair) -> None:
    chat = pair.chat()
    pair.agents.play("wind a clock", ask("How far?"), lambda talk: Reply(f"Wound: {talk.results[-1]}"))
    task = pair.hand_over(chat, "wind a clock")
    chat.wait_for("How far\\?")

    chat.say(f"answer {task}: to the end")

    chat.wait_for("has its answer")
    pair.wait_for_result(chat, task, "Wound: .*to the end")


@pytest.mark.parametrize("way", ["/kugetsu cancel {}", "cancel {}"])
def test_a_task_is_cancelled_from_the_chat(pair: Pair, way: str) -> None:
    chat, gate = pair.chat(), Gate()
    pair.agents.play(f"grind a gear {way}", Reply("never said", gate=gate))
    task = pair.begin(chat, f"grind a gear {way}")
    gate.wait_until_reached()

    chat.say(way.format(task))

    pair.wait_for_result(chat, task, "asked for in the chat")
    chat.wait_for(f"^Task {task} (ends|is cancelled)")
    assert pair.kugetsu.user.wait_for_state(task, "cancelled")
    gate.open()


@pytest.mark.parametrize("way", ["/kugetsu steer {} use brass", "steer {}: use brass"])
def test_an_agent_is_steered_from_the_chat(pair: Pair, way: str) -> None:
    chat, gate = pair.chat(), Gate()
    pair.agents.play(f"cast a bell {way}", write("bell", gate), what_it_was_told)
    task = pair.begin(chat, f"cast a bell {way}")
    gate.wait_until_reached()

    chat.say(way.format(task))
    chat.wait_for("is told")
    gate.open()

    pair.wait_for_result(chat, task, "Told: .*use brass")


@pytest.mark.parametrize(
    ("status", "result"), [("/kugetsu status {}", "/kugetsu result {} diff"), ("status of {}", "result of {}")]
)
def test_status_and_result_are_asked_for_in_the_chat(pair: Pair, status: str, result: str) -> None:
    chat, gate = pair.chat(), Gate()
    pair.agents.play(f"set a watch {status}", write("noon"), Reply("It is noon.", gate=gate))
    task = pair.begin(chat, f"set a watch {status}")
    gate.wait_until_reached()

    chat.say(status.format(task))
    chat.wait_for(f"{task}: at work.*So far: 1 turns")
    gate.open()
    pair.wait_for_result(chat, task, "It is noon")
    chat.say(result.format(task))

    shown = chat.wait_for(f"Task {task}: completed.*It is noon.*Branch kugetsu")
    assert ("+noon" in shown.text) == ("diff" in result)


def what_it_was_told(talk: Talk) -> Reply:
    return Reply(f"Told: {talk.asked}")
