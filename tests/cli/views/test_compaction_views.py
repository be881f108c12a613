import io
from collections.abc import Callable
from typing import get_args

from kugetsu.cli.views import print_conversation, print_log
from kugetsu.context import Summary
from kugetsu.messages import Text, Usage, UserMessage, UserOrigin
from kugetsu.sessions import Compacted, Entry, Wasted

ORIGINS: tuple[UserOrigin, ...] = ("prompt", "steering", "follow_up", "notice", "summary")


def printed(write: Callable[[io.StringIO], None]) -> list[str]:
    stream = io.StringIO()
    write(stream)
    return stream.getvalue().splitlines()


def test_the_whole_log_shows_what_stands_for_turns_that_were_taken_out() -> None:
    summary = Summary("## Done\n- it\x1b[2J", read=("a.py",), changed=("b.py",))
    entries: list[Entry] = [
        Wasted(Usage(300, 20)),
        Compacted(9, 7, summary, "m/cheap", Usage(9_000, 500)),
        Compacted(9, 1, Summary()),
    ]
    lines = printed(lambda out: print_log(entries, out, width=80))
    assert [line for line in lines if line.startswith("── ")] == [
        "── a call of the model came to nothing (300 in, 20 out) " + "─" * 23,
        "── turns 1 to 7 were taken out: this stands for them now " + "─" * 22,
        "── notes by m/cheap (9.0k in, 500 out) " + "─" * 40,
        "── turn 1 was taken out: this stands for it now " + "─" * 31,
        "── nobody wrote notes " + "─" * 57,
    ]
    assert "\x1b" not in "\n".join(lines)
    for said in ("- it", "- a.py", "- b.py"):
        assert said in lines
    assert any(line.startswith("No notes could be written.") for line in lines)


def test_words_of_people_are_told_apart_from_our_own() -> None:
    assert set(ORIGINS) == set(get_args(UserOrigin))
    messages = [UserMessage((Text("x"),), origin) for origin in ORIGINS]
    lines = printed(lambda out: print_conversation(messages, out, width=60))
    assert [line.strip("─ ") for line in lines if line.startswith("── ")] == [
        "user",
        "user, while the agent worked",
        "user, follow-up",
        "notice to the agent",
        "summary of what was taken out",
    ]
