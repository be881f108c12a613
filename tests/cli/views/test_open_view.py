import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import msgspec
import pytest

from kugetsu.cli.views import NoView, ViewKind, open_view
from kugetsu.cli.views.background import MOST_WAITING, BackgroundView
from kugetsu.cli.views.json_lines import JsonScreen
from kugetsu.cli.views.live import LiveScreen
from kugetsu.cli.views.plain import PlainScreen
from kugetsu.events import Event, EventsDropped, Noted, ReplyDelta, TaskHalted, decode_event
from kugetsu.tasks import Outcome

KINDS: list[ViewKind] = ["auto", "live", "plain", "json", "none"]


@contextmanager
def a_pipe() -> Iterator[tuple[int, TextIO]]:
    reading, writing = os.pipe()
    with open(writing, "w") as stream:  # noqa: PTH123
        yield reading, stream
    with suppress(OSError):
        os.close(reading)


class Terminal:
    """A terminal, and everything that was written to it."""

    def __init__(self, columns: int = 80, lines: int = 24) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self.stream = os.fdopen(slave, "w")
        self._parts: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):
            while data := os.read(self._master, 65536):
                self._parts.append(data)

    def text(self) -> str:
        self.stream.close()
        self._reader.join(10)
        os.close(self._master)
        return b"".join(self._parts).decode()


