"""The model that writes notes on old turns: refused when it cannot be used, and in nobody's way when it has no capacity."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kugetsu.agent import Hooks
from kugetsu.app import desk
from kugetsu.app.doctor import Finding, examine
from kugetsu.app.house import House
from kugetsu.config import CompactionSettings, ModelSettings, ProviderSettings, RetrySettings, Settings
from kugetsu.errors import ConfigError, MissingKeyError
from kugetsu.events import CompactionFailed, ContextCompacted, Event
from kugetsu.rehearsal import Script, ScriptedCall, ScriptedTurn
from kugetsu.sessions import Compacted, Session
from kugetsu.testing import Fault, ScriptedServer
from support.command_line import CommandLine

KEY = "sk-canary-4242424242"
NOTES = "## Done\n- by the model for notes"
UNUSABLE = {
    "nosuch/m": "unknown provider|nosuch",
    "keyless/m": "NOTES_KEY",
    "broken/m": "BROKEN_KEY",
    "justaname": "no name of a model",
    "scripted:/nowhere/notes.yaml": "/nowhere/notes.yaml",
}
PROVIDERS = {
    "keyless": ProviderSettings(base_url="http://127.0.0.1:9/v1", api_key_env="NOTES_KEY"),
    "broken": ProviderSettings(base_url="http://127.0.0.1:9/v1", api_key_env="BROKEN_KEY"),
}


def settings_with(model: str, user: CommandLine) -> Settings:
    return Settings(
        model=user.script({"text": "done"}), compaction=CompactionSettings(model=model), providers=PROVIDERS
    )


@pytest.fixture(autouse=True)
def broken_key(user: CommandLine) -> None:
    user.environ["BROKEN_KEY"] = f"{KEY}\n{KEY}"


@pytest.fixture
def repo(user: CommandLine) -> Path:
    return user.make_repo({"a.txt": "a\n"})


@pytest.mark.parametrize(("model", "words"), UNUSABLE.items())
async def test_one_that_cannot_be_used_is_refused_by_its_setting_before_anything_starts(
    user: CommandLine, repo: Path, model: str, words: str
) -> None:
    async with House(settings_with(model, user), user.home, user.environ) as house:
        task = house.task(str(repo), "do it")
        for refuse in (house.verify, lambda: house.require_runnable(task), lambda: house.shadow(task)):
            with pytest.raises(ConfigError, match=words) as refused:
                refuse()
            assert refused.value.message.startswith("`compaction.model`: ")
            assert KEY not in str(refused.value)


async def test_a_key_that_only_the_worker_needs_keeps_nobody_from_submitting(user: CommandLine, repo: Path) -> None:
    async with House(settings_with("keyless/m", user), user.home, user.environ) as house:
        with pytest.raises(MissingKeyError):
            house.verify()
        task = house.task(str(repo), "do it", queued=True)
        assert (await desk.submit(house, task)).created
        with pytest.raises(ConfigError, match="compaction"):
            await desk.resume(house, task.id)
    async with House(settings_with("keyless/m", user), user.home, {**user.environ, "NOTES_KEY": "k"}) as house:
        house.verify()
        report = await house.worker.run(await desk.resume(house, task.id))
        assert report.state == "completed"


async def test_a_cancelled_task_needs_nobody_to_write_notes(user: CommandLine, repo: Path) -> None:
    async with House(settings_with("nosuch/m", user), user.home, user.environ) as house:
        task = house.task(str(repo), "do it")
        house.parts(task, Hooks(), silent=True)
        with pytest.raises(ConfigError):
            house.parts(task, Hooks())


async def finding(user: CommandLine, settings: Settings) -> list[Finding]:
    return [each for each in await examine(settings, user.environ) if each.name == "compaction.model"]


@pytest.mark.parametrize(("model", "words"), UNUSABLE.items())
async def test_the_doctor_names_one_that_cannot_be_used(user: CommandLine, model: str, words: str) -> None:
    (found,) = await finding(user, settings_with(model, user))
    assert found.status == "missing"
    assert any(word in found.detail for word in words.split("|"))
    assert KEY not in f"{found.detail} {found.fix}"


async def test_the_doctor_says_what_one_is_for_and_nothing_where_there_is_none(user: CommandLine) -> None:
    (found,) = await finding(user, Settings(compaction=CompactionSettings(model="ollama/small")))
    assert (found.status, found.detail) == ("ok", "ollama/small writes the notes that stand for old turns")
    assert await finding(user, Settings()) == []


STEPS = tuple(
    ScriptedTurn(
        text=f"Step {number}. " + "I thought about it for long, and wrote it down. " * 70,
        tool_calls=(ScriptedCall("bash", {"command": f"seq {number}000 {number}200"}),),
    )
    for number in range(1, 14)
)


class Lab:
    """A house with a model of a small window, and another provider whose model writes the notes."""

    def __init__(self, house: House, repo: Path, notes: ScriptedServer) -> None:
        self.house = house
        self.notes = notes
        self._repo = repo

    async def do(self, *models: str) -> list[list[Event]]:
        """Let the queue's worker do one task with each model, all at once; what happened in each."""
        tasks = [self.house.task(str(self._repo), "do it", model=model, queued=True) for model in models]
        for task in tasks:
            await desk.submit(self.house, task)
        async with asyncio.timeout(30):
            await self.house.worker.serve(
                self.house.shadow_of, room=lambda running: 4 - running, limits=self.house.limits, until_idle=True
            )
        found = []
        for task in tasks:
            record = await self.house.store.find(task.id)
            assert (record.state, record.runs) == ("completed", 1), record.report.outcome
            found.append(await self.house.store.events(task.id))
        return found


