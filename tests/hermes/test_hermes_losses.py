"""Programs are killed and chats go away in the middle of a task: it goes on, and its result comes once."""

import signal

import pytest

from hermes.agents import write
from hermes.pair import Chat, Pair
from hermes.scripted_model import Gate, Reply

pytestmark = pytest.mark.timeout(150)


def test_a_task_goes_on_after_kugetsu_was_killed(pair: Pair) -> None:
    chat = pair.chat()
    task, gate = at_work(pair, chat, "forge a hinge")

    pair.kugetsu.stop(signal.SIGKILL)
    gate.open()
    if pair.mode == "http":
        pair.kugetsu.start()
    else:
        chat.say(f"/kugetsu resume {task}")
        chat.wait_for(f"Task {task} goes on")

    done_once(pair, chat, task, "forge a hinge")


@pytest.mark.parametrize("shared_pair", ["spawn"], indirect=True)
def test_a_server_goes_on_with_what_a_killed_process_left(pair: Pair) -> None:
    chat = pair.chat()
    task, gate = at_work(pair, chat, "forge a lock")

    pair.kugetsu.stop(signal.SIGKILL)
    gate.open()
    pair.kugetsu.start()

    done_once(pair, chat, task, "forge a lock")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_result_waits_until_hermes_is_back(pair: Pair, how: signal.Signals) -> None:
    chat, words = pair.chat(), f"forge a key {how.name}"
    task, gate = at_work(pair, chat, words)

    pair.hermes.stop(how)
    gate.open()
    pair.kugetsu.wait_until_tried(task)
    assert not chat.count(f"^Task {task} completed")
    pair.hermes.start()

    done_once(pair, chat, task, words)


def test_a_result_waits_until_the_chat_is_back(pair: Pair) -> None:
    chat = pair.chat()
    task, gate = at_work(pair, chat, "forge a bolt")

    pair.telegram.failing |= dict.fromkeys(("sendMessage", "getMe", "getUpdates", "sendChatAction"), 502)
    gate.open()
    pair.kugetsu.wait_until_tried(task)
    pair.telegram.failing.clear()

    done_once(pair, chat, task, "forge a bolt")
    pair.begin(chat, "forge another bolt")


def test_tasks_go_on_after_the_machine_went_down(pair: Pair) -> None:
    chat = pair.chat()
    begun = {words: at_work(pair, chat, words) for words in ("forge a nail", "forge a rivet")}

    pair.kill()
    for _, gate in begun.values():
        gate.open()
    pair.hermes.start()
    pair.kugetsu.mend()
    for task, _ in begun.values() if pair.mode == "spawn" else ():
        chat.say(f"/kugetsu resume {task}")
        chat.wait_for(f"Task {task} goes on")

    for words, (task, _) in begun.items():
        done_once(pair, chat, task, words)


def at_work(pair: Pair, chat: Chat, words: str) -> tuple[str, Gate]:
    """A task whose agent has written a file and thinks of what to say, until the gate is open."""
    gate = Gate()
    pair.agents.play(words, write(words), Reply(f"Done: {words}", gate=gate))
    task = pair.begin(chat, words)
    gate.wait_until_reached()
    return task, gate


def done_once(pair: Pair, chat: Chat, task: str, words: str) -> None:
    """The result comes, once, and the work is on the branch, once."""
    pair.wait_for_result(chat, task, f"Done: {words}", seconds=75)
    report = pair.kugetsu.user.wait_for_state(task, "completed")
    assert pair.kugetsu.user.git("show", f"{report['branch']}:clock.txt") == f"{words}\n"
    assert len(report["commits"]) == 1
