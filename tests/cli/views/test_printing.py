import io
import os
import pty
from collections.abc import Callable
from pathlib import Path

import pytest

from kugetsu.cli.views import (
    Timeline,
    print_conversation,
    print_details,
    print_listing,
    print_log,
    print_results,
    ways_to_get,
)
from kugetsu.context import ResultStub
from kugetsu.events import Event
from kugetsu.messages import (
    AssistantMessage,
    Image,
    Message,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    UserMessage,
    user,
)
from kugetsu.sessions import Checkpoint, Entry, Finished, Forked, Heard, Pruned, Renewed, Replied, Rewound, Started
from kugetsu.tasks import CheckResult, Commit, Outcome, TaskReport

MakeReport = Callable[..., TaskReport]
NOW = 1_767_225_600.0 + 7200


def printed(write: Callable[[io.StringIO], None]) -> list[str]:
    stream = io.StringIO()
    write(stream)
    return stream.getvalue().splitlines()


class TestResults:
    def test_where_there_is_room_each_task_is_one_line(self, report: MakeReport) -> None:
        titles, line = printed(lambda out: print_results([report()], out))
        assert titles.split() == [
            *("branch", "state", "commits", "files", "lines", "check", "turns", "tokens", "cost", "time")
        ]
        assert line.split() == [
            *("kugetsu/k3f9abcdef-fix-the-failing-date-parser-test", "completed", "1", "2", "+13", "-1"),
            *("passed", "2", "4.4k", "$0.0123", "12.3s"),
        ]

    def test_at_eighty_columns_the_branch_stands_whole_on_a_line_below(self, report: MakeReport) -> None:
        other = report("m7q2xyzabc", state="failed", check=None, commits=(), branch="", usage=Usage(cost_usd=None))
        lines = printed(lambda out: print_results([report(), other], out, width=80))
        assert lines == [
            "state      commits  files   lines  check   turns  tokens     cost   time",
            "completed        1      2  +13 -1  passed      2    4.4k  $0.0123  12.3s",
            "  kugetsu/k3f9abcdef-fix-the-failing-date-parser-test",
            "failed           0      2  +13 -1  -           2       0        -  12.3s",
            "  (no branch)",
        ]

    def test_on_a_narrow_terminal_the_cost_stays_longer_than_the_files(self, report: MakeReport) -> None:
        lines = printed(lambda out: print_results([report()], out, width=66))
        assert lines[0].split() == ["state", "commits", "lines", "check", "turns", "tokens", "cost", "time"]


class TestListing:
    def test_at_eighty_columns_the_prompt_gets_what_is_left(self, report: MakeReport) -> None:
        other = report("m7q2xyzabc", state="running", check=None, prompt="x " * 100, created_at=NOW - 90)
        assert printed(lambda out: print_listing([report(), other], out, now=NOW, width=80)) == [
            "id          state      age  check   commits  prompt",
            "k3f9abcdef  completed   2h  passed        1  fix the failing date parser test",
            "m7q2xyzabc  running     1m  -             1  x x x x x x x x x x x x x x x x x …",
        ]

    def test_where_there_is_room_the_branch_is_there(self, report: MakeReport) -> None:
        lines = printed(lambda out: print_listing([report()], out, now=NOW, width=140))
        assert lines[0].split() == ["id", "state", "age", "check", "commits", "branch", "prompt"]
        assert "kugetsu/k3f9abcdef-fix-the-failing-date-parser-test  fix the failing" in lines[1]

    def test_in_a_pipe_lines_are_whole(self, report: MakeReport) -> None:
        (_, line) = printed(lambda out: print_listing([report(prompt="y" * 150)], out, now=NOW))
        assert line.endswith("y" * 150)

    def test_a_priority_is_shown_where_there_is_one(self, report: MakeReport) -> None:
        lines = printed(lambda out: print_listing([report(), report("m7q2", priority=-7)], out, now=NOW, width=140))
        assert lines[0].split()[:4] == ["id", "state", "priority", "age"]
        assert [line.split()[2] for line in lines[1:]] == ["2h", "-7"]

    def test_below_a_task_that_waits_stands_what_for(self, report: MakeReport) -> None:
        waiting = report(state="waiting", question="Which\n\x1b[31mone? " + "x" * 200)
        later = report(state="pending", available_at=NOW + 60, outcome=Outcome("rate_limited", "429"))
        ready = report(state="pending", available_at=NOW - 60, outcome=None)
        lines = printed(lambda out: print_listing([waiting, later, ready], out, now=NOW, width=80))
        assert len(lines) == 6
        assert lines[2].startswith("  asks: Which one? xxx")
        assert len(lines[2]) == 80
        assert lines[4] == "  not before 2026-01-01 02:01:00; rate_limited: 429"

    def test_without_tasks_there_are_only_titles(self) -> None:
        assert len(printed(lambda out: print_listing([], out, now=NOW, width=80))) == 1


