import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest

from kugetsu.errors import RecordError, TaskNotFoundError
from kugetsu.messages import Usage, encode_json
from kugetsu.storage import FileStore
from kugetsu.tasks import CheckResult, Commit, Outcome, Task, TaskReport


def make_task(task_id: str, created_at: float = 0.0) -> Task:
    return Task(id=task_id, prompt="Fix it", repo="/repo", model="scripted:demo", created_at=created_at)


def make_report(task_id: str, summary: str = "") -> TaskReport:
    return TaskReport(id=task_id, state="running", prompt="Fix it", model="m", repo="/repo", summary=summary)


def test_a_new_task_is_pending_until_more_is_known(store: FileStore) -> None:
    store.open(make_task("abc", created_at=5.0))
    report = store.find("abc")
    assert (report.state, report.outcome, report.prompt, report.created_at) == ("pending", None, "Fix it", 5.0)
    assert list(store.events("abc")) == []
    assert list(store.session("abc")) == []


def test_what_is_saved_is_found(store: FileStore) -> None:
    log = store.open(make_task("abc"))
    report = TaskReport(
        id="abc",
        state="failed",
        outcome=Outcome("check_failed", "exit code 1"),
        prompt="Fix it",
        model="m",
        repo="/repo",
        commits=(Commit("0" * 40, "Fix"),),
        check=CheckResult("false", passed=False, exit_code=1, output_tail="no"),
        usage=Usage(5, 6, 1, None),
        notes=("It has submodules.",),
    )
    log.save(report)
    assert store.find("abc") == report
    assert store.reports() == [report]


def test_the_report_in_json_has_the_promised_keys_in_order() -> None:
    report = TaskReport(
        id="abc",
        state="completed",
        outcome=Outcome("completed", "done"),
        prompt="Fix it",
        model="m",
        repo="/repo",
        commits=(Commit("0" * 40, "Fix"),),
        check=CheckResult("true", passed=True, exit_code=0, output_tail=""),
    )
    data = msgspec.json.decode(encode_json(report))
    assert list(data) == [
        *("id", "state", "outcome", "summary", "prompt", "model", "repo", "base", "branch", "commits"),
        *("files_changed", "insertions", "deletions", "uncommitted", "check", "turns", "tool_calls", "usage"),
        *("seconds", "session", "notes", "created_at"),
    ]
    assert data["outcome"] == {"class": "completed", "message": "done"}
    assert data["commits"] == [{"sha": "0" * 40, "subject": "Fix"}]
    assert data["check"] == {"command": "true", "passed": True, "exit_code": 0, "output_tail": ""}
    assert data["usage"] == {"input": 0, "output": 0, "cached": 0, "cost_usd": 0.0}
    assert (data["uncommitted"], data["notes"], data["branch"]) == (False, [], "")


def test_everything_is_for_its_user_alone(store: FileStore, tasks: Path) -> None:
    log = store.open(make_task("abc"))
    log.save(make_report("abc"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tasks, *tasks.rglob("*"))}
    assert modes == {"tasks": 0o700, "abc": 0o700, "report.json": 0o600}


def test_a_second_writer_is_refused(store: FileStore, tmp_path: Path) -> None:
    store.open(make_task("abc"))
    with pytest.raises(RecordError, match=r"tasks/abc exists already \(a task has one writer: use another id\)"):
        FileStore(tmp_path / "home").open(make_task("abc"))


