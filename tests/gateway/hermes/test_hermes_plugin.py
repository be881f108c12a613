import ast
import http.server
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import kugetsu_hermes
from hermes.fake_kugetsu import FakeKugetsu
from hermes.stand_in import StandIn
from kugetsu_hermes.settings import load_settings
from kugetsu_hermes.trouble import Trouble

PACKAGE = Path(kugetsu_hermes.__file__).parent


def configure(home: Path, **settings: Any) -> None:
    (home / "kugetsu.json").write_text(json.dumps(settings))


def test_the_plugin_needs_nothing_but_the_standard_library() -> None:
    for file in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                assert {each.name.partition(".")[0] for each in node.names} <= sys.stdlib_module_names, file
            elif isinstance(node, ast.ImportFrom) and not node.level:
                assert (node.module or "").partition(".")[0] in sys.stdlib_module_names, file


def test_the_manifest_names_the_tools_that_are_registered(hermes: StandIn) -> None:
    manifest = (PACKAGE / "plugin.yaml").read_text()

    assert set(hermes.tools) == {"kugetsu_submit", "kugetsu_status", "kugetsu_control", "kugetsu_result", "pi_agent"}
    assert f"provides_tools: [{', '.join(hermes.tools)}]" in manifest
    assert f"version: {kugetsu_hermes.__version__}" in manifest
    assert {tool["toolset"] for tool in hermes.tools.values()} == {"kugetsu"}


