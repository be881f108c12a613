import json
from typing import Any

import msgspec
import pytest

from kugetsu.cli.views.phrases import call, phrase
from kugetsu.events import (
    EVENT_TYPES,
    CheckFinished,
    CompactionFailed,
    ContextCompacted,
    ContextPruned,
    Event,
    EventsDropped,
    MessageDelivered,
    Noted,
    QuestionAsked,
    ReplyFinished,
    TaskFinished,
    TaskHalted,
    TaskResumed,
    ToolFinished,
)
from kugetsu.messages import Usage
from kugetsu.tasks import CheckResult, Outcome


def compacted(through: int, by: str = "cheap/model") -> ContextCompacted:
    return ContextCompacted(turn=9, through=through, model=by, usage=Usage(9_000, 500), before=110_000, after=3_000)


def test_a_run_reads_like_a_story(events: list[Event]) -> None:
    assert [said for event in events if (said := phrase(event))] == [
        "started with scripted:demo: fix the parser",
        "branch kugetsu/k3f9abcdef-fix-the-parser from aaaaaaaaaa",
        "turn 1 retry in 2 s (rate_limited): 429",
        "turn 1 reply in 1.5s, 4.2k tokens: I will.",
        "turn 1 bash: pytest -q",
        "turn 1 bash failed in 2.0s: E no",
        "check: make test",
        "check failed (exit code 2): 1 failed",
        "failed (check_failed): it exited with 2",
    ]


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (MessageDelivered(origin="prompt", text="fix it"), ""),
        (MessageDelivered(origin="steering", text="stop\nthat"), "steering: stop that"),
        (MessageDelivered(origin="follow_up", text="more"), "follow-up: more"),
        (MessageDelivered(origin="notice", text="you go\nin circles"), "notice: you go in circles"),
        (Noted(message="a hook failed"), "note: a hook failed"),
        (
            ContextPruned(turn=9, texts=1, before=160_000, after=80_400),
            "1 old text made room: about 160k tokens are 80.4k now",
        ),
        (compacted(7), "notes stand for turns 1 to 7: about 110k tokens are 3.0k now"),
        (compacted(1), "notes stand for turn 1: about 110k tokens are 3.0k now"),
        (compacted(7, by=""), "turns 1 to 7 were taken out without notes: about 110k tokens are 3.0k now"),
        (compacted(1, by=""), "turn 1 was taken out without notes: about 110k tokens are 3.0k now"),
        (CompactionFailed(turn=9, message="m/x\nwrote no notes"), "no notes on old turns: m/x wrote no notes"),
        (TaskResumed(run=2, turn=7, reason="its worker died"), "goes on after turn 7 (run 2): its worker died"),
        (TaskResumed(run=2, turn=0, reason=""), "goes on after turn 0 (run 2): as it stood"),
        (QuestionAsked(turn=1, call_id="c", question="Which\none?"), "asks: Which one?"),
        (TaskHalted(state="waiting", outcome=Outcome("question", "Which one?")), "waiting (question): Which one?"),
        (TaskHalted(state="paused", outcome=Outcome("paused", "after turn 2")), "paused: after turn 2"),
        (
            TaskHalted(state="pending", outcome=Outcome("rate_limited", "429"), available_at=1_767_225_660.0),
            "pending (rate_limited): 429, again at 2026-01-01 00:01:00",
        ),
        (EventsDropped(count=1), "1 event came too fast to be shown"),
        (
            ToolFinished(turn=2, call_id="c", name="ls", is_error=False, seconds=0.5, preview="x", size=1),
            "turn 2 ls done in 0.5s",
        ),
        (
            ToolFinished(turn=2, call_id="c", name="ls", is_error=True, seconds=0.5, preview="a\nb\n", size=4),
            "turn 2 ls failed in 0.5s: b",
        ),
        (
            ReplyFinished(turn=1, text="", calls=(), stop="length", usage=Usage(), seconds=1),
            "turn 1 reply in 1.0s, 0 tokens, cut at its output limit",
        ),
        (
            ReplyFinished(turn=1, text="", calls=(), stop="aborted", usage=Usage(), seconds=1),
            "turn 1 reply in 1.0s, 0 tokens, cut short",
        ),
        (CheckFinished(result=CheckResult("x", passed=True, exit_code=0, output_tail="")), "check passed"),
        (
            CheckFinished(result=CheckResult("x", passed=False, exit_code=None, output_tail="")),
            "check failed (took too long)",
        ),
        (
            CheckFinished(result=CheckResult("x", passed=None, exit_code=None, output_tail="not run: why")),
            "check not run: why",
        ),
        (
            TaskFinished(state="completed", outcome=Outcome("completed", "all is well"), summary=""),
            "completed: all is well",
        ),
        (
            TaskFinished(state="cancelled", outcome=Outcome("cancelled", "by SIGINT"), summary=""),
            "cancelled: by SIGINT",
        ),
    ],
)
def test_each_kind_of_event_has_its_words(event: Event, said: str) -> None:
    assert phrase(event) == said


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({"command": "ls -la\necho done"}, "tool ls -la echo done"),
        ({"path": "src/a.py", "content": "x" * 5000}, "tool src/a.py"),
        ({"pattern": "def x", "path": "src"}, "tool def x in src"),
        ({"pattern": "*.py"}, "tool *.py"),
        ({"query": "weather"}, 'tool {"query": "weather"}'),
        ({"command": 5}, 'tool {"command": 5}'),
        ({}, "tool"),
        ([1], "tool [1]"),
    ],
)
def test_a_call_is_told_by_its_most_telling_argument(arguments: object, shown: str) -> None:
    assert call("tool", json.dumps(arguments)) == shown


@pytest.mark.parametrize(
    "arguments", ["", "{", '{"command": "x', "not json", '{"command":"\\ud800"}', '{"a":' + "[" * 9999]
)
def test_arguments_that_are_no_json_are_shown_as_they_are(arguments: str) -> None:
    assert call("bash", arguments).startswith("bash")


@pytest.mark.parametrize("kind", EVENT_TYPES)
def test_no_event_can_bring_escape_sequences_or_lines_along(kind: type[Event]) -> None:
    evil = "a\x1b]0;t\x07\x1b[2J\u202e\nb"
    samples: dict[str, Any] = {
        "str": evil,
        "int": 1,
        "float": 1.0,
        "bool": True,
        "origin": "steering",
        "stop": "end",
        "failure": "network",
        "state": "failed",
        "usage": Usage(),
        "calls": (evil,),
        "notes": (evil,),
        "result": CheckResult(evil, passed=False, exit_code=1, output_tail=evil),
        "outcome": Outcome("internal", evil),
    }
    values = {
        field.name: samples.get(field.name, samples.get(getattr(field.type, "__name__", ""), evil))
        for field in msgspec.structs.fields(kind)
    }
    said = phrase(kind(**values))
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "\n" not in said
