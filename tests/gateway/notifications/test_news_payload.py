"""What news say: to programs, and to people."""

import json
from typing import Any

import msgspec
import pytest

from kugetsu.gateway.notifications.payload import event_of, payload_of, reply_to_of, with_delivery
from kugetsu.gateway.notifications.wording import MOST_UNITS, cut
from kugetsu.logs import Redactor
from kugetsu.messages import Usage
from kugetsu.protocols import Change
from kugetsu.tasks import CheckResult, Commit, Outcome, Task, TaskReport
from tasks.task_lab import a_task

NOW = 1_700_000_000.0
SECRET = "a-secret-of-mine-123"

DONE = TaskReport(
    id="k3f9",
    state="completed",
    prompt="Mend the parser\nand more",
    model="m/m",
    repo="/srv/my app",
    summary="I mended it.\nTwo tests were wrong.",
    branch="kugetsu/k3f9-mend",
    base="b" * 40,
    commits=(Commit("c" * 40, "Mend"), Commit("d" * 40, "Test")),
    files_changed=3,
    check=CheckResult("make test", True, 0, ""),
    turns=12,
    usage=Usage(cost_usd=0.42),
    seconds=125.4,
    subject="github.com/o/r#7",
)


def a_change(state: str = "completed", **fields: Any) -> Change:
    return Change(**{"id": 1, "task": "k3f9", "at": NOW, "state": state, **fields})


