"""A session whose entries cannot follow each other, as a user meets it: named as what it is, and never guessed at."""

import sqlite3
from contextlib import closing

import pytest

from kugetsu.context import Summary
from kugetsu.sessions import Compacted, encode_entry
from kugetsu.storage import DATABASE_NAME
from support.command_line import CommandLine, tool


@pytest.mark.parametrize(
    "command",
    [
        ["rewind", "{task}", "--turn", "1"],
        ["fork", "{task}", "--turn", "1", "Otherwise"],
        ["continue", "{task}", "And more"],
        ["logs", "{task}", "--session"],
    ],
    ids=lambda command: command[0],
)
def test_a_summary_of_turns_that_there_never_were_is_called_damage(user: CommandLine, command: list[str]) -> None:
    repo = user.make_repo({"a.txt": "a\n"})
    script = user.script({"text": "look", "tool_calls": [tool("bash", command="ls")]}, {"text": "done"})
    task = user.run("run", "it", "--repo", str(repo), "--model", script, "--json").json()["id"]
    wrong = encode_entry(Compacted(2, 99, Summary("notes")))
    with closing(sqlite3.connect(user.home / DATABASE_NAME)) as database, database:
        last = "(SELECT max(seq) FROM entries)"
        columns = [
            name for _, name, *_ in database.execute("PRAGMA table_info(entries)") if name not in {"seq", "data"}
        ]
        same = ", ".join(columns)
        database.execute(
            f"INSERT INTO entries (seq, data, {same}) SELECT seq + 1, ?, {same} FROM entries WHERE seq = {last}",  # noqa: S608 - no words of others
            (wrong,),
        )
    done = user.run(*(word.replace("{task}", task) for word in command))
    assert (done.code, done.stdout) == (1, "")
    assert "the session is damaged: there is no turn 99 to take out" in done.stderr
    assert "Traceback" not in done.stderr
    assert user.run("logs", task, "--full").code == 0
