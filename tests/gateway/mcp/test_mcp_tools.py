"""What a model gets when it calls the tools, on a real store with real git."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import nullcontext

import pytest

from gateway.mcp.mcp_lab import ASKS, SLOW, WRITES, opened, refused, served, use, wait_for_state
from kugetsu.app.service import LocalTasks
from kugetsu.config import QueueSettings, Settings
from kugetsu.gateway.mcp import waiting
from kugetsu.gateway.mcp.calls import Call, do
from kugetsu.gateway.mcp.schemas import schema_of
from kugetsu.gateway.mcp.tools import TOOLS
from kugetsu.protocols import TaskDetails
from kugetsu.tasks import Limits
from support.command_line import CommandLine


@pytest.fixture
async def idle(user: CommandLine) -> AsyncIterator[Call]:
    """Nobody works on the queue."""
    user.make_repo({"a.txt": "a\n"})
    async with opened(user, Settings(queue=QueueSettings(most_pending=2))) as tasks:
        yield Call(service=tasks)


@pytest.fixture
async def busy(user: CommandLine) -> AsyncIterator[Call]:
    """A server works on the queue."""
    user.make_repo({"a.txt": "a\n"})
    async with served(user) as tasks:
        yield Call(service=tasks)


def job(user: CommandLine, *turns: object, **more: object) -> dict[str, object]:
    return {"prompt": "Write a note", "repo": str(user.repo), "model": user.script(*turns), **more}  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["kugetsu_submit", "pi_agent"])
async def test_a_task_is_accepted_at_once_and_says_what_comes_next(idle: Call, user: CommandLine, name: str) -> None:
    answer = await use(
        idle, name, **job(user, *WRITES, priority=7, subject="forge.example/a/b#1", reply_to={"target": "ops"})
    )
    assert (answer["state"], answer["priority"], answer["subject"]) == ("pending", 7, "forge.example/a/b#1")
    assert "kugetsu serve" in answer["next"]
    task = await idle.service.show(answer["id"])
    assert (task.prompt, task.reply_to) == ("Write a note", {"target": "ops"})


async def test_the_same_key_twice_is_one_task(idle: Call, user: CommandLine) -> None:
    first = await use(idle, "kugetsu_submit", **job(user, *WRITES, key="k"))
    again = await use(idle, "kugetsu_submit", **job(user, *WRITES, key="k"))
    assert (again["id"], again["known"], "known" in first) == (first["id"], True, False)


async def test_a_full_queue_says_when_to_come_again(idle: Call, user: CommandLine) -> None:
    for _ in range(2):
        await use(idle, "kugetsu_submit", **job(user, *WRITES))
    words = await refused(idle, "kugetsu_submit", **job(user, *WRITES))
    assert "try again in" in words


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("kugetsu_submit", {"prompt": "x", "colour": "red"}, "kugetsu_submit takes no `colour`"),
        ("kugetsu_submit", {"repo": "."}, "prompt"),
        ("kugetsu_submit", {"prompt": "x"}, "names no repository"),
        ("kugetsu_submit", {"prompt": "x", "repo": "/nowhere", "model": "scripted:/nothing"}, "nothing"),
        ("kugetsu_status", {"task": "nothing"}, "nothing"),
        ("kugetsu_status", {"states": ["lost"]}, "lost"),
        ("kugetsu_status", {"limit": 0}, "limit"),
        ("kugetsu_control", {"task": "x", "action": "explode"}, "explode"),
        ("kugetsu_control", {"task": "x", "action": "answer"}, "needs a `text`"),
        ("kugetsu_control", {"task": "x", "action": "priority"}, "needs a `priority`"),
        ("kugetsu_control", {"task": "x", "action": "cancel", "limits": {"turns": 3}}, "takes no `limits`"),
        ("kugetsu_delete", {}, "the tools are kugetsu_submit"),
    ],
)
async def test_what_cannot_be_done_is_refused_in_words(
    idle: Call, name: str, arguments: dict[str, object], words: str
) -> None:
    assert words in await refused(idle, name, **arguments)


async def test_numbers_as_text_and_null_for_what_may_be_left_out_are_accepted(idle: Call, user: CommandLine) -> None:
    answer = await use(idle, "kugetsu_submit", **job(user, *WRITES, priority="3", base=None, after=None))
    assert answer["priority"] == 3


async def test_a_task_without_a_name_lists_all_with_their_counts(idle: Call, user: CommandLine) -> None:
    first = await use(idle, "kugetsu_submit", **job(user, *WRITES))
    second = await use(idle, "kugetsu_submit", **job(user, *WRITES))
    newest = await use(idle, "kugetsu_status", limit=1)
    assert (newest["counts"], [task["id"] for task in newest["tasks"]]) == ({"pending": 2}, [second["id"]])
    older = await use(idle, "kugetsu_status", limit=1, before=newest["older"])
    assert ([task["id"] for task in older["tasks"]], "older" in older) == ([first["id"]], False)
    assert "tasks" not in await use(idle, "kugetsu_status", states=["completed"])


async def test_a_result_has_branch_commits_check_and_diff(busy: Call, user: CommandLine) -> None:
    task = await use(busy, "kugetsu_submit", **job(user, *WRITES, check="test -f note.txt"), wait_seconds=20)
    assert task["state"] == "completed"
    result = await use(busy, "kugetsu_result", task=task["id"])
    assert (result["check"], result["commit_count"], result["files_changed"]) == ("passed", 1, 1)
    assert "+hello" in result["diff"]
    assert result["branch"] in result["next"]
    text = (await do(TOOLS, "kugetsu_result", {"task": task["id"]}, nullcontext(busy))).text
    assert "The note is there." in text
    assert "+hello" in text


async def test_a_long_diff_is_cut_and_says_how_long_it_is(busy: Call, user: CommandLine) -> None:
    task = await use(busy, "kugetsu_submit", **job(user, *WRITES), wait_seconds=20)
    whole = await use(busy, "kugetsu_result", task=task["id"])
    short = await use(busy, "kugetsu_result", task=task["id"], diff_characters=20)
    assert (short["diff"], short["diff_size"]) == (whole["diff"][:20], len(whole["diff"]))
    text = (await do(TOOLS, "kugetsu_result", {"task": task["id"], "diff_characters": 20}, nullcontext(busy))).text
    assert "more characters of the diff" in text
    assert "diff" not in await use(busy, "kugetsu_result", task=task["id"], diff_characters=0)


async def test_a_question_is_shown_and_answered(busy: Call, user: CommandLine) -> None:
    task = await use(busy, "kugetsu_submit", **job(user, *ASKS), wait_seconds=20)
    assert (task["state"], task["question"]) == ("waiting", "Which colour?")
    assert "kugetsu_control" in task["next"]
    await use(busy, "kugetsu_control", task=task["id"], action="answer", text="blue")
    result = await use(busy, "kugetsu_result", task=task["id"], wait_seconds=20)
    assert (result["state"], result["summary"]) == ("completed", "It is blue.")


async def test_a_task_can_be_paused_resumed_moved_cancelled_and_tried_again(idle: Call, user: CommandLine) -> None:
    task = (await use(idle, "kugetsu_submit", **job(user, *WRITES)))["id"]

    async def control(action: str, **more: object) -> str:
        state: str = (await use(idle, "kugetsu_control", task=task, action=action, **more))["state"]
        return state

    assert await control("pause", text="not now") == "paused"
    assert await control("resume", limits={"turns": 9}) == "pending"
    assert (await idle.service.show(task)).limits.turns == 9
    assert await control("priority", priority=5) == "pending"
    assert (await idle.service.show(task)).priority == 5
    assert await control("steer", text="make it short") == "pending"
    assert await control("cancel", text="no longer needed") == "cancelled"
    assert "steer" not in await refused(idle, "kugetsu_control", task=task, action="pause")
    assert await control("retry") == "pending"


async def test_waiting_is_bounded_and_tells_progress(
    busy: Call, user: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MOST_WAIT", 0.5)
    heard: list[tuple[float, float, str]] = []

    async def progress(passed: float, may: float, words: str) -> None:
        heard.append((passed, may, words))

    call = Call(service=busy.service, progress=progress)
    began = time.monotonic()
    task = await use(call, "kugetsu_submit", **job(user, *SLOW), wait_seconds=3600)
    assert time.monotonic() - began < 15
    assert task["state"] in {"pending", "running"}
    assert heard[0][0] <= heard[-1][0] <= heard[0][1] == 0.5
    await wait_for_state(call, task["id"], "running")


async def test_a_call_for_which_there_is_no_place_to_wait_answers_at_once(busy: Call, user: CommandLine) -> None:
    task = await use(busy, "kugetsu_submit", **job(user, *SLOW))
    places = waiting.Places(1)
    call = Call(service=busy.service, places=places)
    async with asyncio.timeout(10):
        with places.one():
            await use(call, "kugetsu_result", task=task["id"], wait_seconds=30)
    began = time.monotonic()
    await use(call, "kugetsu_result", task=task["id"], wait_seconds=0.4)
    assert time.monotonic() - began >= 0.4


async def test_whoever_waits_is_answered_as_soon_as_there_are_no_more_places(busy: Call, user: CommandLine) -> None:
    task = await use(busy, "kugetsu_submit", **job(user, *SLOW))
    places = waiting.Places()
    call = Call(service=busy.service, places=places)
    async with asyncio.timeout(15), asyncio.TaskGroup() as group:
        asking = group.create_task(use(call, "kugetsu_result", task=task["id"], wait_seconds=30))
        await asyncio.sleep(0.3)  # whether it waits already or will, it is answered
        places.close()
        places.close()
        assert (await asking)["id"] == task["id"]
        await use(call, "kugetsu_result", task=task["id"], wait_seconds=30)


async def test_nobody_waits_for_a_task_that_nobody_works_on(idle: Call, user: CommandLine) -> None:
    began = time.monotonic()
    await use(idle, "kugetsu_submit", **job(user, *WRITES), wait_seconds=30)
    assert time.monotonic() - began < 15


async def test_the_logs_tell_what_the_agent_did(busy: Call, user: CommandLine) -> None:
    task = await use(busy, "kugetsu_submit", **job(user, *WRITES), wait_seconds=20)
    logs = await use(busy, "kugetsu_logs", task=task["id"])
    assert any("write" in line and "note.txt" in line for line in logs["events"])
    last = await use(busy, "kugetsu_logs", task=task["id"], limit=1)
    assert (len(last["events"]), last["earlier"]) == (1, len(logs["events"]) - 1)


@pytest.mark.parametrize(
    ("scope", "name", "arguments"),
    [
        ("submit", "kugetsu_submit", {"prompt": "x"}),
        ("submit", "pi_agent", {"prompt": "x"}),
        ("read", "kugetsu_status", {}),
        ("read", "kugetsu_result", {"task": "x"}),
        ("read", "kugetsu_logs", {"task": "x"}),
        ("control", "kugetsu_control", {"task": "x", "action": "cancel"}),
    ],
)
async def test_each_tool_needs_its_scope(idle: Call, scope: str, name: str, arguments: dict[str, object]) -> None:
    others = frozenset({"submit", "read", "control"}) - {scope}
    words = await refused(Call(service=idle.service, scopes=others), name, **arguments)  # type: ignore[arg-type]  # scopes
    assert f"the scope `{scope}`" in words


async def test_who_is_no_admin_cannot_pass_the_limits_of_the_settings(idle: Call, user: CommandLine) -> None:
    task = (await use(idle, "kugetsu_submit", **job(user, *WRITES)))["id"]
    for scopes, turns in (({"control"}, 200), ({"admin"}, 5000)):
        call = Call(service=idle.service, scopes=frozenset(scopes), limits=Limits(turns=200))  # type: ignore[arg-type]
        await use(call, "kugetsu_control", task=task, action="pause")
        await use(call, "kugetsu_control", task=task, action="resume", limits={"turns": 5000})
        assert (await idle.service.show(task)).limits.turns == turns


class Broken(LocalTasks):
    """Has a fault that nobody thought of."""

    async def show(self, task: str) -> TaskDetails:
        raise ValueError(f"the secret of {task}")


async def test_a_fault_of_ours_is_an_answer_too_and_stands_in_the_log(
    idle: Call, caplog: pytest.LogCaptureFixture
) -> None:
    assert isinstance(idle.service, LocalTasks)
    words = await refused(Call(service=Broken(idle.service._house)), "kugetsu_status", task="abc")
    assert "secret" not in words
    assert "the secret of abc" in caplog.text


def test_every_tool_describes_all_that_it_takes_without_costing_a_model_much() -> None:
    for tool in TOOLS.values():
        schema = schema_of(tool.arguments)
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert all(field.get("description") for field in schema["properties"].values()), tool.name
    size = sum(len(str(schema_of(tool.arguments))) + len(tool.description) for tool in TOOLS.values())
    assert size < 12_000