def made(change: Change, report: TaskReport = DONE, task: Task | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(payload_of(change, task or a_task("k3f9"), report, Redactor([SECRET])))
    return found


def lines(change: Change, report: TaskReport = DONE, *, chat: bool = False) -> list[str]:
    text: str = made(change, report, a_task("k3f9", **(CHAT if chat else {})))["text"]
    return text.split("\n")


CHAT: dict[str, Any] = {"reply_to": {"target": "hermes", "platform": "telegram", "chat_id": "42"}}


def test_every_field_is_there_by_its_name() -> None:
    outcome = Outcome("completed", "all is well")
    body = json.loads(
        with_delivery(payload_of(a_change(outcome=outcome), a_task("k3f9", **CHAT), DONE, Redactor()), "7")
    )
    assert body == {
        "event_type": "task.completed",
        "created_at": "2023-11-14T22:13:20.000+00:00",
        "id": "k3f9",
        "state": "completed",
        "class": "completed",
        "message": "all is well",
        "question": "",
        "summary": "I mended it.\nTwo tests were wrong.",
        "prompt": "Mend the parser\nand more",
        "repo": "/srv/my app",
        "branch": "kugetsu/k3f9-mend",
        "subject": "github.com/o/r#7",
        "commits": 2,
        "files_changed": 3,
        "check": "passed",
        "usd": 0.42,
        "seconds": 125.4,
        "text": body["text"],
        "reply_to": {"target": "hermes", "platform": "telegram", "chat_id": "42", "thread_id": ""},
        "delivery": "7",
    }


def test_a_result_says_what_there_is_and_how_to_get_it() -> None:
    assert lines(a_change(outcome=Outcome("completed", "done"))) == [
        "Task k3f9 (github.com/o/r#7) completed: Mend the parser and more",
        "I mended it.",
        "Two tests were wrong.",
        "Branch kugetsu/k3f9-mend: 2 commits, 3 files changed; the check passed.",
        "2 min 5 s, 12 turns, $0.42.",
        "See it: kugetsu diff k3f9. Get it: git -C '/srv/my app' merge kugetsu/k3f9-mend",
    ]


def test_a_question_says_how_to_answer_it_from_the_chat_and_from_a_shell() -> None:
    change = a_change("waiting", question="Which\ndialect?", outcome=Outcome("question", "Which dialect?"))
    assert event_of(change) == made(change)["event_type"] == "task.question"
    assert lines(change, chat=True) == [
        "Task k3f9 (github.com/o/r#7) has a question: Mend the parser and more",
        "Which",
        "dialect?",
        "Answer in this chat: /kugetsu answer k3f9 YOUR ANSWER",
        "Answer in a shell: kugetsu answer k3f9 'YOUR ANSWER'",
    ]
    assert not any("chat" in line for line in lines(change))


def test_a_failure_says_why_and_what_next() -> None:
    change = a_change("failed", outcome=Outcome("check_failed", "`make test` failed"))
    report = msgspec.structs.replace(DONE, check=CheckResult("make test", False, 2, "boom"))
    found = lines(change, report, chat=True)
    assert found[1] == "check_failed: `make test` failed"
    assert found[2].endswith("; the check FAILED.")
    assert found[-1] == "Look: kugetsu show k3f9. Try again: /kugetsu retry k3f9, or kugetsu retry k3f9"
    assert made(change, report)["check"] == "failed"


def test_a_pause_says_why_and_how_to_go_on() -> None:
    found = lines(a_change("paused", outcome=Outcome("money_limit", "10 USD are spent")))
    assert found[0].startswith("Task k3f9 (github.com/o/r#7) is paused: ")
    assert found[1] == "money_limit: 10 USD are spent"
    assert found[-1] == "Let it go on: kugetsu resume k3f9"


def test_a_wait_for_a_time_says_until_when() -> None:
    change = a_change("waiting", outcome=Outcome("rate_limited", "too many requests", until=NOW))
    assert event_of(change) == "task.waiting"
    assert lines(change)[1:] == ["rate_limited: too many requests", "It goes on by itself, about 2023-11-14 22:13 UTC."]


def test_a_task_that_changed_nothing_says_so() -> None:
    report = TaskReport(id="k3f9", state="completed", prompt="Look", model="m", repo="/r", summary="All is well.")
    assert lines(a_change(), report)[1:] == ["All is well.", "Nothing was changed."]


def test_a_url_is_no_place_to_merge_in() -> None:
    report = msgspec.structs.replace(DONE, repo="https://user:pw@host/o/r?token=x")
    assert lines(a_change(), report)[-1] == "See it: kugetsu diff k3f9"
    assert made(a_change(), report)["repo"] == "https://***@host/o/r?***"


@pytest.mark.parametrize("state", ["pending", "running", "cancelled"])
def test_every_state_has_words(state: str) -> None:
    assert lines(a_change(state))[0].startswith("Task k3f9")


def test_a_task_that_cannot_be_read_has_news_all_the_same() -> None:
    body = json.loads(payload_of(a_change("failed", outcome=Outcome("internal", "damaged")), None, None, Redactor()))
    assert (body["id"], body["message"], body["reply_to"]["platform"]) == ("k3f9", "damaged", "")
    assert "internal: damaged" in body["text"]


def test_no_secret_and_nothing_that_a_terminal_obeys_is_in_them() -> None:
    nasty = f"the key is {SECRET}, sk-ant-{'x' * 40}\x1b[31m\x00\u202e end"
    report = msgspec.structs.replace(DONE, summary=nasty, prompt=nasty, branch=f"b-{SECRET}", repo=f"/r/{SECRET}")
    question = a_change("waiting", question=nasty, outcome=Outcome("question", nasty))
    for change in (
        a_change(outcome=Outcome("completed", nasty)),
        question,
        a_change("failed", outcome=Outcome("internal", nasty)),
    ):
        raw = payload_of(change, a_task("k3f9"), report, Redactor([SECRET]))
        text = json.dumps(json.loads(raw), ensure_ascii=False)
        assert SECRET not in text
        assert "sk-ant" not in text
        assert not {"\x1b", "\x00", "\u202e"} & set("".join(str(value) for value in json.loads(raw).values()))


def test_what_is_long_is_cut_and_what_can_be_done_is_not() -> None:
    long = "\N{PARTY POPPER} many words " * 100_000
    report = msgspec.structs.replace(DONE, summary=long, prompt=long, branch="b" * 5000, repo="/r/" + "r" * 5000)
    body = made(a_change(outcome=Outcome("completed", long)), report)
    assert len(body["text"].encode("utf-16-le")) // 2 <= MOST_UNITS
    assert "kugetsu diff k3f9" in body["text"]
    assert len(json.dumps(body)) < 100_000
    question = made(a_change("waiting", question=long), report)
    assert len(question["text"].encode("utf-16-le")) // 2 <= MOST_UNITS
    assert question["text"].endswith("'YOUR ANSWER'")


def test_a_text_is_never_cut_within_a_character() -> None:
    text = "\N{PARTY POPPER}" * 10
    for most in range(1, 20):
        found = cut(text, most)
        assert len(found.encode("utf-16-le")) // 2 <= most
        assert found.endswith("…")
    assert cut(text, 20) == text


@pytest.mark.parametrize("stored", ["", "[]", "{", '{"reply_to": 3}', '{"reply_to": {"a": 1, "b": "x"}}'])
def test_a_damaged_body_is_sent_as_far_as_it_is_known(stored: str) -> None:
    assert reply_to_of(stored) == ({"b": "x"} if "b" in stored else {})
    assert json.loads(with_delivery(stored, "7"))["delivery"] == "7"
