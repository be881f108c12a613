"""The same commands with a server: the one that runs on this machine, and one that is named."""

import http.server
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from kugetsu.config.daemon import running_daemon
from support.command_line import CommandLine, Server, tool

HELD = "touch begun; until [ -e go ]; do sleep 0.02; done"
BEGUN = "worktrees/*/begun"


@pytest.fixture
def server(user: CommandLine) -> Iterator[Server]:
    with user.serving() as server:
        yield server


@pytest.fixture
def held(user: CommandLine, repo: Path) -> list[str]:
    """Options of a task whose first turn ends when somebody says so, and that asks then."""
    script = user.script(
        {"text": "Slow.", "tool_calls": [tool("bash", command=HELD)]},
        {"tool_calls": [tool("ask", question="Which one?")]},
        {"text": "That one."},
        name="held.json",
    )
    return ["--repo", str(repo), "--model", script]


def test_a_task_is_followed_told_asked_and_answered_through_the_server(
    user: CommandLine, server: Server, held: list[str]
) -> None:
    task = user.run("submit", "Do it", *held).stdout.strip()
    begun = user.wait_for(BEGUN, server.process)
    following = user.start("logs", "-f", task, "--json")
    assert "is being worked on" in user.run("steer", task, "Mind the other one").stdout
    begun.with_name("go").touch()
    stdout, stderr = following.communicate(timeout=30)
    assert json.loads(stdout.splitlines()[-1])["type"] == "task_halted"
    assert f"waits for an answer to: Which one? (`kugetsu answer {task} TEXT`)" in stderr.decode()
    assert user.run("answer", task, "The left one", "--json").json()["id"] == task
    done = user.wait_for_state(task, "completed")
    assert (done["served"], done["runs"], done["summary"]) == (True, 2, "That one.")
    assert user.run("logs", task, "--json").stdout.startswith(stdout.decode())
    conversation = user.run("logs", task, "--session").stdout
    assert conversation.index("Mind the other one") < conversation.index("The left one")
    refused = user.run("pause", task)
    assert refused.code == 2
    assert f"task {task} is completed and cannot be paused (server {server.url})" in refused.stderr


def test_the_same_is_shown_as_without_a_server(user: CommandLine, quick: list[str]) -> None:
    user.environ["KUGETSU_LIMITS_TURNS"] = "7"
    asked = ["--max-usd", "3", "--priority", "4", "--subject", "forge.example/a/b#1", "--reply-to", "target=ops"]
    alone = user.run("submit", "Do it", *quick, *asked, "--delay", "1h", "--json").json()
    with user.serving():
        through = user.run("submit", "Do it", *quick, *asked, "--delay", "1h", "--json").json()
        of_server = [user.run(*look).stdout for look in looks(alone["id"])]
    differing = {name for name in alone if alone[name] != through[name]}
    assert differing <= {"id", "session", "created_at", "available_at", "number", "served", "key"}
    assert (through["limits"]["turns"], through["limits"]["usd"], through["created"]) == (7, 3, True)
    of_records = [user.run(*look).stdout for look in looks(alone["id"])]
    assert [text.replace('"served":true', '"served":false') for text in of_server] == of_records


def looks(task: str) -> list[list[str]]:
    return [["list", "--json"], ["show", task, "--json"], ["logs", task, "--json"], ["show", "a/b#1"]]


def test_a_task_that_nobody_works_on_is_brought_home_by_the_server(user: CommandLine, job: list[str]) -> None:
    cut = user.killed("run", "Fix it", *job, at=BEGUN)
    user.run("pause", cut["id"])
    with user.serving():
        assert user.run("cancel", cut["id"]).code == 0
        report = user.wait_for_state(cut["id"], "cancelled")
    assert user.git("show", f"{report['branch']}:new.txt") == "n\n"


@pytest.mark.usefixtures("server")
def test_a_task_that_rests_goes_on_in_the_server(user: CommandLine, quick: list[str]) -> None:
    task = user.run("submit", "Do it", *quick, "--delay", "1h").stdout.strip()
    assert user.run("priority", task, "-5", "--json").json()["priority"] == -5
    assert f"is paused: `kugetsu resume {task}` lets it go on" in user.run("pause", task).stdout
    assert user.run("resume", task, "--queue", "--max-turns", "9", "--json").json()["limits"]["turns"] == 9
    assert user.wait_for_state(task, "completed")["turns"] == 2
    forked = user.run("fork", task, "--turn", "1", "Once more", "--json")
    assert (forked.code, forked.json()["state"]) == (0, "completed")
    begun = user.run("continue", task, "And again").stdout.strip()
    assert user.wait_for_state(begun, "completed")["forked_from"] == f"{task}:2"


@pytest.mark.usefixtures("server")
def test_with_a_server_no_database_is_opened_here(user: CommandLine, quick: list[str]) -> None:
    heavy = "sqlalchemy", "kugetsu.storage", "kugetsu.engine", "kugetsu.app.house", "rich"
    program = (
        "import sys; from kugetsu.cli.main import run_command_line\n"
        "codes = [int(run_command_line(command)) for command in eval(sys.argv[1])]\n"
        f"print(codes, [name for name in {heavy!r} if name in sys.modules])"
    )
    commands = [["submit", "Do it", *quick, "--key", "k"], ["list", "--json"], ["stats", "--json"]]
    done = subprocess.run(
        [sys.executable, "-c", program, repr(commands)], env=user.environ, capture_output=True, check=False
    )
    assert done.stdout.splitlines()[-1] == b"[0, 0, 0] []", done.stderr
    assert json.loads(done.stdout.splitlines()[-2])["uptime"] > 0


