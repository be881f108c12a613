import base64
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kugetsu.config import LogSettings, ProviderSettings, Settings
from kugetsu.events import Noted, TaskFinished, TaskStarted, ToolStarted
from kugetsu.logs import Redactor, known_secrets, open_log
from kugetsu.logs.shapes import without_shapes
from kugetsu.tasks import Outcome
from logs.conftest import Journal

KEY = 'p4s/s+w0"rd=é'

SHAPED = [
    "sk-proj-abcdefghijklmnop1234",
    "sk-ant-api03-AbCdEfGhIjKlMnOp-_1",
    "sk-or-v1-0123456789abcdef0123456789abcdef",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz",
    "glpat-abcdefghij0123456789",
    "xoxb-123456789012-abcdefghij",
    "AKIAIOSFODNN7EXAMPLE",
    "AIzaSyA-abcdefghijklmnopqrstuvwxyz01234",
    "gsk_abcdefghijklmnopqrstuvwxyz",
    "hf_abcdefghijklmnopqrstuvwxyz",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4",
    "sk_live_" + "aB3" * 8,
    "sk_test_" + "aB3" * 8,
    "rk_live_" + "aB3" * 8,
    "rk_test_" + "aB3" * 8,
    "xai-" + "aB3" * 20,
    "SG." + "aB3" * 7 + "." + "xY9" * 14,
    "dop_v1_" + "a1" * 32,
    "ya29.a0AfH6SM" + "bC3" * 10,
    "hooks.slack.com/services/T000/B000/XXXXXXXXXXXX",
]