class TestDetails:
    def test_everything_computed_is_there(self, report: MakeReport) -> None:
        assert printed(lambda out: print_details(report(notes=("It has submodules.",)), out, width=80)) == [
            "k3f9abcdef  completed",
            "",
            "prompt      fix the failing date parser test",
            "            and be quick",
            "model       scripted:demo",
            "outcome     completed: the agent finished after 2 turns",
            "summary     I fixed the parser.",
            "",
            "            All tests pass.",
            "repository  /home/me/my sample",
            "branch      kugetsu/k3f9abcdef-fix-the-failing-date-parser-test",
            f"base        {'a' * 40}",
            "commits     3f2a1b0c9d Fix the month",
            "changes     2 files, +13 -1",
            "check       pytest -q: passed",
            "turns       2 with 3 tool calls",
            "tokens      4,123 in (1,000 cached), 312 out",
            "cost        $0.0123",
            "time        12.3s",
            "created     2026-01-01 00:00:00",
            "session     k3f9abcdef",
            "note        It has submodules.",
            "",
            "To see and get the work:",
            "  kugetsu diff k3f9abcdef",
            "  git -C '/home/me/my sample' switch kugetsu/k3f9abcdef-fix-the-failing-date-parser-test",
            "  git -C '/home/me/my sample' merge kugetsu/k3f9abcdef-fix-the-failing-date-parser-test",
        ]

    def test_a_failure_shows_its_class_and_the_end_of_the_check(self, report: MakeReport) -> None:
        failed = report(
            state="failed",
            outcome=Outcome("check_failed", "exit code 1"),
            check=CheckResult("pytest -q", passed=False, exit_code=1, output_tail="..F\n1 failed"),
            uncommitted=True,
            usage=Usage(1, 2, 0, None),
        )
        lines = printed(lambda out: print_details(failed, out))
        assert "outcome     check_failed: exit code 1" in lines
        position = lines.index("check       pytest -q: failed with exit code 1")
        assert lines[position + 1 : position + 3] == ["            ..F", "            1 failed"]
        assert "changes     2 files, +13 -1, uncommitted work in the worktree" in lines
        assert "cost        unknown" in lines

    @pytest.mark.parametrize(
        ("check", "line"),
        [
            (CheckResult("x", passed=False, exit_code=None, output_tail=""), "check       x: failed: it took too long"),
            (CheckResult("x", passed=None, exit_code=None, output_tail="not run: why"), "check       x: not run"),
        ],
    )
    def test_a_check_without_exit_code_says_why(self, report: MakeReport, check: CheckResult, line: str) -> None:
        assert line in printed(lambda out: print_details(report(check=check), out))

    def test_a_task_that_just_began_shows_what_there_is(self) -> None:
        pending = TaskReport(id="abc", state="pending", prompt="p", model="m", repo="r")
        lines = printed(lambda out: print_details(pending, out, width=80))
        assert [line.split()[0] for line in lines[2:]] == [
            *("prompt", "model", "repository", "turns", "tokens", "cost", "time", "created")
        ]

    def test_many_commits_are_counted(self, report: MakeReport) -> None:
        commits = tuple(Commit(f"{number:040}", f"Commit {number}") for number in range(25))
        lines = printed(lambda out: print_details(report(commits=commits), out))
        assert "            and 5 more commits" in lines

    @pytest.mark.parametrize("width", [10, 40, 80])
    def test_long_text_goes_on_below_within_the_width(self, report: MakeReport, width: int) -> None:
        words = report(summary="word " * 60, branch="", commits=())
        lines = printed(lambda out: print_details(words, out, width=width))
        assert max(len(line) for line in lines if "word" in line) <= max(width, 32)

    @pytest.mark.parametrize(
        "repo", ["https://example.org/a.git", "ssh://git@h/a", "git@example.org:me/a.git", "file:///srv/a"]
    )
    def test_for_a_remote_repository_no_local_command_is_invented(self, report: MakeReport, repo: str) -> None:
        assert ways_to_get(report(repo=repo)) == ["kugetsu diff k3f9abcdef"]

    @pytest.mark.parametrize("repo", ["/srv/a:b", "./a:b", "a/b:c", "/srv/$(reboot)"])
    def test_a_path_is_quoted_for_the_shell(self, report: MakeReport, repo: str) -> None:
        ways = ways_to_get(report(repo=repo))
        assert len(ways) == 3
        assert "'/srv/$(reboot)'" in ways[1] or "$" not in ways[1]

    def test_without_commits_there_is_nothing_to_get(self, report: MakeReport) -> None:
        assert ways_to_get(report(commits=())) == []


