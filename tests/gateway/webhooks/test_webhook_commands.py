"""Commands in comments, on a real store: each does once what it says, and only to a task that it can have meant."""

import time
from typing import Any, cast

import pytest

from gateway.webhooks import hook_payloads as bodies
from gateway.webhooks.hook_lab import HookLab, encoded, hub_headers
from kugetsu.errors import StateConflictError
from kugetsu.gateway.webhooks.commanding import obey
from kugetsu.gateway.webhooks.commands import Command, Verb, parse_command
from kugetsu.gateway.webhooks.told import Nothing, Told
from kugetsu.protocols import PastRun, TaskDetails, TaskService
from kugetsu.tasks import Cancel
from support.command_line import CommandLine, tool


@pytest.mark.parametrize(
    ("comment", "command"),
    [
        ("/kugetsu", Command("run")),
        ("/kugetsu run", Command("run")),
        ("\n /kugetsu  fix it \nand more", Command("run", "fix it\nand more")),
        ("/kugetsu run cancel the order twice", Command("run", "cancel the order twice")),
        ("/kugetsu\nfix it\n", Command("run", "fix it")),
        ("/kugetsu CANCEL", Command("cancel")),
        ("/kugetsu cancel\r\nwe need it no more", Command("cancel", "we need it no more")),
        ("/kugetsu answer yes, both", Command("answer", "yes, both")),
        ("/kugetsu steer\nuse the other file", Command("steer", "use the other file")),
        ("/kugetsu status", Command("status")),
        ("/kugetsu runner is slow", Command("run", "runner is slow")),
    ],
)
def test_a_command_is_read(comment: str, command: Command) -> None:
    assert parse_command(comment.replace("\r\n", "\n")) == command


@pytest.mark.parametrize(
    ("comment", "why"),
    [
        ("", "does not begin"),
        ("> /kugetsu go", "does not begin"),
        ("/kugetsu-bot go", "does not begin"),
        ("/Kugetsu go", "does not begin"),
        ("/kugetsu cancel the order", "has to stand alone"),
        ("/kugetsu retry please", "has to stand alone"),
        ("/kugetsu answer", "says nothing"),
        ("/kugetsu steer \n ", "says nothing"),
    ],
)
def test_what_is_no_command_is_told_apart(comment: str, why: str) -> None:
    found = parse_command(comment)
    assert isinstance(found, Nothing)
    assert why in found.why


def said(text: str, at: float | None = None, number: int = 1) -> dict[str, Any]:
    return bodies.issue_comment(text, at=time.time() if at is None else at, comment=number)


async def do_all(lab: HookLab) -> None:
    await lab.house.worker.serve(lab.house.shadow_of, room=lambda running: 4 - running, until_idle=True)


async def test_commands_are_for_the_newest_task_about_the_issue(lab: HookLab) -> None:
    first = (await lab.github(said("/kugetsu one"))).task
    second = (await lab.github(said("/kugetsu two", number=2))).task
    await lab.github(bodies.issue_comment("/kugetsu three", number=13))
    done = await lab.github(said("/kugetsu pause", number=3))
    assert (done.status, done.what, done.task, done.why) == (200, "done", second, f"task {second} is paused")
    assert (await lab.tasks.show(first)).state == "pending"
    assert (await lab.github(said("/kugetsu resume", number=4))).why == f"task {second} is pending"
    assert (await lab.github(said("/kugetsu status", number=5))).why == f"task {second} is pending"
    assert (await lab.github(said("/kugetsu cancel\nenough", number=6))).why == f"task {second} is cancelled"
    outcome = (await lab.tasks.show(second)).outcome
    assert outcome is not None
    assert outcome.message == "ada said so in github.com/team/tool#12: enough"
    assert (await lab.github(said("/kugetsu retry", number=7))).why == f"task {second} is pending"


async def test_whoever_no_rule_names_commands_nothing(lab: HookLab) -> None:
    task = (await lab.github(said("/kugetsu go"))).task
    before = await lab.tasks.show(task)
    for verb in ("cancel", "pause", "resume", "retry", "status", "answer yes", "steer left"):
        answer = await lab.github(bodies.issue_comment(f"/kugetsu {verb}", "mallory", time.time(), comment=2))
        assert (answer.what, answer.task) == ("ignored", "")
    assert await lab.tasks.show(task) == before


async def test_a_command_without_a_task_is_ignored(lab: HookLab) -> None:
    answer = await lab.github(said("/kugetsu cancel"))
    assert (answer.what, answer.why) == ("ignored", "no task is about github.com/team/tool#12")


async def test_what_makes_no_sense_now_is_ignored_with_the_reason(lab: HookLab) -> None:
    task = (await lab.github(said("/kugetsu go"))).task
    answer = await lab.github(said("/kugetsu answer yes", number=2))
    assert (answer.what, answer.task) == ("ignored", task)
    assert "asks nothing" in answer.why


async def test_a_question_is_answered_from_a_comment_and_a_second_time_is_no_second_answer(
    lab: HookLab, user: CommandLine
) -> None:
    user.script({"tool_calls": [tool("ask", question="both?")]}, {"tool_calls": [tool("ask", question="sure?")]})
    task = (await lab.github(said("/kugetsu go"))).task
    await do_all(lab)
    assert (await lab.tasks.show(task)).question == "both?"
    yes = said("/kugetsu answer yes", number=2)
    assert (await lab.github(yes)).what == "done"
    assert (await lab.github(yes)).what == "duplicate"
    await do_all(lab)
    assert (await lab.github(yes)).what == "duplicate"
    assert (await lab.tasks.show(task)).question == "sure?"


