import asyncio
import logging
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kugetsu.config import LogLevel
from kugetsu.events import (
    EVENT_TYPES,
    CompactionFailed,
    ContextCompacted,
    ContextPruned,
    Event,
    Noted,
    ReplyFinished,
    TaskFinished,
    TaskHalted,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from kugetsu.logs import LEVELS, level_of
from kugetsu.messages import Usage
from kugetsu.tasks import Outcome
from logs.conftest import NOON, Journal

ALWAYS = ["time", "level", "event", "message", "task", "run", "turn", "shadow"]


def test_every_line_says_when_how_important_what_and_about_which_task_run_turn_and_shadow(
    journal: Journal, events: list[Event]
) -> None:
    lines = journal.note(*events, run=2)
    assert {type(event) for event in events} == set(EVENT_TYPES)
    assert len(lines) == len(events) - 3  # a turn that begins, and pieces of replies and outputs, have none
    for line in lines:
        assert list(line)[:8] == ALWAYS
        assert line["time"] == "2026-01-01T12:00:00.250Z"
        assert line["level"] in LEVELS
        assert (line["task"], line["run"], line["shadow"]) == ("k3f9abcdef", 2, "k3f9abcdef#2")
        assert line["message"]
        assert "\n" not in line["message"]
    assert [line["turn"] for line in lines] == [None, 3, 3, 3, *[4] * 17]


def test_what_changes_a_task_is_shown_by_default_and_its_turns_are_for_those_who_look_closer(
    journal: Journal, events: list[Event]
) -> None:
    shown = {line["event"]: line["level"] for line in journal.note(*events, level="info")}
    assert shown == {
        "task_started": "info",
        "task_resumed": "info",
        "task_moved": "info",
        "workspace_ready": "info",
        "message_delivered": "info",
        "model_retried": "warning",
        "question_asked": "info",
        "context_pruned": "info",
        "context_compacted": "info",
        "compaction_failed": "warning",
        "check_finished": "warning",
        "noted": "info",
        "events_dropped": "warning",
        "task_halted": "warning",
        "task_finished": "info",
    }


def test_a_halt_says_why_and_until_when(journal: Journal) -> None:
    outcome = Outcome("rate_limited", "the provider has no capacity")
    (line,) = journal.note(TaskHalted(state="waiting", outcome=outcome, available_at=NOON + 60))
    assert line["message"].startswith(
        "waiting (rate_limited): the provider has no capacity, again at 2026-01-01T12:01:00.250Z"
    )
    assert (line["state"], line["class"], line["until"]) == ("waiting", "rate_limited", "2026-01-01T12:01:00.250Z")


def test_the_end_says_what_all_turns_used_up(journal: Journal, events: list[Event]) -> None:
    line = journal.note(*events, level="info")[-1]
    assert line["message"] == "completed: after 4 turns [8,400 tokens, $0.0246, 0.000 s]"
    assert (line["input"], line["output"], line["cached"], line["usd"]) == (8000, 400, 2000, 0.0246)
    assert line["summary"] == "I\ndid it."


@pytest.mark.parametrize(
    ("event", "level"),
    [
        (TaskHalted(state="paused", outcome=Outcome("paused", "x")), "info"),
        (TaskHalted(state="paused", outcome=Outcome("loop", "x")), "warning"),
        (TaskHalted(state="pending", outcome=Outcome("interrupted", "x")), "info"),
        (TaskFinished(state="failed", outcome=Outcome("check_failed", "x"), summary=""), "warning"),
        (TaskFinished(state="failed", outcome=Outcome("internal", "x"), summary=""), "error"),
        (TaskFinished(state="cancelled", outcome=Outcome("cancelled", "x"), summary=""), "info"),
    ],
)
def test_ends_that_need_somebody_are_louder_than_those_that_somebody_asked_for(event: Event, level: LogLevel) -> None:
    assert level_of(event) == LEVELS[level]


def test_readable_lines_say_the_same(journal: Journal, events: list[Event]) -> None:
    journal.note(*events, run=2, level="info")
    at, later, used = "2026-01-01T12:00:00.250Z", "2026-01-01T13:00:00.250Z", "[8,400 tokens, $0.0246, 0.000 s]"
    assert journal.shown() == [
        f"{at} info    k3f9abcdef#2: started with scripted:demo on /repo: fix the parser",
        f"{at} info    k3f9abcdef#2 turn 3: goes on after turn 3 (run 2): the program was told to stop",
        f"{at} info    k3f9abcdef#2 turn 3: workspace ready on kugetsu/k3f9-fix from aaaaaaaaaa; submodules stay empty",
        f"{at} info    k3f9abcdef#2 turn 3: steering: use regular expressions",
        f"{at} warning k3f9abcdef#2 turn 4: the model is asked again in 2 s (rate_limited): slow down",
        f"{at} info    k3f9abcdef#2 turn 4: asks: Which one?",
        f"{at} info    k3f9abcdef#2 turn 4: 12 old texts made room: about 160,000 tokens are 80,000 now",
        f"{at} info    k3f9abcdef#2 turn 4: notes stand for turns 1 to 2: about 110,000 tokens are 30,000 now",
        f"{at} warning k3f9abcdef#2 turn 4: no notes on old turns: cheap/model wrote no notes",
        f"{at} warning k3f9abcdef#2 turn 4: check failed (exit code 2): 1 failed",
        f"{at} info    k3f9abcdef#2 turn 4: note: a hook failed",
        f"{at} warning k3f9abcdef#2 turn 4: 7 events came too fast",
        f"{at} warning k3f9abcdef#2 turn 4: waiting (budget): the day's money is used up, again at {later} {used}",
        f"{at} info    k3f9abcdef#2 turn 4: pending",
        f"{at} info    k3f9abcdef#2 turn 4: completed: after 4 turns {used}",
    ]


def test_what_took_turns_out_of_the_context_is_told_in_numbers_too(journal: Journal) -> None:
    compacted = ContextCompacted(4, 2, "cheap/model", Usage(9_000, 500, 100, 0.01), before=110_000, after=30_000)
    pruned, failed = ContextPruned(turn=4, texts=1, before=9_000, after=800), CompactionFailed(4, "a\nlong\nstory")
    first, second, third = journal.note(compacted, pruned, failed)
    assert {name: first[name] for name in list(first)[len(ALWAYS) :]} == {
        "through": 2,
        "before": 110_000,
        "after": 30_000,
        "model": "cheap/model",
        "input": 9_000,
        "output": 500,
        "cached": 100,
        "usd": 0.01,
    }
    assert (second["message"], second["texts"]) == ("1 old text made room: about 9,000 tokens are 800 now", 1)
    assert (third["message"], third["reason"]) == ("no notes on old turns: a long story", "a long story")


@pytest.mark.parametrize(
    ("through", "model", "said"),
    [
        (1, "cheap/model", "notes stand for turn 1: "),
        (7, "cheap/model", "notes stand for turns 1 to 7: "),
        (1, "", "turn 1 was taken out without notes: "),
        (7, "", "turns 1 to 7 were taken out without notes: "),
    ],
)
def test_a_compaction_says_which_turns_went_and_whether_there_are_notes(
    journal: Journal, through: int, model: str, said: str
) -> None:
    (line,) = journal.note(ContextCompacted(turn=9, through=through, model=model, usage=Usage(), before=9, after=5))
    assert line["message"] == f"{said}about 9 tokens are 5 now"
    assert line["model"] == (model or None)


def test_lines_on_the_stream_are_json_when_asked_for(journal: Journal) -> None:
    with journal.open(format="json") as log:
        log.say("serving", "working", slots=3)
    (line,) = [msgspec.json.decode(line) for line in journal.shown()]
    assert line == journal.kept()[0]
    assert (line["event"], line["message"], line["slots"], line["task"], line["shadow"]) == (
        "serving",
        "working",
        3,
        None,
        None,
    )


def test_a_traceback_is_kept_whole_and_its_last_line_is_the_message(journal: Journal) -> None:
    trace = 'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\nZeroDivisionError: division\n'
    with journal.open() as log:
        log.trouble(trace)
        log.task("k3f9abcdef", 1).take(Noted(task="k3f9abcdef", message=trace, at=NOON))
    outside, inside = journal.kept()
    assert (outside["level"], outside["message"]) == ("error", "ZeroDivisionError: division")
    assert outside["exception"] == trace
    assert (inside["message"], inside["text"]) == ("note: ZeroDivisionError: division", trace)
    assert "x.py" in journal.shown()[0]


def test_loggers_of_adapters_are_heard_and_know_their_task(journal: Journal) -> None:
    async def work(logger: logging.Logger) -> None:
        await asyncio.sleep(0)
        logger.info("fetched %s", "it", extra={"pack": {"bytes": 3}, "level": "x"})

    async def main() -> None:
        with journal.open() as log:
            ours, theirs = logging.getLogger("kugetsu.models.http"), logging.getLogger("aiohttp.client")
            async with asyncio.TaskGroup() as group:
                for number in (1, 2):
                    group.create_task(run(log.task(f"task{number}", number), ours))
            ours.debug("not now")
            theirs.info("not ever")
            # Past pytest's own handler, which does not forgive it.
            logging.getLogger().handlers[-1].handle(
                theirs.makeRecord("aiohttp", 30, "f", 1, "%d", ("no number",), None)
            )
            try:
                Path("/nowhere/at/all").read_bytes()
            except OSError:
                ours.exception("it broke")

    async def run(task: Any, logger: logging.Logger) -> None:
        task.take(TurnStarted(turn=task.where.run + 5))
        task.enter()
        await work(logger)

    asyncio.run(main())
    *fetched, strange, broken = journal.kept()
    assert [(line["shadow"], line["turn"], line["message"], line["source"]) for line in fetched] == [
        ("task1#1", 6, "fetched it", "kugetsu.models.http"),
        ("task2#2", 7, "fetched it", "kugetsu.models.http"),
    ]
    assert (fetched[0]["pack"], fetched[0]["level"], fetched[0]["level_"]) == ({"bytes": 3}, "info", "x")
    assert (strange["source"], strange["level"], strange["task"]) == ("aiohttp", "warning", None)
    assert "%d" in strange["message"]
    assert broken["message"] == "it broke: FileNotFoundError: [Errno 2] No such file or directory: '/nowhere/at/all'"
    assert "test_task_lines.py" in broken["exception"]


def test_an_error_that_ends_the_program_is_logged_and_raised(journal: Journal) -> None:
    with pytest.raises(ZeroDivisionError), journal.open():
        raise ZeroDivisionError("by zero")
    (line,) = journal.kept()
    assert (line["level"], line["event"]) == ("error", "program_failed")
    assert line["message"] == "the program ends: ZeroDivisionError: by zero"


def test_nothing_is_kept_when_the_file_is_switched_off(journal: Journal, tmp_path: Path) -> None:
    with journal.open(file_mb=0) as log:
        log.say("serving", "working")
    assert len(journal.shown()) == 1
    assert list(tmp_path.iterdir()) == []


def test_huge_texts_are_cut_and_do_not_wait_whole(journal: Journal) -> None:
    huge = "word " * 400_000
    events: list[Event] = [
        ToolStarted(turn=1, call_id="c", name="write", arguments='{"content":"' + huge + '"}'),
        ReplyFinished(turn=1, text=huge, calls=(), stop="end", usage=Usage(), seconds=0.1),
        Noted(message=huge),
        TurnFinished(turn=1, usage=Usage()),
        TaskFinished(state="completed", outcome=Outcome("completed", huge), summary=huge),
    ]
    journal.note(*events)
    assert max(map(len, journal.file.read_text().splitlines())) < 10_000


def test_a_strange_task_id_begins_no_second_line(journal: Journal) -> None:
    with journal.open() as log:
        log.task("k3\n2026 ERROR it\r\u2028is", 1).take(Noted(message="well", at=NOON))
    (line,) = [line for line in journal.shown() if "well" in line]
    assert "k3 2026 ERROR it is#1" in line
    assert len("\n".join(journal.shown()).splitlines()) == len(journal.shown())
