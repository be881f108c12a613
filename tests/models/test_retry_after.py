import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.models.error_body import parse_error_body
from kugetsu.models.retry_after import retry_after

NOW = 1_763_800_000.0  # Sat, 22 Nov 2025 08:26:40 GMT


def wait(headers: dict[str, str], body: object = None) -> float | None:
    return retry_after(headers, parse_error_body(msgspec.json.encode(body)), NOW)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "-4"}, 0),
        ({"retry-after": "Sat, 22 Nov 2025 08:27:00 GMT"}, 20),
        ({"retry-after": "Sat, 22 Nov 2025 08:00:00 GMT"}, 0),
        ({"retry-after": "Sat, 22 Nov 2025 08:27:00 GMT", "date": "Sat, 22 Nov 2025 08:26:55 GMT"}, 5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"x-ms-retry-after-ms": "1500"}, 1.5),
        ({"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, 360),
        ({"x-ratelimit-reset-tokens": "7.66s", "x-ratelimit-remaining-tokens": "0"}, 7.66),
        ({"x-ratelimit-reset-tokens": "120ms"}, 0.12),
        ({"x-ratelimit-reset-requests": "1h2m3s", "x-ratelimit-reset-tokens": "2s"}, 3723),
        ({"x-ratelimit-reset-requests": "1h", "x-ratelimit-remaining-requests": "7"}, None),
        ({"x-ratelimit-reset": "1763800030000", "x-ratelimit-remaining": "0"}, 30),
        ({"x-ratelimit-reset": "1763800030"}, 30),
        ({"x-ratelimit-reset": "42"}, 42),
        ({"ratelimit-reset": "17"}, 17),
        ({"anthropic-ratelimit-requests-reset": "2025-11-22T08:27:10Z"}, 30),
        (
            {
                "anthropic-ratelimit-input-tokens-reset": "2025-11-22T08:27:10Z",
                "anthropic-ratelimit-input-tokens-remaining": "0",
                "anthropic-ratelimit-requests-reset": "2025-11-22T09:00:00Z",
                "anthropic-ratelimit-requests-remaining": "49",
            },
            30,
        ),
        ({}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "99999999"}, None),
        ({"retry-after": "Sat, 99 Nov 2025 08:27:00 GMT"}, None),
    ],
)
def test_headers_name_the_wait(headers: dict[str, str], seconds: float | None) -> None:
    found = wait(headers)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (
            [
                {
                    "error": {
                        "code": 429,
                        "details": [{"@type": "type.googleapis.com/x.RetryInfo", "retryDelay": "34.07s"}],
                    }
                }
            ],
            34.07,
        ),
        ({"error": {"message": "x", "metadata": {"headers": {"X-RateLimit-Reset": "1763800060000"}}}}, 60),
        ({"error": {"message": "Rate limit reached for gpt-4o. Please try again in 1.2s. Visit ..."}}, 1.2),
        ({"error": {"message": "Limit 6000, Used 5800. Please try again in 7m12.5s. Need more tokens?"}}, 432.5),
        ({"error": {"message": "Please try again in 20ms."}}, 0.02),
        ({"error": {"message": "Too many requests. Please retry after 6 seconds."}}, 6),
        ({"error": {"message": "Please retry in 45.578569677s."}}, 45.578569677),
        ({"error": {"message": "Try again in 2 hours"}}, 7200),
        ({"error": {"message": "Please wait 5 minutes"}}, 300),
        ({"error": {"message": "You will regain access on 2025-12-01 at 00:00 UTC."}}, 747200),
        ({"error": {"message": "slow down"}, "retry_after": 12}, 12),
        ({"error": {"message": "gpt-4 retries 3 times"}}, None),
    ],
)
def test_bodies_name_the_wait(body: object, seconds: float | None) -> None:
    found = wait({}, body)
    assert found == (None if seconds is None else pytest.approx(seconds))


@given(st.dictionaries(st.sampled_from(["retry-after", "date", "x-ratelimit-reset", "retry-after-ms"]), st.text()))
def test_no_header_breaks_the_reading(headers: dict[str, str]) -> None:
    found = wait(headers)
    assert found is None or (found >= 0 and math.isfinite(found))
