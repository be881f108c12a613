import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.errors import RecordError
from kugetsu.events import (
    CheckFinished,
    Event,
    EventsDropped,
    Noted,
    ReplyDelta,
    TaskFinished,
    TaskStarted,
    ToolProgress,
    TurnFinished,
)
from kugetsu.messages import AssistantMessage, Message, Text, ToolCall, ToolResult, Usage, user
from kugetsu.storage import FileStore, FileTaskLog
from kugetsu.tasks import CheckResult, Outcome, Task, TaskReport

STARTED = TaskStarted(task="abc", seq=1, at=1.0, prompt="p", repo="r", model="m", runtime="native")
TURN_DONE = TurnFinished(task="abc", seq=3, at=3.0, turn=1, usage=Usage(1, 2))
FINISHED = TaskFinished(task="abc", seq=4, at=4.0, state="completed", outcome=Outcome("completed", "done"), summary="s")


def report(state: str = "running") -> TaskReport:
    return msgspec.convert({"id": "abc", "state": state, "prompt": "p", "model": "m", "repo": "r"}, TaskReport)


@pytest.fixture
def log(store: FileStore) -> FileTaskLog:
    return store.open(Task(id="abc", prompt="p", repo="r", model="m"))


@pytest.fixture
def events_file(tasks: Path) -> Path:
    return tasks / "abc" / "events.jsonl"


LimitFiles = Callable[[int], AbstractContextManager[None]]


class TestEvents:
    def test_they_come_back_as_they_were_without_the_transient_ones(self, store: FileStore, log: FileTaskLog) -> None:
        check = CheckFinished(
            task="abc", seq=2, at=2.0, result=CheckResult("true", passed=True, exit_code=0, output_tail="")
        )
        transient: list[Event] = [
            ReplyDelta(turn=1, text="x"),
            ToolProgress(call_id="c", text="x"),
            EventsDropped(count=3),
        ]
        for event in (STARTED, *transient, check, TURN_DONE, FINISHED):
            log.record(event)
        assert list(store.events("abc")) == [STARTED, check, TURN_DONE, FINISHED]

    def test_they_are_written_at_the_end_of_a_turn(self, store: FileStore, log: FileTaskLog) -> None:
        log.record(STARTED)
        log.record(Noted(message="one"))
        assert list(store.events("abc")) == [STARTED]
        log.record(TURN_DONE)
        assert len(list(store.events("abc"))) == 3

    @pytest.mark.parametrize("end", ["save", "close"])
    def test_they_are_written_at_the_end(self, store: FileStore, log: FileTaskLog, end: str) -> None:
        log.record(Noted(message="one"))
        log.save(report()) if end == "save" else log.close()
        assert len(list(store.events("abc"))) == 1
        log.close()
        log.close()

    def test_many_of_one_turn_do_not_pile_up(self, store: FileStore, log: FileTaskLog) -> None:
        for _ in range(100):
            log.record(Noted(message="x" * 1000))
        assert len(list(store.events("abc"))) > 30

    def test_those_that_cannot_be_written_are_told_by_save_and_written_when_it_is_possible_again(
        self, store: FileStore, log: FileTaskLog, files_of_at_most: LimitFiles
    ) -> None:
        log.record(STARTED)
        log.record(Noted(message="x" * 5000))
        with files_of_at_most(2000):
            log.record(TURN_DONE)
            with pytest.raises(RecordError, match=r"cannot write .*/events\.jsonl: File too large"):
                log.save(report("paused"))
        assert store.find("abc").state == "paused"
        assert list(store.events("abc")) == [STARTED]
        log.save(report())
        assert len(list(store.events("abc"))) == 3

    def test_those_that_are_lost_are_told_for_ever(
        self, store: FileStore, log: FileTaskLog, files_of_at_most: LimitFiles
    ) -> None:
        log.record(STARTED)
        with files_of_at_most(1000):
            for _ in range(120):
                log.record(Noted(message="x" * 10_000))
        for _ in range(2):
            with pytest.raises(RecordError, match="cannot write"):
                log.save(report())
        assert len(list(store.events("abc"))) < 110

    def test_a_file_that_vanished_is_told_and_not_made_again(self, log: FileTaskLog, events_file: Path) -> None:
        log.record(STARTED)
        events_file.unlink()
        log.record(TURN_DONE)
        with pytest.raises(RecordError, match=r"cannot write .*events\.jsonl: No such file"):
            log.save(report())
        assert not events_file.exists()

    def test_a_file_that_somebody_else_writes_to_is_left_alone(self, log: FileTaskLog, events_file: Path) -> None:
        log.record(STARTED)
        with events_file.open("ab") as file:
            file.write(b'{"torn')
        log.record(TURN_DONE)
        with pytest.raises(RecordError, match=r"events\.jsonl was changed by somebody else"):
            log.save(report())
        assert events_file.read_bytes().endswith(b'{"torn')

    def test_recording_never_raises(self, log: FileTaskLog, tasks: Path) -> None:
        (tasks / "abc" / "report.json").unlink()
        (tasks / "abc").rmdir()
        for event in (STARTED, TURN_DONE, FINISHED, Noted(message="\ud800")):
            log.record(event)
        log.close()
        with pytest.raises(RecordError):
            log.save(report())


