import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.errors import MODEL_FAILURES, ModelFailure
from kugetsu.models.reporter import Reporter
from kugetsu.testing import FakeClock

SECRET = 'sk-"canary"/42+42=='


def reporter(*secrets: str) -> Reporter:
    return Reporter("test/m", "https://host/v1", "TEST_KEY", secrets or (SECRET,), FakeClock())


def test_a_message_names_provider_model_status_words_and_advice() -> None:
    error = reporter().answered(429, {"retry-after": "7"}, b'{"error": {"message": "Slow down, please."}}')
    assert str(error) == "test/m: rate limited (HTTP 429): Slow down, please."
    assert (error.kind, error.status, error.retry_after, error.retryable) == ("rate_limited", 429, 7.0, True)
    refused = reporter().answered(401, {}, b"nope")
    assert str(refused) == "test/m: the key was not accepted (HTTP 401): nope (check the key in TEST_KEY)"


def test_a_status_inside_the_body_counts_where_there_is_no_other() -> None:
    assert reporter().streamed(b'{"error": {"code": 502, "message": "gone"}}').status == 502


@pytest.mark.parametrize(
    "body",
    [
        SECRET.encode(),
        b'{"error": {"message": "Bearer sk-\\"canary\\"/42+42== is wrong"}}',
        b'not json: sk-\\"canary\\"/42+42==',
        b"GET /?key=sk-%22canary%22%2F42%2B42%3D%3D",
        b'<p>sk-"canary"/42+42==</p>',
        b"x" * 290 + SECRET.encode(),
    ],
)
def test_a_key_that_the_provider_echoes_is_not_repeated(body: bytes) -> None:
    error = reporter().answered(401, {}, body)
    shown = f"{error} {error!r} {error.args} {error.fix}"
    assert "canary" not in shown
    assert error.__context__ is None
    assert error.__cause__ is None


@given(st.text("abc", min_size=4, max_size=8), st.text("abc", min_size=4, max_size=6), st.text("abc x", max_size=400))
def test_no_secret_survives_whatever_surrounds_it(one: str, other: str, text: str) -> None:
    message = reporter(one, other).failed("network", text + one + other).message
    assert one not in message.removeprefix("test/m: the connection failed")
    assert other not in message.removeprefix("test/m: the connection failed")


def test_a_placeholder_for_a_key_is_not_blanked() -> None:
    assert "x is x" in reporter("x", "").failed("network", "x is x").message


def test_foreign_text_is_one_short_line_that_steers_no_terminal() -> None:
    message = reporter().failed("network", "a\n\tb\x1b[31mred\x07\u202eright\ud800 " + "long " * 500).message
    assert message.startswith("test/m: the connection failed: a b [31mred right long")
    assert len(message) < 400
    assert message.isprintable()


@pytest.mark.parametrize("kind", MODEL_FAILURES)
def test_every_kind_has_words(kind: ModelFailure) -> None:
    error = reporter().failed(kind, "")
    assert error.kind == kind
    assert error.message.startswith("test/m: ")