@asynccontextmanager
async def lab(user: CommandLine, repo: Path, notes: dict[int, Fault], fallback: str = "") -> AsyncIterator[Lab]:
    written = Script((), (ScriptedTurn(text=NOTES),) * 9)
    async with (
        ScriptedServer(Script(STEPS, (ScriptedTurn(text="by the fallback"),) * 9), order="conversation") as own,
        ScriptedServer(written, faults=notes) as other,
    ):
        settings = Settings(
            compaction=CompactionSettings(model="notes/n"),
            fallback=fallback,
            retry=RetrySettings(base_seconds=0.001, park_seconds=1.0),
            providers={
                "own": ProviderSettings(base_url=own.base_url, models={"m": ModelSettings(16_000, 2_000)}),
                "spare": ProviderSettings(base_url=own.base_url),
                "notes": ProviderSettings(base_url=other.base_url),
            },
        )
        async with House(settings, user.home, user.environ) as house:
            house.verify()
            yield Lab(house, repo, other)


LIMITED = Fault("status", 429, {"retry-after": "3600"})


async def test_notes_are_written_by_the_model_of_the_setting(user: CommandLine, repo: Path) -> None:
    async with lab(user, repo, {}) as house:
        (events,) = await house.do("own/m")
        compacted = [event for event in events if isinstance(event, ContextCompacted)]
        assert [event.model for event in compacted] == ["notes/n"] * len(house.notes.requests)
        assert compacted
        assert all(request.body["model"] == "n" for request in house.notes.requests)
        entries = [line.entry for line in await house.house.store.session(events[0].task)]
        assert [entry.summary.text for entry in entries if isinstance(entry, Compacted)] == [NOTES] * len(compacted)
        assert Session(entries).through == compacted[-1].through


async def test_without_capacity_it_keeps_no_task_from_running_or_starting(user: CommandLine, repo: Path) -> None:
    async with lab(user, repo, {0: LIMITED}) as house:
        (events,) = await house.do("own/m")
        assert any(isinstance(event, CompactionFailed) and "429" in event.message for event in events)
        assert house.house.limits().closed == frozenset(), "nobody waits for it"
        (events,) = await house.do("own/m")
        failed = [event for event in events if isinstance(event, CompactionFailed)]
        assert failed
        assert all("notes/n" in event.message for event in failed)
        assert len(house.notes.requests) == 1, "it is left alone as long as it asked for"


async def test_in_the_foreground_nobody_waits_for_it_either(user: CommandLine, repo: Path) -> None:
    async with lab(user, repo, {0: Fault("status", 429, {"retry-after": "60"})}) as house:
        shadow = house.house.shadow(house.house.task(str(repo), "do it", model="own/m"))
        feed = shadow.feed.subscribe()
        async with asyncio.timeout(20):
            report = await house.house.worker.run(shadow)
        failed = [event async for event in feed if isinstance(event, CompactionFailed)]
        assert (report.state, len(failed) > 1, len(house.notes.requests)) == ("completed", True, 1)


async def test_while_it_has_no_capacity_the_fallback_writes(user: CommandLine, repo: Path) -> None:
    async with lab(user, repo, {0: LIMITED}, fallback="spare/s") as house:
        (events,) = await house.do("own/m")
        compacted = [event for event in events if isinstance(event, ContextCompacted)]
        assert compacted
        assert {event.model for event in compacted} == {"spare/s"}
        assert house.house.limits().closed == frozenset()