class TestTimeline:
    def test_each_event_is_a_line_with_its_time(self, events: list[Event]) -> None:
        lines = printed(lambda out: Timeline(out).write(events))
        assert lines[:3] == [
            "2026-01-01",
            "00:00:01  started with scripted:demo: fix the parser",
            "00:00:02  branch kugetsu/k3f9abcdef-fix-the-parser from aaaaaaaaaa",
        ]
        assert lines[-1] == "00:00:13  failed (check_failed): it exited with 2"
        assert len(lines) == 10

    def test_a_day_is_named_once_however_the_events_come(self, events: list[Event]) -> None:
        def write(out: io.StringIO) -> None:
            timeline = Timeline(out)
            for event in events:
                timeline.write([event])

        assert printed(write) == printed(lambda out: Timeline(out).write(events))


class TestConversation:
    def test_every_word_is_there_and_set_off(self) -> None:
        messages: list[Message] = [
            user("fix it\nplease"),
            AssistantMessage(
                (
                    Thinking("Hmm."),
                    Thinking(redacted="xyz"),
                    Text("I look."),
                    ToolCall("c1", "bash", '{"command": "ls", "timeout": 5}'),
                    ToolCall("c2", "write", '{"path": "a", "content": "one\\ntwo\\n"}'),
                    ToolCall("c3", "bash", "{broken"),
                ),
                "length",
                Usage(1234, 56),
                "m/x",
            ),
            ToolResult("c1", "bash", (Text("a\n\x1b[31mb\n"),), is_error=True),
            ToolResult("c2", "write", (Text("ok"), Image("AAAA" * 300, "image/png"))),
            UserMessage((Text("stop"),), "steering"),
        ]
        lines = printed(lambda out: print_conversation(messages, out, width=60))
        assert lines == [
            "── user " + "─" * 51,
            "fix it",
            "please",
            "",
            "── turn 1: m/x (1.2k in, 56 out, cut at the output limit) ──",
            "Hmm.",
            "(reasoning that the provider does not show)",
            "I look.",
            "call bash",
            "  command: ls",
            "  timeout: 5",
            "call write",
            "  path: a",
            "  content:",
            "    one",
            "    two",
            "call bash",
            "  {broken",
            "",
            "── result of bash (failed) " + "─" * 32,
            "a",
            "b",
            "",
            "── result of write " + "─" * 40,
            "ok",
            "[image/png, 900 bytes]",
            "",
            "── user, while the agent worked " + "─" * 27,
            "stop",
            "",
        ]

    def test_turns_have_the_numbers_that_a_rewind_left_them(self) -> None:
        replies = [AssistantMessage((Text("x"),)) for _ in range(3)]
        lines = printed(lambda out: print_conversation(replies, out, turns=[1, 5], width=60))
        assert [line.split()[2] for line in lines if line.startswith("──")] == ["1:", "5:", "1:"]

    def test_the_whole_log_says_since_when_something_counts_no_longer(self) -> None:
        reply = AssistantMessage((Text("I look."), ToolCall("c1", "ls", "{}")))
        entries: list[Entry] = [
            Heard(user("go")),
            Replied(1, reply),
            Started(1, ("c1",)),
            Finished(1, ToolResult("c1", "ls", (Text("a.txt"),))),
            Checkpoint(1),
            Pruned(1, (ResultStub("c1", "[pruned: 5 characters]"),)),
            Rewound(0),
            Renewed(),
            Forked("k3f9\x1b[2J"),
        ]
        assert printed(lambda out: print_log(entries, out, width=60)) == [
            "── user " + "─" * 51,
            "go",
            "",
            "── turn 1:  (0 in, 0 out) " + "─" * 33,
            "I look.",
            "call ls",
            "",
            "── result of ls " + "─" * 43,
            "a.txt",
            "",
            "── 1 old text made room: see above what stood there ───────",
            "",
            "── went back to turn 0: what came after it counts no longer ──",
            "",
            "── tried again: the limits count from here " + "─" * 16,
            "",
            "── from here on a fork of k3f9 " + "─" * 28,
            "",
        ]

    def test_nothing_is_cut_however_long(self) -> None:
        text = "x" * 100_000
        assert text in printed(lambda out: print_conversation([user(text)], out, width=80))