def test_a_full_queue_of_a_server_says_when_to_come_back(user: CommandLine, quick: list[str]) -> None:
    user.environ["KUGETSU_QUEUE_MOST_PENDING"] = "1"
    with user.serving():
        del user.environ["KUGETSU_QUEUE_MOST_PENDING"]
        assert user.run("submit", "Do it", *quick, "--delay", "1h").code == 0
        full = user.run("submit", "Do it", *quick, "--json")
        assert (full.code, full.json()["retry_after"]) == (4, 30.0)
        assert "the queue is full" in full.stderr


def test_a_patch_is_byte_for_byte_the_same(user: CommandLine, repo: Path) -> None:
    script = user.script({"tool_calls": [tool("bash", command="printf 'caf\\351\\n' > old.txt")]})
    task = user.run("run", "Do it", "--repo", str(repo), "--model", script, "--json").json()["id"]
    with user.serving() as server:
        for arguments, shown in (
            ([], b"+caf\xe9\n"),
            (["--server", server.url], "+caf\N{REPLACEMENT CHARACTER}\n".encode()),
        ):
            patch = user.start("diff", task, *arguments).communicate(timeout=30)[0]
            assert patch.endswith(shown)


class TestNamed:
    """A server that is named: nothing is known of it here but its address and a token."""

    @pytest.fixture
    def elsewhere(self, user: CommandLine, server: Server, tmp_path: Path) -> CommandLine:
        """A user of the server on another machine, with settings and a state directory of their own."""
        other = CommandLine(tmp_path / "elsewhere")
        other.directory.mkdir()
        other.environ |= {"KUGETSU_SERVER": server.url, "KUGETSU_LIMITS_TURNS": "7", "KUGETSU_CHECK": "exit 9"}
        holder = running_daemon(user.home)
        assert holder
        other.environ["KUGETSU_TOKEN"] = holder.token
        return other

    def test_only_what_is_said_counts_beside_its_own_settings(
        self, user: CommandLine, elsewhere: CommandLine, quick: list[str]
    ) -> None:
        done = elsewhere.run("submit", "Do it", *quick, "--max-usd", "3", "--json")
        assert done.code == 0, done.stderr
        assert (done.json()["limits"]["turns"], done.json()["limits"]["usd"]) == (200, 3)
        task = user.wait_for_state(done.json()["id"], "completed")
        assert task["check"] is None
        assert elsewhere.tasks()[0]["id"] == task["id"]
        assert not elsewhere.home.exists()

    def test_what_cannot_be_meant_there_is_refused(self, elsewhere: CommandLine, quick: list[str]) -> None:
        for repo in ([], ["--repo", "some/where"]):
            done = elsewhere.run("submit", "Do it", *quick[2:], *repo)
            assert (done.code, done.stdout) == (2, ""), repo
            assert "name it with --repo as the server sees it" in done.stderr
        about = elsewhere.run("submit", "Do it", *quick[2:], "--subject", "127.0.0.1:9/a/b#1", "--json").json()
        assert about["repo"] == "https://127.0.0.1:9/a/b"
        done = elsewhere.run("resume", "zzzz")
        assert done.code == 2
        assert "--queue" in done.stderr
        elsewhere.environ["KUGETSU_TOKEN"] = "kgt_wrong_0123456789abcdef"
        for arguments in (["list"], ["submit", "Do it", "--repo", "/tmp"], ["logs", "zzzz", "-f"]):
            refused = elsewhere.run(*arguments)
            assert (refused.code, refused.stdout) == (2, ""), refused.stderr
            assert "0123456789abcdef" not in refused.stderr
        elsewhere.environ["KUGETSU_SERVER"] = "http://127.0.0.1:1"
        gone = elsewhere.run("list")
        assert (gone.code, gone.stdout) == (1, "")
        assert "http://127.0.0.1:1" in gone.stderr


class TestGone:
    """The server of this machine may hang, stop or die: what is kept is there all the same."""

    def test_one_that_hangs_is_passed_over(self, user: CommandLine, server: Server, quick: list[str]) -> None:
        task = user.run("submit", "Do it", *quick, "--delay", "1h").stdout.strip()
        server.process.send_signal(signal.SIGSTOP)
        try:
            assert user.run("show", task, "--json").json()["state"] == "pending"
            unknown = user.run("show", "zzzz")
            assert f"from the records in {user.home}: the server at {server.url} does not answer" in unknown.stderr
        finally:
            server.process.send_signal(signal.SIGCONT)

    def test_who_follows_a_task_hears_of_its_end(self, user: CommandLine, server: Server, held: list[str]) -> None:
        task = user.run("submit", "Do it", *held).stdout.strip()
        user.wait_for(BEGUN, server.process)
        following = user.start("logs", "-f", task)
        assert following.stdout
        for line in following.stdout:
            if b"bash: touch begun" in line:
                break
        server.process.kill()
        _, stderr = following.communicate(timeout=30)
        assert (following.returncode, f"`kugetsu resume {task}` goes on with it here" in stderr.decode()) == (0, True)


class Strange(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p>hi")

    def log_message(self, *_told: object) -> None:
        pass


def test_a_server_that_answers_strangely_is_named(user: CommandLine) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Strange) as strange:
        thread = threading.Thread(target=strange.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{strange.server_port}"
        done = user.run("list", "--server", url)
        strange.shutdown()
        thread.join()
    assert (done.code, done.stdout) == (1, "")
    assert url in done.stderr
    assert "Traceback" not in done.stderr
