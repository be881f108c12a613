from collections.abc import Callable

import msgspec
import pytest

from kugetsu.cli.views.board import Board, ShortIds
from kugetsu.cli.views.live import draw
from kugetsu.events import (
    CompactionFailed,
    ContextCompacted,
    Event,
    MessageDelivered,
    Noted,
    QuestionAsked,
    TaskFinished,
    TaskHalted,
    TaskResumed,
    TaskStarted,
    ToolFinished,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from kugetsu.messages import Usage
from kugetsu.tasks import Outcome

EventsOf = Callable[[str], list[Event]]
START = 1_767_225_600.0


def stamped(event: Event, task: str, at: float = START) -> Event:
    return msgspec.structs.replace(event, task=task, at=at)


def started(task: str) -> Event:
    return stamped(TaskStarted(prompt="p", repo="r", model="m", runtime="native"), task)


def doing_after_each(events: list[Event]) -> list[str]:
    board = Board()
    seen = []
    for event in events:
        board.take(event)
        seen.append(board.rows[0].doing)
    return seen


def test_a_row_says_what_its_task_does(events: list[Event]) -> None:
    assert doing_after_each(events) == [
        "starting",
        "worktree ready",
        "thinking",
        "writing",
        "retry in 2 s (rate_limited)",
        "I will.",
        "bash pytest -q",
        "bash pytest -q",
        "bash pytest -q: failed",
        "bash pytest -q: failed",
        "check: make test",
        "check failed (exit code 2): 1 failed",
        "(check_failed): it exited with 2",
    ]


def test_a_row_counts_turns_tokens_and_time(events: list[Event]) -> None:
    board = Board()
    for event in events[:-1]:
        board.take(event)
    (row,) = board.rows
    assert (row.turn, row.usage.tokens, row.state) == (1, 4200, "running")
    assert row.seconds(START + 61) == 60
    board.take(events[-1])
    assert (row.state, row.seconds(START + 1000)) == ("failed", 12)


def test_of_several_running_calls_the_last_is_shown_with_the_number_of_the_others() -> None:
    def start(call_id: str) -> Event:
        return ToolStarted(task="a", turn=1, call_id=call_id, name="read", arguments=f'{{"path": "{call_id}"}}')

    def end(call_id: str) -> Event:
        return ToolFinished(
            task="a", turn=1, call_id=call_id, name="read", is_error=False, seconds=1, preview="", size=0
        )

    assert doing_after_each([start("x"), start("y"), start("z"), end("z"), end("x"), end("y"), end("never")]) == [
        "read x",
        "(+1) read y",
        "(+2) read z",
        "(+1) read y",
        "read y",
        "read y",
        "read",
    ]


def test_a_completed_task_ends_with_what_the_agent_said() -> None:
    end = TaskFinished(
        task="a", state="completed", outcome=Outcome("completed", "after 2 turns"), summary="\nFixed.\nBye"
    )
    assert doing_after_each([end]) == ["Fixed."]
    assert doing_after_each([msgspec.structs.replace(end, summary="")]) == ["after 2 turns"]


def test_a_task_that_goes_on_starts_where_it_stands() -> None:
    board = Board()
    board.take(stamped(TaskResumed(run=2, turn=7, reason="its worker died", usage=Usage(900, 100)), "a"))
    (row,) = board.rows
    assert (row.state, row.turn, row.usage.tokens, row.doing, row.seconds(START + 5)) == (
        *("running", 7, 1000, "going on"),
        5,
    )


def test_a_row_says_that_turns_were_taken_out_and_counts_what_their_notes_cost() -> None:
    def compacted(through: int, by: str, usage: Usage) -> Event:
        return ContextCompacted(task="a", turn=9, through=through, model=by, usage=usage, before=9_000, after=900)

    events: list[Event] = [
        TurnFinished(task="a", turn=9, usage=Usage(1_000, 100)),
        TurnStarted(task="a", turn=10),
        CompactionFailed(task="a", turn=9, message="wrote no notes"),
        compacted(1, "", Usage()),
        compacted(7, "cheap/model", Usage(500, 50, 0, 0.01)),
        MessageDelivered(task="a", origin="notice", text="you go\nin circles"),
    ]
    assert doing_after_each(events) == [
        "",
        "thinking",
        "thinking",
        "turn 1 was taken out without notes",
        "notes stand for turns 1 to 7",
        "told: you go in circles",
    ]
    board = Board()
    for event in events:
        board.take(event)
    (row,) = board.rows
    assert (row.turn, row.usage) == (10, Usage(1_500, 150, 0, 0.01))
    board.take(TurnFinished(task="a", turn=10, usage=Usage(4_000, 400)))
    assert row.usage.tokens == 4_400


def test_a_run_that_halts_ends_its_row_with_why() -> None:
    board = Board()
    for event in (
        started("a"),
        stamped(QuestionAsked(turn=1, call_id="c", question="Which\none?"), "a"),
    ):
        board.take(event)
    (row,) = board.rows
    assert (row.state, row.doing) == ("running", "asks: Which one?")
    board.take(stamped(TaskHalted(state="waiting", outcome=Outcome("question", "Which one?")), "a", START + 9))
    assert (row.state, row.doing, row.seconds(START + 99)) == ("waiting", "(question): Which one?", 9)


def test_ids_are_as_short_as_they_can_be_while_they_differ() -> None:
    short = ShortIds()
    assert short.shorten("k3f9abcdef") == "k3f9"
    assert short.shorten("m7q2abcdef") == "m7q2"
    assert short.shorten("k3f9zzzzzz") == "k3f9z"
    assert short.shorten("k3f9abcdef") == "k3f9a"
    assert (ShortIds().shorten("ab"), ShortIds().shorten("\x1b[1mab")) == ("ab", "")


class TestDrawing:
    @pytest.fixture
    def board(self, events_of: EventsOf) -> Board:
        board = Board()
        for event in events_of("k3f9abcdef")[:8]:
            board.take(event)
        for event in events_of("m7q2xyzabc"):
            board.take(event)
        return board

    def test_at_eighty_columns_everything_is_there(self, board: Board) -> None:
        assert [line.plain for line in draw(board, START + 65, 79, 24)] == [
            "task  state      turn  doing                                     tokens    time",
            "k3f9  running       1  bash pytest -q                              4.2k   1m04s",
            "m7q2  failed        1  (check_failed): it exited with 2            4.2k     12s",
            "2 tasks: 1 running, 1 failed  8.4k tokens  $0.0246",
        ]

    @pytest.mark.parametrize("width", [1, 5, 12, 20, 33, 47, 60, 200])
    def test_no_line_is_ever_wider_than_the_terminal(self, board: Board, width: int) -> None:
        board.take(
            stamped(
                ToolStarted(turn=1, call_id="w", name="bash", arguments='{"command": "日本語🎉' + "語" * 99 + '"}'),
                "k3f9abcdef",
            )
        )
        lines = draw(board, START, width, 24)
        assert len(lines) == 4
        assert max(line.cell_len for line in lines) <= width

    def test_what_matters_least_gives_way_first(self, board: Board) -> None:
        heads = [draw(board, START, width, 24)[0].plain.split() for width in (51, 43, 37, 26, 18)]
        assert heads == [
            ["task", "state", "turn", "doing", "tokens", "time"],
            ["task", "state", "turn", "doing", "time"],
            ["task", "state", "doing", "time"],
            ["task", "doing", "time"],
            ["task", "doing"],
        ]

    def test_columns_do_not_jump_when_a_task_ends(self, events: list[Event]) -> None:
        board = Board()
        heads = set()
        for event in events:
            board.take(event)
            heads.add(draw(board, event.at, 79, 24)[0].plain)
        assert len(heads) == 1

    def test_on_a_low_terminal_those_that_still_run_are_shown(self, events_of: EventsOf) -> None:
        board = Board()
        for number in range(20):
            for event in events_of(f"{number:04}abcdef")[: 8 if number % 2 else None]:
                board.take(event)
        lines = [line.plain for line in draw(board, START, 79, 10)]
        assert len(lines) == 9
        assert [line.split()[0] for line in lines[1:-1]] == ["0001", "0003", "0005", "0007", "0009", "0011", "0013"]
        assert lines[-1] == "20 tasks: 10 failed, 10 running  84.0k tokens  $0.25  13 not shown"

    def test_without_tasks_nothing_is_drawn(self) -> None:
        assert draw(Board(), START, 80, 24) == []

    def test_markup_is_text_like_any_other(self) -> None:
        board = Board()
        board.take(started("a"))
        board.take(stamped(ToolStarted(turn=1, call_id="c", name="bash", arguments='{"command": "[red]x[/]"}'), "a"))
        assert "[red]x[/]" in draw(board, START, 80, 24)[1].plain


def test_notes_are_told_beside_the_rows() -> None:
    board = Board()
    note = stamped(Noted(message="a\x1b[31m hook failed"), "k3f9abcdef")
    assert board.notes([started("x"), note]) == ["k3f9 note: a hook failed"]


def test_the_sum_of_a_turn_replaces_what_its_replies_added(events: list[Event]) -> None:
    board = Board()
    for event in events:
        board.take(event)
    board.take(stamped(TurnFinished(turn=1, usage=Usage(10, 5)), events[0].task))
    assert board.usage == Usage(10, 5)
