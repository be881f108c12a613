"""Tasks whose conversation outgrew the window of their model, as a user meets them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from kugetsu.rehearsal import parse_script
from kugetsu.testing import ScriptedServer
from kugetsu.testing.playbook import Order
from support.command_line import CommandLine, Done, tool

LAST = 12
"""Turns with a call; the window holds about five of them."""

SETTINGS = """
[compaction]
model = "lab/cheap"
[providers.lab]
base_url = "{url}"
[providers.lab.models.m]
context_window = 16000
max_output = 2000
"""


def step(number: int) -> dict[str, Any]:
    """A turn of about 1,800 tokens, most of them words that no pruning leaves out."""
    words = f"Step {number}. " + f"I thought about step {number} for long, and wrote it down. " * 60
    command = f"echo {number} >> steps.txt; seq {number}000 {number}200"
    return {"text": words, "tool_calls": [tool("bash", command=command)], "usage": {"input": 1_000, "output": 100}}


STEPS = [*(step(number) for number in range(1, LAST + 1)), {"text": "All steps done."}]


class Lab:
    """A user whose model has a small window."""

    def __init__(self, user: CommandLine, server: ScriptedServer) -> None:
        self.user = user
        self.server = server

    async def kugetsu(self, *arguments: str) -> Done:
        done = await asyncio.to_thread(self.user.run, *arguments)
        assert done.code == 0, done.stderr
        return done

    async def do(self) -> dict[str, Any]:
        """The report of the task, done."""
        done = await self.kugetsu("run", "Take all steps", "--repo", str(self.user.repo), "--model", "lab/m", "--json")
        report: dict[str, Any] = done.json()
        assert (report["state"], report["turns"]) == ("completed", LAST + 1)
        return report

    async def heads(self, *arguments: str) -> list[str]:
        """The titles in a conversation."""
        shown = (await self.kugetsu("logs", *arguments)).stdout.splitlines()
        assert all(len(line) < 80 for line in shown if line.startswith("── "))
        return [line.strip("─ ").partition(": lab/")[0] for line in shown if line.startswith("── ")]

    async def compacted(self, task: str) -> list[dict[str, Any]]:
        """What happened to its conversation."""
        lines = (await self.kugetsu("logs", task, "--json")).stdout.splitlines()
        events: list[dict[str, Any]] = [json.loads(line) for line in lines]
        found = [event for event in events if event["type"] == "context_compacted"]
        assert found
        for event in found:
            assert event["model"] == "lab/cheap"
            assert event["after"] < event["before"] - 2_000
            assert 2 < event["through"] < event["turn"]
        return found

    def steps(self, report: dict[str, Any]) -> list[int]:
        """What the task's branch says was done."""
        return [int(line) for line in self.user.git("show", f"{report['branch']}:steps.txt").split()]

    def asked(self, number: int) -> str:
        """What the model was sent in a request, as JSON."""
        return json.dumps(self.server.requests[number].body)


def turns_in(heads: list[str]) -> list[int]:
    return [int(head.removeprefix("turn ")) for head in heads if head.removeprefix("turn ").isdigit()]


OpenLab = Callable[..., AbstractAsyncContextManager[Lab]]


@pytest.fixture
def open_lab(user: CommandLine) -> OpenLab:
    user.make_repo({"a.txt": "a\n"})

    @asynccontextmanager
    async def opened(*more: dict[str, Any], order: Order = "conversation") -> AsyncIterator[Lab]:
        notes = [{"text": f"## Done\n- notes no. {n}", "usage": {"input": 70, "output": 7}} for n in range(1, 30)]
        script = parse_script({"turns": [*STEPS, *more], "summaries": notes})
        async with ScriptedServer(script, order=order) as server:
            file = user.directory / ".config" / "kugetsu" / "kugetsu.toml"
            file.parent.mkdir(parents=True)
            file.write_text(SETTINGS.format(url=server.base_url))
            yield Lab(user, server)

    return opened