async def test_steering_reaches_a_task_once_even_across_a_restart(lab: HookLab) -> None:
    task = (await lab.github(said("/kugetsu go"))).task
    steer = said("/kugetsu steer use the other file", number=2)
    assert (await lab.github(steer)).what == "done"
    lab.restart()
    assert (await lab.github(steer)).what == "done"
    await do_all(lab)
    heard = [str(entry) for entry in await lab.tasks.session(task) if "use the other file" in str(entry)]
    assert len(heard) == 1


async def test_an_old_command_is_not_for_a_newer_task(lab: HookLab) -> None:
    task = (await lab.github(said("/kugetsu go"))).task
    old = await lab.github(said("/kugetsu cancel", at=time.time() - 120, number=2))
    assert (old.what, old.why) == ("ignored", f"it was said before task {task} was there")
    very_old = await lab.github(said("/kugetsu cancel", at=time.time() - 7200, number=3))
    assert very_old.why == "it was said 120 minutes ago: say it again"
    assert (await lab.tasks.show(task)).state == "pending"


class Ended:
    """A service whose only task was made at 1,000 and whose last run ended at 2,000. It cannot be controlled."""

    async def show(self, _task: str) -> TaskDetails:
        runs = (PastRun(1_100.0, 1_200.0), PastRun(1_900.0, 2_000.0))
        details = {"id": "t", "state": "waiting", "prompt": "p", "model": "m", "repo": "r"}
        return TaskDetails(**details, created_at=1_000.0, run_history=runs)  # type: ignore[arg-type]  # texts above


@pytest.mark.parametrize(
    ("verb", "at", "why"),
    [
        ("answer", 1_989.0, "it was said before task t asked"),
        ("retry", 1_500.0, "it was said before task t ended"),
        ("cancel", 989.0, "it was said before task t was there"),
        ("pause", -1_700.0, "it was said 65 minutes ago: say it again"),
    ],
)
async def test_a_comment_that_cannot_have_meant_the_task_as_it_is_does_nothing(verb: Verb, at: float, why: str) -> None:
    told = Told(event="comment", origin="github.com", repository="team/tool", number=1, said_at=at)
    answer = await obey(cast("TaskService", Ended()), told, Command(verb, "yes"), key="k", now=2_200.0)
    assert (answer.what, answer.task, answer.why) == ("ignored", "t", why)


async def test_gitea_gives_the_same_commands(lab: HookLab) -> None:
    task = (await lab.gitea(bodies.gitea_comment("/kugetsu go"))).task
    answer = await lab.gitea(bodies.gitea_comment("/kugetsu cancel", at=time.time()))
    assert answer.why == f"task {task} is cancelled"


class TestReplays:
    async def test_a_delivery_that_comes_again_starts_nothing_more(self, lab: HookLab) -> None:
        words = "/kugetsu go"
        for body in (
            bodies.issue_labelled(),
            bodies.issue_comment(words),
            bodies.review_comment(words),
            bodies.check_run(),
        ):
            first = await lab.github(body)
            assert first.what == "started"
            assert (await lab.github(body)).what == "duplicate"
            await lab.tasks.control(first.task, Cancel())
            lab.restart()
            again = await lab.github(body)
            assert (again.status, again.what, again.task) == (200, "duplicate", first.task)
        assert len(await lab.all()) == 4

    async def test_other_unsigned_headers_make_no_other_delivery(self, lab: HookLab) -> None:
        body = encoded(bodies.issue_comment("/kugetsu go"))
        for number, event in enumerate(["issue_comment", "", "pull_request_comment"]):
            headers = {**hub_headers(body, event), "x-github-delivery": f"guid-{number}"}
            await lab.hooks.take("hub", headers, body, "")
        assert len(await lab.all()) == 1

    async def test_a_generic_delivery_is_the_same_when_time_and_body_are(self, lab: HookLab, user: CommandLine) -> None:
        sent, now = {"prompt": "tidy up", "repo": str(user.repo)}, time.time()
        answers = [await lab.generic(sent, at) for at in (now, now, now - 5)]
        assert [answer.what for answer in answers] == ["started", "duplicate", "started"]
        assert answers[0].task == answers[1].task

    async def test_a_key_of_the_sender_counts_for_ever(self, lab: HookLab, user: CommandLine) -> None:
        sent, now = {"prompt": "tidy up", "repo": str(user.repo), "key": "nightly-1"}, time.time()
        answers = [await lab.generic(sent, at) for at in (now, now - 5)]
        assert [answer.what for answer in answers] == ["started", "duplicate"]

    async def test_one_key_for_two_jobs_is_told_to_the_sender(self, lab: HookLab, user: CommandLine) -> None:
        sent = {"prompt": "tidy up", "repo": str(user.repo), "key": "nightly-1"}
        await lab.generic(sent)
        with pytest.raises(StateConflictError, match="asked for another prompt"):
            await lab.generic({**sent, "prompt": "something else"})
