"""A message in a chat becomes work, and the result comes back into the same chat: real Hermes, real Kugetsu."""

from pathlib import Path

import pytest

from hermes.fake_telegram import FakeTelegram
from hermes.real_hermes import Hermes
from hermes.real_kugetsu import Kugetsu, Turns
from hermes.scripted_model import Reply, ScriptedModel, Talk
from support.command_line import tool

MENDED: Turns = [{"tool_calls": [tool("write", path="clock.txt", content="tick\n")]}, {"text": "It ticks now."}]
ASKING: Turns = [{"tool_calls": [tool("ask", question="Which clock?")]}, {"text": "The red one ticks."}]


def hand_over(talk: Talk) -> Reply:
    """A model that hands over whatever it is asked, and says what it was told."""
    if talk.results:
        return Reply(talk.results[-1])
    return Reply(calls=[("kugetsu_submit", {"prompt": talk.asked})])


@pytest.mark.parametrize("mode", ["http", "spawn"])
def test_a_message_becomes_a_branch_and_the_result_comes_back(tmp_path: Path, mode: str) -> None:
    with ScriptedModel(hand_over) as model, FakeTelegram() as telegram:
        hermes = Hermes(tmp_path, model, telegram)
        with Kugetsu(tmp_path, hermes, MENDED, mode) as kugetsu, hermes:
            assert kugetsu.run("hermes", "status").code == 0
            telegram.say("mend the clock")
            accepted = telegram.wait_for("is accepted")

            result = telegram.wait_for("It ticks now")

            report = kugetsu.user.wait_for_state(kugetsu.task(accepted.text), "completed")
            assert report["id"] in result.text
            assert kugetsu.user.git("show", f"{report['branch']}:clock.txt") == "tick\n"


@pytest.mark.parametrize("mode", ["http", "spawn"])
def test_a_question_is_answered_in_the_chat(tmp_path: Path, mode: str) -> None:
    with ScriptedModel(hand_over) as model, FakeTelegram() as telegram:
        hermes = Hermes(tmp_path, model, telegram)
        with Kugetsu(tmp_path, hermes, ASKING, mode) as kugetsu, hermes:
            telegram.say("/kugetsu submit mend the clock")
            asked = telegram.wait_for("Which clock?")

            telegram.wait_for_quiet()
            telegram.say(f"/kugetsu answer {kugetsu.task(asked.text)} the red one")

            telegram.wait_for("has its answer")
            telegram.wait_for("The red one ticks")