class TestSession:
    async def test_messages_are_in_the_file_when_append_returns(self, store: FileStore, log: FileTaskLog) -> None:
        messages: list[Message] = [
            user("do it"),
            AssistantMessage((Text("ok"), ToolCall("c1", "bash", '{"command": "ls"}')), "tool_calls", Usage(1, 2), "m"),
            ToolResult("c1", "bash", (Text("a\nb\u2028\x00"),), is_error=True),
        ]
        await log.journal.append(messages[0])
        assert list(store.session("abc")) == messages[:1]
        await log.journal.append(*messages[1:])
        assert list(store.session("abc")) == messages

    async def test_a_line_holds_the_time_and_the_message(self, log: FileTaskLog) -> None:
        await log.journal.append(user("do it"))
        (line,) = Path(log.journal.location).read_bytes().splitlines()
        data = msgspec.json.decode(line)
        assert data.keys() == {"at", "message"}
        assert data["at"] > 1_600_000_000
        assert data["message"] == {
            "type": "user",
            "content": [{"type": "text", "text": "do it"}],
            "origin": "prompt",
        }

    async def test_what_cannot_be_written_raises_and_loses_nothing_before_it(
        self, store: FileStore, log: FileTaskLog, files_of_at_most: LimitFiles
    ) -> None:
        await log.journal.append(user("first"))
        with files_of_at_most(1000), pytest.raises(RecordError, match=r"session\.jsonl: File too large"):
            await log.journal.append(user("x"), user("y" * 5000))
        assert list(store.session("abc")) == [user("first")]
        await log.journal.append(user("second"))
        assert list(store.session("abc")) == [user("first"), user("second")]

    async def test_a_last_line_that_was_cut_is_left_out(self, store: FileStore, log: FileTaskLog) -> None:
        await log.journal.append(user("first"), user("second"))
        path = Path(log.journal.location)
        data = path.read_bytes()
        for length in range(data.index(b"\n") + 1, len(data)):
            path.write_bytes(data[:length])
            assert list(store.session("abc")) == [user("first")]

    @pytest.mark.parametrize(
        "middle", [b"garbage\n", b"\n", b'{"at":1}\n', b"\xff\n", b'{"x":' + b"[" * 100_000 + b"\n"]
    )
    async def test_damage_in_the_middle_is_named_with_its_line(
        self, store: FileStore, log: FileTaskLog, middle: bytes
    ) -> None:
        await log.journal.append(user("first"))
        path = Path(log.journal.location)
        path.write_bytes(path.read_bytes() + middle + path.read_bytes())
        reading = store.session("abc")
        assert next(reading) == user("first")
        with pytest.raises(RecordError, match=r"session\.jsonl, line 2 is damaged: "):
            next(reading)

    @given(text=st.text(st.characters(codec=None, exclude_categories=())))
    def test_any_text_gives_one_line_that_can_be_read(
        self, tmp_path_factory: pytest.TempPathFactory, text: str
    ) -> None:
        store = FileStore(tmp_path_factory.mktemp("home"))
        log = store.open(Task(id="abc", prompt=text, repo=text, model="m"))
        asyncio.run(log.journal.append(user(text), user("after")))
        log.record(Noted(message=text))
        log.save(report())
        said, after = store.session("abc")
        (noted,) = store.events("abc")
        expected = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        assert said == user(expected)
        assert noted == Noted(message=expected)
        assert after == user("after")
        assert store.damaged() == []


class TestReport:
    def test_the_old_one_stays_when_the_new_one_cannot_be_written(
        self, store: FileStore, log: FileTaskLog, tasks: Path
    ) -> None:
        (tasks / "abc" / "report.json.new").symlink_to("/dev/full")
        with pytest.raises(RecordError, match=rf"cannot write .*report\.json: {os.strerror(errno.ENOSPC)} \(free some"):
            log.save(report("completed"))
        assert store.find("abc").state == "pending"
        log.save(report("completed"))
        assert store.find("abc").state == "completed"
        assert sorted(os.listdir(tasks / "abc")) == ["report.json"]  # noqa: PTH208

    def test_what_a_crash_left_of_a_new_one_does_no_harm(self, store: FileStore, log: FileTaskLog, tasks: Path) -> None:
        (tasks / "abc" / "report.json.new").write_bytes(b'{"id": "ab')
        assert store.find("abc").state == "pending"
        log.save(report("running"))
        assert store.find("abc").state == "running"


WRITER = """
import asyncio, sys
from pathlib import Path
from kugetsu.events import Noted, TurnFinished
from kugetsu.messages import Usage, user
from kugetsu.storage import FileStore
from kugetsu.tasks import Task, TaskReport

async def main():
    log = FileStore(Path(sys.argv[1])).open(Task(id="abc", prompt="p", repo="r", model="m"))
    number = 0
    while True:
        number += 1
        await log.journal.append(user(f"{number} " + "x" * (number * 37 % 9000)))
        log.record(TurnFinished(turn=number, usage=Usage()))
        log.save(TaskReport(id="abc", state="running", prompt="p", model="m", repo="r", turns=number))
        print(number, flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 60])
def test_a_killed_writer_leaves_everything_that_it_had_acknowledged(
    store: FileStore, tmp_path: Path, acknowledged: int
) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "home")], stdout=subprocess.PIPE) as process:
        assert process.stdout
        for _ in range(acknowledged):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    messages = list(store.session("abc"))
    assert len(messages) >= acknowledged
    assert messages == [user(f"{n} " + "x" * (n * 37 % 9000)) for n in range(1, len(messages) + 1)]
    turns = [event.turn for event in store.events("abc") if isinstance(event, TurnFinished)]
    assert len(turns) >= acknowledged
    assert store.find("abc").turns >= acknowledged


async def test_hundreds_of_logs_hold_no_file_open(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    logs = [store.open(Task(id=f"t{number}", prompt="p", repo="r", model="m")) for number in range(200)]
    for log in logs:
        await log.journal.append(user("x"))
        log.record(STARTED)
    assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208