def plain_text(terminal_text: str) -> str:
    """What a terminal would show, one line after the other, drawings in place one below the other."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal_text).replace("\r\n", "\n")
    return re.sub(r"\r+", "\n", text)


def show(kind: ViewKind, stream: TextIO, events: list[Event], term: str = "xterm") -> BackgroundView:
    view = open_view(kind, stream, environ={"TERM": term})
    assert isinstance(view, BackgroundView)
    with view:
        for event in events:
            view.take(event)
    return view


def test_plain_lines_have_time_task_and_words(events: list[Event]) -> None:
    stream = io.StringIO()
    show("plain", stream, events)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "00:00:01 k3f9 started with scripted:demo: fix the parser"
    assert lines[4] == "00:00:07 k3f9 turn 1 bash: pytest -q"
    assert len(lines) == 9
    assert "\x1b" not in stream.getvalue()


def test_lines_of_many_threads_are_never_torn(events: list[Event], tmp_path: Path) -> None:
    path = tmp_path / "out"
    with path.open("w") as stream, open_view("plain", stream) as view:

        def take_many() -> None:
            for event in events * 20:
                view.take(event)

        threads = [threading.Thread(target=take_many) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = path.read_text().splitlines()
    assert len(lines) == 4 * 20 * 9
    assert all(re.match(r"00:00:\d\d k3f9 \w", line) for line in lines)


def test_json_lines_are_the_events_themselves(events: list[Event]) -> None:
    stream = io.StringIO()
    strange = Noted(task="k3f9abcdef", message="stray \udcff and \u2028")
    show("json", stream, [*events, strange])
    lines = stream.getvalue().encode().split(b"\n")
    assert lines.pop() == b""
    decoded = [decode_event(line) for line in lines]
    assert decoded == [*events, msgspec.structs.replace(strange, message="stray \ufffd and \u2028")]


def test_a_terminal_gets_a_live_view_and_anything_else_plain_lines() -> None:
    def screen(stream: TextIO, environ: dict[str, str], kind: ViewKind = "auto") -> type:
        view = open_view(kind, stream, environ=environ)
        return type(view._screen) if isinstance(view, BackgroundView) else type(view)

    terminal = Terminal()
    assert screen(terminal.stream, {"TERM": "xterm-256color"}) is LiveScreen
    for environ in ({"TERM": "dumb"}, {"TERM": ""}, {}):
        assert screen(terminal.stream, environ) is PlainScreen
    terminal.text()
    assert screen(terminal.stream, {"TERM": "xterm"}) is PlainScreen  # it is closed now
    assert screen(io.StringIO(), {"TERM": "xterm"}) is PlainScreen
    assert screen(io.StringIO(), {}, "json") is JsonScreen
    assert screen(io.StringIO(), {}, "live") is LiveScreen
    assert screen(io.StringIO(), {}, "none") is NoView


class TestLive:
    def test_the_last_drawing_stays_and_the_cursor_comes_back(self, events: list[Event]) -> None:
        terminal = Terminal()
        assert show("auto", terminal.stream, events).failure is None
        text = terminal.text()
        assert plain_text(text).endswith(
            "task  state      turn  doing                                     tokens    time\n"
            "k3f9  failed        1  (check_failed): it exited with 2            4.2k     12s\n"
            "\n"
        )
        assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")

    def test_it_is_drawn_anew_in_place_a_few_times_a_second(self, events_of: Callable[[str], list[Event]]) -> None:
        terminal = Terminal()
        with open_view("auto", terminal.stream, environ={"TERM": "xterm"}) as view:
            until = time.monotonic() + 0.6
            while time.monotonic() < until:
                for event in events_of("k3f9abcdef")[:8] + events_of("m7q2xyzabc")[:6]:
                    view.take(event)
                time.sleep(0.001)
        text = terminal.text()
        drawings = text.count("task")
        assert 2 <= drawings - text.count("tasks:") <= 8
        assert "\x1b[1A" in text

    def test_the_clock_runs_while_nothing_happens(self) -> None:
        seconds = iter(range(100))
        stream = io.StringIO()
        view = BackgroundView(LiveScreen(stream, now=lambda: float(next(seconds))))
        with view:
            view.take(TaskStarted0)
            time.sleep(1.5)
        assert {"1s", "2s"} <= set(re.findall(r"\d+s", plain_text(stream.getvalue())))

    def test_notes_stand_above_it(self, events: list[Event]) -> None:
        terminal = Terminal()
        note = Noted(task="k3f9abcdef", message="[red]a hook\x1b]0;x\x07 failed")
        show("auto", terminal.stream, [*events[:5], note, *events[5:]])
        text = plain_text(terminal.text())
        assert text.index("k3f9 note: [red]a hook failed\n") < text.rindex("task  state")

    @pytest.mark.parametrize("columns", [1, 7, 30, 80])
    def test_nothing_reaches_the_terminal_but_drawing(self, events: list[Event], columns: int) -> None:
        evil = "\x1b]52;c;AAAA\x07\x1b[2J\x9b2J\x07\u202e" + "語" * 200
        terminal = Terminal(columns)
        show(
            "auto",
            terminal.stream,
            [*events[:-1], msgspec.structs.replace(events[0], prompt=evil), Noted(message=evil)],
        )
        text = terminal.text()
        assert set(re.findall(r"\x1b.{0,2}[^A-Za-z]*[A-Za-z]?", text)) <= set(re.findall(r"\x1b\[[?\d;]*[mAKlh]", text))
        assert not re.search(r"[\x07\x9b\u202e]|\[2J|\]52", text)

    def test_without_events_nothing_is_drawn(self) -> None:
        terminal = Terminal()
        show("auto", terminal.stream, [])
        assert plain_text(terminal.text()) == ""

    def test_the_drawing_follows_the_size_of_the_terminal(self, events: list[Event]) -> None:
        terminal = Terminal(columns=40, lines=6)
        show("auto", terminal.stream, events[:-1])
        assert max(len(line) for line in plain_text(terminal.text()).splitlines()) < 40


TaskStarted0 = decode_event(
    b'{"type":"task_started","task":"a","seq":1,"at":0.0,"prompt":"p","repo":"r","model":"m","runtime":"native"}'
)


class TestUnbreakable:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_reader_that_goes_away_is_no_error(self, kind: ViewKind, events: list[Event]) -> None:
        with a_pipe() as (reading, stream):
            os.close(reading)
            with open_view(kind, stream, environ={"TERM": "xterm"}) as view:
                for event in events:
                    view.take(event)
                time.sleep(0.2)
                for event in events:
                    view.take(event)

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_closed_stream_is_no_error(self, kind: ViewKind, events: list[Event]) -> None:
        stream = io.StringIO()
        stream.close()
        with open_view(kind, stream) as view:
            for event in events:
                view.take(event)

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_full_disk_is_no_error(self, kind: ViewKind, events: list[Event]) -> None:
        with Path("/dev/full").open("w") as stream, open_view(kind, stream) as view:
            for event in events:
                view.take(event)

    @pytest.mark.parametrize("kind", ["plain", "live"])
    def test_a_reader_that_takes_nothing_holds_nothing_up(self, kind: ViewKind, events: list[Event]) -> None:
        with a_pipe() as (reading, stream):
            view = open_view(kind, stream)
            assert isinstance(view, BackgroundView)
            view._screen.patience_seconds = 0.2  # type: ignore[misc]  # a constant of the real screens
            started = time.monotonic()
            with view:
                for _ in range(1000):
                    for event in events:
                        view.take(event)
                taken = time.monotonic() - started
            assert taken < 2
            assert time.monotonic() - started < 4
            os.close(reading)  # ends the writing thread

    def test_a_slow_reader_of_json_misses_nothing(self, events: list[Event]) -> None:
        many = events * 300
        with a_pipe() as (reading, stream):
            received = bytearray()

            def read() -> None:
                time.sleep(0.3)
                while data := os.read(reading, 100_000):
                    received.extend(data)

            reader = threading.Thread(target=read)
            reader.start()
            show("json", stream, many)
            stream.close()
            reader.join()
        assert [decode_event(line) for line in bytes(received).splitlines()] == many

    def test_a_pipe_that_does_not_block_is_waited_for(self, events: list[Event]) -> None:
        with a_pipe() as (reading, stream):
            os.set_blocking(stream.fileno(), False)
            received = bytearray()

            def read() -> None:
                time.sleep(0.3)
                while data := os.read(reading, 100_000):
                    received.extend(data)

            reader = threading.Thread(target=read)
            reader.start()
            show("json", stream, events * 100)
            stream.close()
            reader.join()
        assert len(bytes(received).splitlines()) == len(events) * 100

    def test_what_comes_too_fast_is_counted_but_never_the_end(self, events: list[Event]) -> None:
        stream = io.StringIO()
        view = BackgroundView(JsonScreen(stream))
        delta = ReplyDelta(task="k3f9abcdef", turn=1, text="x")
        halted = TaskHalted(task="k3f9abcdef", state="paused", outcome=Outcome("paused", "after turn 1"))
        for event in [*events[:-1], *[delta] * MOST_WAITING, events[-1], halted]:
            view.take(event)
        with view:
            pass
        shown = [decode_event(line.encode()) for line in stream.getvalue().splitlines()]
        dropped = [event for event in shown if isinstance(event, EventsDropped)]
        assert sum(event.count for event in dropped) == len(events) - 1
        assert events[-1] in shown
        assert halted in shown

    def test_a_defect_of_a_screen_ends_the_view_and_is_kept(self, events: list[Event]) -> None:
        class Broken(PlainScreen):
            def show(self, events: list[Event]) -> None:
                raise KeyError(len(events))

        view = BackgroundView(Broken(io.StringIO()))
        with view:
            view.take(events[0])
        assert isinstance(view.failure, KeyError)

    def test_a_stream_that_cannot_write_every_character_gets_question_marks(self, tmp_path: Path) -> None:
        path = tmp_path / "out"
        with path.open("w", encoding="latin-1") as stream:
            show("plain", stream, [Noted(task="a", message="日本 \udcff café")])
        assert path.read_bytes() == b"00:00:00 a note: ?? ? caf\xe9\n".replace(b"00:00:00", path.read_bytes()[:8])

    def test_the_process_can_end_while_its_terminal_is_stopped(self) -> None:
        script = (
            "import sys, os\n"
            "from kugetsu.cli.views import open_view\n"
            "from kugetsu.events import Noted\n"
            "reading, writing = os.pipe()\n"
            "with open_view('plain', open(writing, 'w')) as view:\n"
            "    for _ in range(5000): view.take(Noted(task='a', message='x' * 100))\n"
            "print('over')\n"
        )
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")

    def test_views_leave_no_descriptor_and_no_thread_behind(self, events: list[Event]) -> None:
        descriptors, threads = len(os.listdir("/proc/self/fd")), threading.active_count()  # noqa: PTH208
        for kind in KINDS:
            with a_pipe() as (_, stream), open_view(kind, stream) as view:
                for event in events:
                    view.take(event)
        assert len(os.listdir("/proc/self/fd")) <= descriptors  # noqa: PTH208
        assert threading.active_count() <= threads