def test_of_many_processes_one_gets_the_task(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from kugetsu.errors import RecordError\n"
        "from kugetsu.storage import FileStore; from kugetsu.tasks import Task\n"
        "sys.stdin.read()\n"
        "try: FileStore(Path(sys.argv[1])).open(Task(id='abc', prompt='', repo='', model='')); print('mine')\n"
        "except RecordError: print('taken')\n"
    )
    argv = [sys.executable, "-c", script, str(tmp_path)]
    started = [subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    for process in started:
        assert process.stdin
        process.stdin.close()
        process.stdin = None
    assert sorted(process.communicate()[0].strip() for process in started) == ["mine", "taken", "taken", "taken"]


@pytest.mark.parametrize("task_id", ["", ".", "..", "../x", "a/b", "a\0b", "a b", "-x", "é", "a\n", "x" * 65])
def test_what_is_no_id_never_becomes_a_path(store: FileStore, tmp_path: Path, task_id: str) -> None:
    with pytest.raises(RecordError, match="is no task id"):
        store.open(make_task(task_id))
    for read in (store.events, store.session):
        with pytest.raises(TaskNotFoundError, match="there is no task"):
            read(task_id)
    assert list(tmp_path.iterdir()) == []


class TestFind:
    @pytest.fixture(autouse=True)
    def some_tasks(self, store: FileStore) -> None:
        for task_id in ("ab", "abc", "abd", "xyz"):
            store.open(make_task(task_id))

    def test_the_exact_id_wins_over_longer_ones(self, store: FileStore) -> None:
        assert store.find("ab").id == "ab"

    def test_a_prefix_is_enough_when_it_is_unique(self, store: FileStore) -> None:
        assert (store.find("x").id, store.find("abd").id) == ("xyz", "abd")

    def test_several_candidates_are_named(self, store: FileStore) -> None:
        with pytest.raises(TaskNotFoundError, match=r'^"a" fits 3 tasks: ab, abc, abd \(give more of the id\)$'):
            store.find("a")
        for number in range(5):
            store.open(make_task(f"ac{number}"))
        with pytest.raises(TaskNotFoundError, match=r'"a" fits 8 tasks: ab, abc, abd, ac0, ac1, \.\.\. '):
            store.find("a")

    @pytest.mark.parametrize(
        ("prefix", "shown"), [("q", "q"), ("abcd", "abcd"), ("\x1b[1m", r"\\x1b\[1m"), ("../", r"\.\./")]
    )
    def test_none_is_an_error_that_says_where_to_look(self, store: FileStore, prefix: str, shown: str) -> None:
        with pytest.raises(
            TaskNotFoundError, match=rf'^no task starts with "{shown}" \(`kugetsu list` shows all tasks\)$'
        ):
            store.find(prefix)


def test_without_any_task_nothing_is_found_and_nothing_made(store: FileStore, tmp_path: Path) -> None:
    assert (store.reports(), store.damaged()) == ([], [])
    with pytest.raises(TaskNotFoundError):
        store.find("a")
    assert list(tmp_path.iterdir()) == []


def test_reports_come_newest_first(store: FileStore) -> None:
    for task_id, created_at in (("a", 2.0), ("b", 3.0), ("c", 1.0), ("d", 3.0)):
        store.open(make_task(task_id, created_at))
    assert [report.id for report in store.reports()] == ["d", "b", "a", "c"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\0" * 100,
        b"[]",
        b'"\xff"',
        b'{"id":"bad"}',
        b'{"id":"bad","x":' + b"[" * 100_000,
        encode_json(make_report("other")),
        None,
    ],
    ids=range(9),
)
def test_a_damaged_record_is_left_out_but_can_be_counted(store: FileStore, tasks: Path, content: bytes | None) -> None:
    store.open(make_task("good"))
    store.open(make_task("bad"))
    path = tasks / "bad" / "report.json"
    path.unlink() if content is None else path.write_bytes(content)
    assert [report.id for report in store.reports()] == ["good"]
    assert store.damaged() == [tasks / "bad"]
    with pytest.raises(RecordError, match=r"tasks/bad/report\.json"):
        store.find("bad")


def test_what_is_no_task_in_the_directory_is_nobodys_business(store: FileStore, tasks: Path) -> None:
    store.open(make_task("abc"))
    (tasks / "notes.txt").touch()
    (tasks / "lost+found").mkdir()
    (tasks / "link").symlink_to(tasks / "abc")
    (tasks / os.fsdecode(b"\xff")).mkdir()
    assert [report.id for report in store.reports()] == ["abc"]
    assert store.damaged() == []


def test_fields_of_a_later_version_do_no_harm(store: FileStore, tasks: Path) -> None:
    store.open(make_task("abc"))
    path = tasks / "abc" / "report.json"
    path.write_bytes(path.read_bytes()[:-1] + b',"later":{"x":1}}')
    assert store.find("abc").id == "abc"


def test_a_home_that_is_a_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    store = FileStore(tmp_path / "home")
    with pytest.raises(RecordError, match=r"cannot make .*/home/tasks: Not a directory"):
        store.open(make_task("abc"))
    with pytest.raises(RecordError, match=r"cannot read .*/home/tasks"):
        store.reports()


def test_a_place_for_tasks_that_is_a_file_is_no_taken_id(store: FileStore, tasks: Path) -> None:
    tasks.parent.mkdir()
    tasks.touch()
    with pytest.raises(RecordError, match=r"/home/tasks exists already$"):
        store.open(make_task("abc"))


def test_a_task_whose_first_report_cannot_be_written_leaves_its_id_free(
    store: FileStore, tasks: Path, files_of_at_most: Callable[[int], AbstractContextManager[None]]
) -> None:
    with files_of_at_most(10), pytest.raises(RecordError, match=r"cannot write .*report\.json: File too large"):
        store.open(make_task("abc"))
    assert list(tasks.iterdir()) == []
    store.open(make_task("abc"))


def test_a_thousand_tasks_are_listed_in_no_time(store: FileStore, tasks: Path) -> None:
    data = encode_json(make_report("id", "s" * 2000))
    for number in range(1000):
        (tasks / f"t{number}").mkdir(parents=True)
        (tasks / f"t{number}" / "report.json").write_bytes(data.replace(b'"id":"id"', b'"id":"t%d"' % number))
    started = time.process_time()
    assert len(store.reports()) == 1000
    assert time.process_time() - started < 0.5