EVIL = "\x1b]0;pwned\x07\x1b[2J[bold]b[/bold]\u202e"


def test_no_view_lets_escape_sequences_through_or_takes_markup_for_its_own(report: MakeReport) -> None:
    evil = report(
        prompt=EVIL,
        summary=EVIL,
        model=EVIL,
        repo=EVIL,
        branch=EVIL,
        base=EVIL,
        session=EVIL,
        notes=(EVIL,),
        outcome=Outcome("internal", EVIL),
        commits=(Commit(EVIL, EVIL),),
        check=CheckResult(EVIL, passed=False, exit_code=1, output_tail=EVIL),
    )
    calls = AssistantMessage((Text(EVIL), Thinking(EVIL), ToolCall("c", EVIL, EVIL)), model=EVIL)
    result = ToolResult("c", EVIL, (Text(EVIL), Image("", EVIL)))
    for write in (
        lambda out: print_results([evil], out),
        lambda out: print_listing([evil], out, now=NOW),
        lambda out: print_details(evil, out),
        lambda out: print_conversation([user(EVIL), calls, result], out),
    ):
        text = "\n".join(printed(write))
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert "[bold]b[/bold]" in text


def test_colours_are_for_terminals_alone(report: MakeReport, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")

    def on_a_terminal() -> str:
        master, slave = pty.openpty()
        with os.fdopen(slave, "w") as stream:
            print_results([report()], stream)
            data = os.read(master, 65536)
        os.close(master)
        return data.decode()

    assert "\x1b[32mcompleted" in on_a_terminal()
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in on_a_terminal()
    assert "\x1b" not in "".join(printed(lambda out: print_results([report()], out)))


def test_a_stream_that_refuses_is_an_error_of_the_command(report: MakeReport) -> None:
    with Path("/dev/full").open("w") as stream:
        with pytest.raises(OSError, match="No space left"):
            print_details(report(), stream)
        with pytest.raises(OSError, match="No space left"):
            stream.close()


def test_what_the_encoding_cannot_write_becomes_a_question_mark(report: MakeReport, tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("w", encoding="ascii") as stream:
        print_details(report(prompt="日本 café \udcff"), stream)
        print_conversation([user("x")], stream)
    assert "prompt      ?? caf? ?" in path.read_text()