def test_a_task_knows_the_chat_it_came_from(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    said = hermes.call("kugetsu_submit", message=5, prompt="mend it", repo="site", check="make test")

    assert said.startswith("Task task000001 is accepted (in the queue). The result")
    _, _, body = kugetsu.requests[-1]
    assert (body["prompt"], body["repo"], body["check"]) == ("mend it", "/srv/site", "make test")
    assert body["reply_to"] == {
        "target": "hermes",
        "platform": "telegram",
        "chat_id": "42",
        "thread_id": "7",
        "user_id": "1",
        "message_id": "5",
    }
    assert kugetsu.headers[-1]["idempotency-key"] == body["key"]


def test_outside_of_a_chat_there_is_no_way_back_and_no_key(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    said = hermes.call("kugetsu_submit", prompt="mend it", repo="site")

    assert "Nobody is told" in said
    assert kugetsu.requests[-1][2] == {"prompt": "mend it", "repo": "/srv/site"}


def test_a_chat_that_news_cannot_come_back_to_is_told_so(hermes_home: Path, kugetsu: FakeKugetsu) -> None:
    configure(hermes_home, server=kugetsu.url, repo="/srv/site", platforms=["discord"])

    said = StandIn().call("kugetsu_submit", message=1, prompt="mend it")

    assert "Nobody is told" in said
    assert "reply_to" not in kugetsu.requests[-1][2]


def test_the_same_call_for_the_same_message_starts_one_task(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    hermes.call("kugetsu_submit", message=5, prompt="mend it", repo="site")
    again = hermes.call("kugetsu_submit", message=5, prompt="mend it", repo="site")
    other = hermes.call("kugetsu_submit", message=5, prompt="mend that", repo="site")
    later = hermes.call("kugetsu_submit", message=6, prompt="mend it", repo="site")

    assert "made before; it is task task000001" in again
    assert ("task000002" in other, "task000003" in later) == (True, True)
    assert len(kugetsu.tasks) == 3


def test_the_older_name_does_the_same_with_its_own_words(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    assert "accepted" in hermes.call("pi_agent", task="mend it", repository="site")
    assert kugetsu.requests[-1][2] == {"prompt": "mend it", "repo": "/srv/site"}


def test_a_task_on_an_issue_needs_no_repository(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    hermes.call("kugetsu_submit", prompt="mend it", subject="ada/clock#7")

    assert kugetsu.requests[-1][2] == {"prompt": "mend it", "subject": "ada/clock#7"}


def test_a_task_without_a_repository_is_refused_with_the_names_that_are_known(hermes: StandIn) -> None:
    assert hermes.call("kugetsu_submit", prompt="mend it") == (
        "Error: the task names no repository. What to do: give `repo`: one of site, or a path or URL."
    )


def test_a_question_is_shown_and_answered(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    name = kugetsu.add("mend it", state="waiting", question="Which clock?")

    assert "waiting for an answer - mend it - asks: Which clock?" in hermes.call("kugetsu_status")
    assert "It asks: Which clock?" in hermes.call("kugetsu_status", task=name)
    said = hermes.call("kugetsu_control", task=name, action="answer", text="the red one")
    assert said == f"Task {name} has its answer and goes on (in the queue)."
    assert kugetsu.requests[-1] == ("POST", f"/v1/tasks/{name}/answer", {"text": "the red one"})


def test_a_refusal_says_what_to_do(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    name = kugetsu.add("mend it", state="running")

    assert hermes.call("kugetsu_control", task=name, action="answer", text="yes") == (
        f"Error: task {name} asks nothing. What to do: `kugetsu steer` says something to an agent that asks nothing."
    )
    assert "kugetsu_status" in hermes.call("kugetsu_result", task="nothing")
    assert "actions are" in hermes.call("kugetsu_control", task=name, action="explode")
    assert "names no task" in hermes.call("kugetsu_status", task="two words")


def test_a_full_queue_says_when_to_come_back(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    kugetsu.full = 90

    assert (
        hermes.call("kugetsu_submit", prompt="mend it", repo="site") == "Error: the queue is full. Try again in 90 s."
    )


def test_an_issue_names_a_task_in_an_address(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    kugetsu.add("mend it", subject="github.com/ada/clock#7")

    assert "mend it" in hermes.call("kugetsu_status", task="github.com/ada/clock#7")
    assert kugetsu.requests[-1][1] == "/v1/tasks/github.com%2Fada%2Fclock%237"


def test_a_result_names_the_work_and_shows_the_patch_when_asked(hermes: StandIn, kugetsu: FakeKugetsu) -> None:
    name = kugetsu.add(
        "mend it",
        state="completed",
        outcome={"class": "completed", "message": "done"},
        summary="It ticks again.",
        branch="kugetsu/x-mend-it",
        commits=[{"sha": "a" * 40, "subject": "Wind it up"}],
        files_changed=2,
        insertions=3,
        deletions=1,
        check={"command": "make test", "passed": False, "exit_code": 1, "output_tail": "1 failed"},
    )

    said = hermes.call("kugetsu_result", task=name)
    assert "It ticks again.\nBranch kugetsu/x-mend-it: 1 commits, 2 files, +3 -1\n  aaaaaaaaaa Wind it up" in said
    assert "Check FAILED: make test\n1 failed" in said
    assert "0.50 USD" in said
    assert "+new line" not in said
    assert "+new line" in hermes.call("kugetsu_result", task=name, diff=True)


def test_the_tools_are_never_hidden_and_say_what_to_do(hermes: StandIn, hermes_home: Path) -> None:
    assert not any("check_fn" in tool for tool in hermes.tools.values())

    configure(hermes_home, server="http://127.0.0.1:9")
    assert "cannot be reached" in hermes.call("kugetsu_status")
    configure(hermes_home, mode="spawn", command=["no-such-program"])
    assert "`no-such-program` cannot be started" in hermes.call("kugetsu_status")
    (hermes_home / "kugetsu.json").write_text("{")
    assert "is no JSON" in hermes.call("kugetsu_status")


def test_a_token_is_shown_and_its_refusal_is_told(hermes_home: Path, kugetsu: FakeKugetsu) -> None:
    kugetsu.token = "kgt_a_right"
    configure(hermes_home, server=kugetsu.url, token="kgt_a_wrong")
    hermes = StandIn()

    refused = hermes.call("kugetsu_status")
    assert refused == (
        "Error: the token is not known. What to do: run `kugetsu hermes setup` again, which makes a token for Hermes."
    )
    configure(hermes_home, server=kugetsu.url, token="kgt_a_right")
    assert hermes.call("kugetsu_status") == "No task is at work or waiting."


def test_a_silent_server_holds_nobody_up(hermes_home: Path, kugetsu: FakeKugetsu) -> None:
    kugetsu.silent = 1.0
    configure(hermes_home, server=kugetsu.url, seconds=0.2, repo="/srv/site")

    said = StandIn().call("kugetsu_submit", prompt="mend it")

    assert "gave no answer in 0.2 s; what was asked may have been done all the same" in said


def test_a_redirect_is_not_followed_and_takes_no_token_along(hermes_home: Path, kugetsu: FakeKugetsu) -> None:
    class Elsewhere(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", kugetsu.url)
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        configure(hermes_home, server=f"http://127.0.0.1:{server.server_port}", token="kgt_a_b")
        said = StandIn().call("kugetsu_status")
        server.shutdown()
        thread.join()

    assert "answered with status 302" in said
    assert kugetsu.requests == []


def test_variables_of_a_proxy_do_not_matter_on_the_way_to_this_machine(
    hermes: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert hermes.call("kugetsu_status") == "No task is at work or waiting."


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('{"mode": "telepathy"}', "`mode`"),
        ('{"command": "kugetsu"}', "`command`"),
        ('{"seconds": true}', "`seconds`"),
        ('{"repositories": {"a": 1}}', "`repositories`"),
        ('{"colour": 1}', "unknown field 'colour'"),
        ("[]", "kugetsu hermes setup"),
        ("{", "no JSON"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(hermes_home: Path, written: str, said: str) -> None:
    (hermes_home / "kugetsu.json").write_text(written)

    with pytest.raises(Trouble, match=said.replace("`", "`")):
        load_settings(hermes_home, {})


def test_variables_go_before_the_file(hermes_home: Path) -> None:
    configure(hermes_home, server="http://127.0.0.1:1", token="kgt_a_b")

    settings = load_settings(
        hermes_home, {"KUGETSU_SERVER": "http://127.0.0.1:2", "KUGETSU_HERMES_COMMAND": "ssh there 'ku getsu'"}
    )

    assert (settings.server, settings.command) == ("http://127.0.0.1:2", ("ssh", "there", "ku getsu"))
    assert "kgt_a_b" not in repr(settings)
