"""Kugetsu is not there: people are told what to do, and when it is back all works, also in the chats that asked meanwhile."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hermes.agents import write
from hermes.pair import Pair
from hermes.scripted_model import Reply

pytestmark = pytest.mark.timeout(120)

TOLD = {"http": "cannot be reached.*start it with `kugetsu serve`", "spawn": "cannot be started.*look at `command`"}


@contextmanager
def away(pair: Pair) -> Iterator[None]:
    """Without a server, or without the program."""
    settings = pair.hermes.home / "kugetsu.json"
    before = settings.read_text()
    if pair.mode == "http":
        pair.kugetsu.stop()
    else:
        settings.write_text(json.dumps({**json.loads(before), "command": ["/nowhere/kugetsu"]}))
    try:
        yield
    finally:
        settings.write_text(before)
        pair.mend()


def test_people_are_told_what_to_do_while_kugetsu_is_away(pair: Pair) -> None:
    chat = pair.chat()
    pair.agents.play("ring the bell", write("rung"), Reply("It rang."))
    with away(pair):
        chat.say("/kugetsu submit ring the bell")
        chat.wait_for(TOLD[pair.mode])
        chat.say("ring the bell")
        chat.wait_for(f"Error: .*{TOLD[pair.mode]}")

    task = pair.hand_over(chat, "ring the bell again")
    pair.wait_for_result(chat, task, "It rang")


def test_a_hermes_that_was_started_without_kugetsu_hands_over_once_it_is_there(pair: Pair) -> None:
    chat = pair.chat()
    pair.agents.play("tune the bell", write("tuned"), Reply("It is tuned."))
    pair.hermes.stop()
    with away(pair):
        pair.hermes.start()
        chat.say("tune the bell")
        chat.wait_for(f"Error: .*{TOLD[pair.mode]}")

    task = pair.hand_over(chat, "tune the bell now")
    pair.wait_for_result(chat, task, "It is tuned")
