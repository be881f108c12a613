from pathlib import Path

import pytest

from support.command_line import CommandLine, Done, tool

QUESTION = "Which database?\x1b[2J"


@pytest.fixture
def asked(user: CommandLine, repo: Path) -> Done:
    script = user.script({"tool_calls": [tool("ask", question=QUESTION)]}, {"text": "Then so be it."})
    return user.run("run", "Set it up", "--repo", str(repo), "--model", script, "--json")


def test_a_question_ends_the_run_and_the_answer_lets_it_go_on(user: CommandLine, asked: Done) -> None:
    report = asked.json()
    task = report["id"]
    assert (asked.code, report["state"], report["question"]) == (5, "waiting", QUESTION)
    assert f"waits for an answer to: Which database? (`kugetsu answer {task} TEXT`, then `kugetsu resume {task}`)" in (
        asked.stderr
    )
    assert "\x1b" not in asked.stderr
    assert "\n  asks: Which database?\n" in user.run("list", "--state", "waiting").stdout
    early = user.run("resume", task)
    assert early.code == 2
    assert "kugetsu answer" in early.stderr
    said = user.run("answer", task, "SQLite")
    assert (said.code, said.stderr) == (0, "")
    assert f"`kugetsu resume {task}` goes on with it here" in said.stdout
    done = user.run("resume", task, "--json")
    assert (done.code, done.json()["summary"], done.json()["question"]) == (0, "Then so be it.", "")
    conversation = user.run("logs", task, "--session").stdout
    assert conversation.index("── result of ask") < conversation.index("SQLite")
    late = user.run("answer", task, "Postgres")
    assert late.code == 2
    assert "asks nothing" in late.stderr


def test_an_answer_may_come_from_stdin_and_is_never_empty(user: CommandLine, asked: Done) -> None:
    task = asked.json()["id"]
    assert user.run("answer", task, " ").code == 2
    answered = user.run("answer", task, "-", "--json", stdin="line one\nline two\n")
    assert (answered.json()["state"], answered.json()["question"]) == ("pending", "")
    assert user.run("serve", "--until-idle").code == 0
    assert "line one\nline two" in user.run("logs", task, "--session").stdout