async def test_what_was_taken_out_is_told_counted_and_still_there(open_lab: OpenLab) -> None:
    async with open_lab() as lab:
        report = await lab.do()
        task = report["id"]
        first, *_, last = compacted = await lab.compacted(task)
        asked = [request.body["model"] for request in lab.server.requests]
        assert asked.count("cheap") == len(compacted) > 1
        assert "Step 1." not in lab.asked(-1)
        used = {"input": LAST * 1_000 + len(compacted) * 70, "output": LAST * 100 + len(compacted) * 7}
        assert {name: report["usage"][name] for name in used} == used
        assert f"tokens      {used['input']:,} in, {used['output']:,} out" in (await lab.kugetsu("show", task)).stdout
        told = (await lab.kugetsu("logs", task)).stdout
        assert f"notes stand for turns 1 to {first['through']}: about 1" in told
        assert f"notes stand for turns 1 to {last['through']}: about 1" in told
        heads = await lab.heads(task, "--session")
        assert heads[:2] == ["user", "summary of what was taken out"]
        assert turns_in(heads) == list(range(last["through"] + 1, LAST + 2))
        heads = await lab.heads(task, "--full")
        assert turns_in(heads) == list(range(1, LAST + 2))
        place = heads.index(f"turns 1 to {first['through']} were taken out: this stands for them now")
        assert heads[place + 1 : place + 3] == ["notes by lab/cheap (70 in, 7 out)", f"turn {first['turn'] + 1}"]


async def test_a_task_goes_back_to_before_its_turns_were_taken_out(open_lab: OpenLab) -> None:
    async with open_lab(*STEPS[2:], order="sequence") as lab:
        task = (await lab.do())["id"]
        requests = len(lab.server.requests)
        await lab.kugetsu("rewind", task, "--turn", "2")
        assert await lab.heads(task, "--session") == ["user", "turn 1", "result of bash", "turn 2", "result of bash"]
        shown = (await lab.kugetsu("show", task, "--json")).json()
        assert (Path(shown["worktree"]) / "steps.txt").read_text() == "1\n2\n"
        report = (await lab.kugetsu("resume", task, "--json")).json()
        assert (report["state"], report["turns"]) == ("completed", 2 * LAST)
        again = lab.asked(requests)
        assert [words in again for words in ("Step 1.", "2001", "notes no.")] == [True, True, False]
        assert lab.steps(report) == list(range(1, LAST + 1))
        last = (await lab.compacted(task))[-1]
        heads = await lab.heads(task, "--session")
        assert turns_in(heads) == list(range(last["through"] + 1, 2 * LAST + 1))
        # Into what was taken out since: turns 3 to 13 count no longer, and their numbers are not used again.
        await lab.kugetsu("rewind", task, "--turn", str(LAST + 3))
        heads = await lab.heads(task, "--session")
        assert turns_in(heads) == [1, 2, LAST + 2, LAST + 3]
        assert "summary of what was taken out" not in heads


async def test_a_fork_begins_with_what_its_turn_saw(open_lab: OpenLab) -> None:
    async with open_lab() as lab:
        task = (await lab.do())["id"]
        first = (await lab.compacted(task))[0]
        for turn in (2, first["turn"], first["turn"] + 1):
            forked = (await lab.kugetsu("fork", task, "--turn", str(turn), f"Otherwise {turn}", "--json")).json()
            assert (forked["state"], forked["turns"]) == ("completed", LAST + 1 - turn)
            begun = next(
                text
                for number, request in enumerate(lab.server.requests)
                if request.body["model"] == "m" and f"Otherwise {turn}" in (text := lab.asked(number))
            )
            assert ("notes no. 1" in begun) == (turn > first["turn"])
            assert lab.steps(forked) == list(range(1, LAST + 1))


async def test_a_task_that_is_over_goes_on_from_its_summary(open_lab: OpenLab) -> None:
    async with open_lab({"text": "More is done."}) as lab:
        before = (await lab.do())["id"]
        through = (await lab.compacted(before))[-1]["through"]
        task = (await lab.kugetsu("continue", before, "And more", "--json")).json()["id"]
        await lab.kugetsu("serve", "--until-idle")
        done = (await lab.kugetsu("show", task, "--json")).json()
        assert (done["state"], done["summary"]) == ("completed", "More is done.")
        seen = lab.asked(-1)
        assert [words in seen for words in ("Take all steps", "notes no. ", "Step 1.")] == [True, True, False]
        heads = await lab.heads(task, "--session")
        assert heads[:3] == ["user", "summary of what was taken out", f"turn {through + 1}"]
        assert heads[-2:] == ["user, follow-up", f"turn {LAST + 2}"]


def test_a_model_for_notes_that_cannot_be_used_is_refused_before_any_work(user: CommandLine) -> None:
    repo = user.make_repo({"a.txt": "a\n"})
    user.environ["KUGETSU_COMPACTION_MODEL"] = "nosuch/cheap"
    task = ["it", "--repo", str(repo), "--model", user.script({"text": "done"})]
    for command in (["serve", "--until-idle"], ["run", *task], ["submit", *task]):
        done = user.run(*command)
        assert (done.code, done.stdout) == (2, "")
        assert "`compaction.model`: unknown provider 'nosuch'" in done.stderr
    assert user.tasks() == []
