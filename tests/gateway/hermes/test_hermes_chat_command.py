import asyncio
import time

from hermes.fake_kugetsu import FakeKugetsu
from hermes.stand_in import StandIn


def test_a_task_is_submitted_with_a_repository_and_an_issue(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    said = hermes.write("submit repo=site ada/clock#7 mend  the clock", message=9)

    assert said.startswith("Task task000001 is accepted")
    body = kugetsu.requests[-1][2]
    assert (body["prompt"], body["repo"], body["subject"]) == ("mend  the clock", "/srv/site", "ada/clock#7")
    assert body["reply_to"]["chat_id"] == "42"


def test_words_of_the_first_kugetsu_are_understood(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    name = kugetsu.add("old", state="paused")

    assert "accepted" in hermes.write("delegate repo=site mend it")
    assert hermes.write(f"continue {name}") == f"Task {name} goes on (in the queue)."
    assert "is cancelled" in hermes.write(f"destroy {name} no use")
    assert kugetsu.requests[-1][2] == {"reason": "no use"}


def test_a_question_is_answered_in_as_many_words_as_one_likes(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    name = kugetsu.add("mend it", state="waiting", question="Which?")

    assert "has its answer" in hermes.write(f"answer {name} the red one, please")
    assert kugetsu.requests[-1][2] == {"text": "the red one, please"}


def test_lists_and_results_are_shown(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    kugetsu.add("first", state="completed", summary="Done.")
    kugetsu.add("second", state="running")

    assert hermes.write("list") == "task000002: at work - second\ntask000001: completed - first"
    assert hermes.write("status") == "task000002: at work - second"
    assert "Asked: second" in hermes.write("status task000002")
    assert "Done.\nIt changed nothing." in hermes.write("result task000001")
    assert "+new line" in hermes.write("result task000001 diff")


def test_help_is_given_when_nothing_is_said_or_understood(hermes: StandIn) -> None:
    assert hermes.write("") == hermes.write("help")
    assert hermes.write("explode now").startswith("I do not know “explode”.\n/kugetsu submit")
    assert hermes.write("cancel") == "which task? What to do: /kugetsu cancel ID; `/kugetsu list` shows the ids."


def test_a_long_answer_fits_into_a_message_of_a_chat(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    for number in range(20):
        kugetsu.add(f"{number} " + "long " * 100, question="why " * 100)

    assert len(hermes.write("list")) < 4000


async def test_other_chats_go_on_while_one_waits(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    kugetsu.silent = 0.3
    before = time.monotonic()

    await asyncio.gather(*(hermes.commands["kugetsu"]("list") for _ in range(4)))

    assert time.monotonic() - before < 1.0
