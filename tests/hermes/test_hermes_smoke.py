"""The real Hermes reaches Kugetsu by the plugin, from the terminal and from a chat."""

import json
from pathlib import Path

from hermes.fake_kugetsu import FakeKugetsu
from hermes.fake_telegram import CHAT, FakeTelegram
from hermes.real_hermes import Hermes
from hermes.scripted_model import Reply, ScriptedModel, Talk


def submit_what_is_asked(talk: Talk) -> Reply:
    if talk.results:
        return Reply(f"It said: {talk.results[-1]}")
    return Reply(calls=[("kugetsu_submit", {"prompt": talk.asked, "repo": "site"})])


def point_to(hermes: Hermes, kugetsu: FakeKugetsu) -> None:
    settings = {"server": kugetsu.url, "repositories": {"site": "/srv/site"}}
    (hermes.home / "kugetsu.json").write_text(json.dumps(settings))


def test_a_prompt_in_the_terminal_becomes_a_task_without_a_return_address(tmp_path: Path) -> None:
    with ScriptedModel(submit_what_is_asked) as model, FakeKugetsu() as kugetsu:
        hermes = Hermes(tmp_path, model)
        hermes.add_plugin()
        point_to(hermes, kugetsu)

        printed = hermes.run("-z", "mend the clock", "-t", "kugetsu")

        assert "Task task000001 is accepted" in printed
        (task,) = kugetsu.tasks.values()
        assert (task["prompt"], task["repo"], task["reply_to"]) == ("mend the clock", "/srv/site", {})


def test_a_message_in_a_chat_becomes_a_task_that_knows_the_way_back(tmp_path: Path) -> None:
    with ScriptedModel(submit_what_is_asked) as model, FakeTelegram() as telegram, FakeKugetsu() as kugetsu:
        hermes = Hermes(tmp_path, model, telegram)
        hermes.add_plugin()
        point_to(hermes, kugetsu)
        with hermes:
            telegram.say("mend the clock")
            telegram.wait_for("It said: Task task000001 is accepted")
            (task,) = kugetsu.tasks.values()
            told = task["reply_to"]
            assert (told["target"], told["platform"], told["chat_id"]) == ("hermes", "telegram", str(CHAT))

            telegram.wait_for_quiet()
            telegram.say("/kugetsu submit repo=site wind it up")
            telegram.wait_for("^Task task000002 is accepted")
            assert kugetsu.tasks["task000002"]["reply_to"]["chat_id"] == str(CHAT)
            telegram.wait_for_quiet()
            telegram.say("/kugetsu list")
            telegram.wait_for("task000002: in the queue - wind it up\ntask000001")