@pytest.mark.parametrize("secret", SHAPED)
@pytest.mark.parametrize("around", ["{}", "use {}.", "key={}", '{{"k":"{}"}}', "https://h/?k={}&x=1", "-{}-", "é{}\n"])
def test_what_looks_like_a_secret_is_blanked_wherever_it_stands(secret: str, around: str) -> None:
    shown = without_shapes(around.format(secret))
    assert secret[4:] not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdefgh1234", "Authorization: ***"),
        ("'authorization': 'token abc'", "'authorization': '***'"),
        ("sent Bearer abcdefgh1234 twice", "sent Bearer *** twice"),
        ("sent Basic dXNlcjpwYXNz twice", "sent Basic *** twice"),
        ("https://user:pa@ss@example.org/x", "https://***@example.org/x"),
        ("https://abc123@example.org/x", "https://***@example.org/x"),
        ("ssh://git@example.org/x", "ssh://git@example.org/x"),
        ("ssh://git:pw@example.org/x", "ssh://***@example.org/x"),
        ("password=hunter2 next", "password=*** next"),
        ("DB_PASSWORD='two words' next", "DB_PASSWORD='***' next"),
        ('{"api_key": "a\\"b", "n": 1}', '{"api_key": "***", "n": 1}'),
        ('{\\"apiKey\\": \\"abc\\"}', '{\\"apiKey\\": \\"***\\"}'),
        ("aws_secret_access_key = abc/def+1", "aws_secret_access_key = ***"),
        ("token: abcdef", "token: ***"),
        ("password%3Dhunter2", "password%3D***"),
        ("'password' => 'hunter2' next", "'password' => '***' next"),
        ('password := "hunter2" next', 'password := "***" next'),
        ('if password == "hunter2": next', 'if password == "***": next'),
        ('password: str = "hunter2" next', 'password: *** = "***" next'),
        ("password: str | None = hunter2 next", "password: *** | None = *** next"),
        ('{\\\\\\"password\\\\\\": \\\\\\"a b\\\\\\"}', '{\\\\\\"password\\\\\\": \\\\\\"***\\\\\\"}'),
        ("os.environ['DB_PASSWORD'] = 'hunter2'", "os.environ['DB_PASSWORD'] = '***'"),
        ("DB_PASS=hunter2 SMTP_PW=hunter2 next", "DB_PASS=*** SMTP_PW=*** next"),
        ("{user: 'me', 'pass': 'hunter2'}", "{user: 'me', 'pass': '***'}"),
        ("Cookie: a=b; session=hunter2 x\nnext", "Cookie: ***\nnext"),
        ('Set-Cookie: a="b"; session=hunter2', "Set-Cookie: ***"),
        ("{'cookies': 'a=b; c=d', 'n': 1}", "{'cookies': '***', 'n': 1}"),
        ("curl -u admin:hunter2 https://h", "curl -u admin:*** https://h"),
        ("curl -sSu 'admin:hunter2' https://h", "curl -sSu 'admin:***' https://h"),
        ('["curl", "--user", "admin:hunter2"]', '["curl", "--user", "admin:***"]'),
        ("<user>me</user><password>hun]er,2 x</password>", "<user>me</user><password>***</password>"),
        ('<db:password x="1"><![CDATA[hunter2]]></db:password>', '<db:password x="1"><![CDATA[***</db:password>'),
        ("machine h login me password hunter2 next", "machine h login me password *** next"),
        ("machine h\n  login me\n  password hunter2\n", "machine h\n  login me\n  password ***\n"),
        ("//registry.npmjs.org/:_auth=hunter2", "//registry.npmjs.org/:_auth=***"),
        ("client-key-data: aHVudGVyMg==", "client-key-data: ***"),
        ("curl --password hunter2 --github-token abc x", "curl --password *** --github-token *** x"),
        ("GET /?key=abc&q=1", "GET /?key=***&q=1"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- end", "*** end"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\nde", "***"),
        ("...\nabc+/def\nghi=\n-----END PRIVATE KEY-----", "...***"),
    ],
)
def test_a_secret_beside_its_name_is_blanked_and_the_rest_stays(text: str, shown: str) -> None:
    assert without_shapes(text) == shown
    assert without_shapes(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "4,200 tokens, max_tokens=4096, tokens: 12, input_tokens: 3",
        "paused (token_limit): 20,000,000 tokens are used up",
        "kugetsu/k3f9abcdef-fix-the-task-list-of-the-disk-usage-page",
        "a basic understanding, Basic authentication, and bearer instruments",
        "the passwords page, the keyboard: a key, git@github.com:a/b.git",
        "commit 3f2a1b0c9d3f2a1b0c9d3f2a1b0c9d3f2a1b0c9d on https://example.org/a?b=c",
        "2 tests pass: yes, PASS: test_cookies_page, a bypass = none, needs_auth=no, docker run -u 1000:1000",
        "if a < b: <p>the password page</p> <passage>x</passage>, the login page",
        "openrouter/qwen/qwen3-coder, ghost_writer, glossary-entries-of-the-book",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert without_shapes(text) == text


PIECES = [
    *("a", "sk-", "ghp_a", "eyJ", "eyJa.", "://", "://a:a@", "a://a?", "--a ", "--password ", "Bearer aA", "basic "),
    *("token", "token=", 'token="', "password='", '\\"', "secret_", "secret-aaaaaaa", "Authorization: ", "&key="),
    *("xoxb-", "AKIA", "-----BEGIN PRIVATE KEY-----", "a-----END PRIVATE KEY-----", "\x1b[0", "\x1b]", "\n", " "),
    *("\ud800", "\u0130", "=", "@", "%3d", "hunter2hunter"),
    *("<a ", "<a>", "<password>", "</a", "curl -u", "curl -uuuuuuu ", "curl -u a:", "login a ", "machine a password "),
    *("cookie: ", "cookie=a;", "cookie='", "password: a | a | a =", "password: a =", "password:==", "pass", "_pass"),
    *("\\", "password\\", 'password=\\\\\\"', "SG.", "SG." + "a" * 20, "hooks.slack.com/", "_v1_", "'pass'", ":_auth"),
]


@pytest.mark.parametrize("piece", PIECES, ids=ascii)
def test_a_megabyte_of_anything_takes_less_than_a_second(piece: str) -> None:
    text = (piece * (1_000_000 // len(piece) + 1))[:1_000_000]
    redactor = Redactor(["hunter2hunter2", "correct horse battery", "sk-proj-abcdefghijklmnop1234"])
    started = time.thread_time()
    redactor.block(text, 2_000_000)
    assert time.thread_time() - started < 1


@pytest.mark.parametrize(
    "form",
    [
        KEY,
        json.dumps(KEY)[1:-1],
        json.dumps(json.dumps(KEY)[1:-1])[1:-1],
        json.dumps({"arguments": json.dumps({"key": KEY}, ensure_ascii=False)}, ensure_ascii=False),
        quote(KEY, safe=""),
        quote(KEY, safe="").lower(),
        base64.b64encode(f"user:{KEY}".encode()).decode(),
        base64.b64encode(f"abuser:{KEY}:x".encode()).decode(),
        base64.urlsafe_b64encode(f"us:{KEY}".encode()).decode(),
    ],
)
def test_a_known_secret_is_blanked_in_every_usual_spelling(form: str) -> None:
    shown = Redactor([KEY]).redact(f"it is {form} indeed")
    assert "***" in shown
    assert form[4:-4] not in shown


def test_a_secret_that_is_cut_in_two_by_the_end_of_what_is_shown_is_not_shown() -> None:
    redactor = Redactor([KEY * 3])
    for start in range(60):
        text = "a" * start + (f"{KEY * 3} {SHAPED[0]} " * 40)
        shown = redactor.line(text, 50)
        assert len(shown) <= 50
        assert KEY[:6] not in shown
        assert "abcdefgh" not in shown


def test_escape_sequences_do_not_hide_a_secret() -> None:
    assert "hunter2hunter2" not in Redactor(["hunter2hunter2"]).line("hunter2\x1b[0mhunter2", 100)
    assert "correct horse" not in Redactor(["correct horse"]).line("correct\r\n  horse", 100)


def test_known_are_keys_headers_and_variables_that_are_named_so() -> None:
    found = known_secrets(
        Settings(
            providers={
                "mine": ProviderSettings(
                    api_key="key-of-mine", headers={"X-Auth": "Word secret-header", "X-Title": "t"}
                ),
                "yours": ProviderSettings(api_key_env="YOURS"),
                "local": ProviderSettings(api_key="ollama"),
            }
        ),
        {
            "YOURS": "key-of-yours",
            "OPENAI_API_KEY": "key-of-openai",
            "GITHUB_TOKEN": "token-of-github",
            "HOME": "/home",
        },
    )
    assert set(found) == {
        *("key-of-mine", "Word secret-header", "Word", "secret-header"),
        *("key-of-yours", "key-of-openai", "token-of-github"),
    }


def test_a_secret_that_is_spread_over_fields_is_not_put_together(journal: Journal) -> None:
    with journal.open('one","b":"two', "1234567890") as log:
        log.say("spread", "it is spread", a="one", b="two")
        log.say("number", "it is a number", n=1_234_567_890)
        log.say("innocent", "it is not", n=1)
    text = journal.file.read_text()
    assert 'one","b":"two' not in text
    assert "1234567890" not in text
    assert [line["event"] for line in journal.kept()] == ["withheld", "withheld", "innocent"]


SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40)
NOISE = st.text(max_size=30) | st.sampled_from(
    ["\n", "\r\n", "\x1b[31m", "\x00", "\u2028", "\ud800", '"', "\\", "\x85"]
)


@st.composite
def texts(draw: st.DrawFn, secrets: list[str]) -> str:
    parts = draw(st.lists(NOISE | st.sampled_from(secrets), max_size=6))
    return "".join(parts)


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_known_secret_is_in_any_line_and_no_text_breaks_one(data: st.DataObject, tmp_path: Path) -> None:
    secrets = data.draw(st.lists(SECRETS, min_size=1, max_size=3))
    some = texts(secrets)
    name = data.draw(some)
    lines = [
        TaskStarted(prompt=data.draw(some), repo=data.draw(some), model=data.draw(some), runtime="native", at=1.0),
        ToolStarted(turn=1, call_id=data.draw(some), name=name, arguments=data.draw(some), at=1.0),
        Noted(message=data.draw(some), at=1.0),
        TaskFinished(
            state="failed", outcome=Outcome("internal", data.draw(some)), summary=data.draw(some), at=float("nan")
        ),
    ]
    shown, kept = written(tmp_path, secrets, lines, data.draw(some), data.draw(some), data.draw(some))
    for text in (shown, kept):
        assert len(text.splitlines()) == text.count("\n") == len(lines) + 2
        for secret in secrets:
            assert secret not in text
            assert json.dumps(secret)[1:-1] not in text
    for line in kept.splitlines():
        assert list(json.loads(line))[:3] == ["time", "level", "event"]


def written(home: Path, secrets: list[str], events: list[Any], *said: str) -> tuple[str, str]:
    """What a log with these events writes on a stream, and keeps."""
    import io

    stream = io.StringIO()
    file = home / "logs" / "kugetsu.log"
    file.unlink(missing_ok=True)
    with open_log(LogSettings(level="debug"), home, stream=stream, secrets=secrets) as log:
        task = log.task("k3f9abcdef", 1)
        for event in events:
            task.take(event)
        log.trouble(said[0] or "-")
        log.say("said", said[1], field=said[2], many=list(said), deep={said[0]: {"x": said[1]}})
    return stream.getvalue(), file.read_text("utf-8")
