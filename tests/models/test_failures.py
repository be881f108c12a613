"""Answers of real providers, as their documentation and their users quote them, and what each means to us."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kugetsu.errors import MODEL_FAILURES, ModelFailure
from kugetsu.models.error_body import parse_error_body
from kugetsu.models.failures import classify


def openai(message: str, kind: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def anthropic(kind: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def openrouter(code: int, message: str, **metadata: Any) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "metadata": metadata}, "user_id": "user_1"}


def gemini(code: int, status: str, message: str, *details: dict[str, Any]) -> list[Any]:
    return [{"error": {"code": code, "message": message, "status": status, "details": details}}]


CURRENT_QUOTA = "You exceeded your current quota, please check your plan and billing details."

ANSWERS: list[tuple[int | None, Any, ModelFailure]] = [
    # OpenAI
    (
        401,
        openai("Incorrect API key provided: sk-1***9.", "invalid_request_error", "invalid_api_key"),
        "authentication",
    ),
    (403, openai("Country, region, or territory not supported", "request_forbidden"), "authentication"),
    (
        404,
        openai("The model `gpt-9` does not exist or you do not have access to it.", None, "model_not_found"),
        "not_found",
    ),
    (403, openai("Project `p` does not have access to model `gpt-5`", None, "model_not_found"), "not_found"),
    (
        429,
        openai("Rate limit reached for gpt-4o on requests per min.", "requests", "rate_limit_exceeded"),
        "rate_limited",
    ),
    (429, openai(CURRENT_QUOTA, "insufficient_quota", "insufficient_quota"), "quota"),
    (429, openai("You have run out of credits", "insufficient_quota", "credit_balance_exhausted"), "quota"),
    (
        429,
        openai(
            "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 40000. "
            "The input or output tokens must be reduced in order to run successfully.",
            "tokens",
            "rate_limit_exceeded",
        ),
        "context_overflow",
    ),
    (
        400,
        openai(
            "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens.",
            "invalid_request_error",
            "context_length_exceeded",
        ),
        "context_overflow",
    ),
    (400, openai("Your input exceeds the context window of this model."), "context_overflow"),
    (400, openai("Unsupported parameter: 'max_tokens' is not supported with this model."), "bad_request"),
    (
        400,
        openai("Invalid prompt: flagged as potentially violating our usage policy.", code="invalid_prompt"),
        "refused",
    ),
    (500, openai("The server had an error while processing your request.", "server_error"), "overloaded"),
    (503, openai("The engine is currently overloaded", "service_unavailable_error", "slow_down"), "overloaded"),
    # Azure
    (
        400,
        {"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}, "message": "x"}},
        "refused",
    ),
    (404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}}, "not_found"),
    # Anthropic
    (400, anthropic("invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum"), "context_overflow"),
    (
        400,
        anthropic(
            "invalid_request_error", "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000"
        ),
        "context_overflow",
    ),
    (400, anthropic("invalid_request_error", "Your credit balance is too low to access the Anthropic API."), "quota"),
    (400, anthropic("invalid_request_error", "You have reached your specified API usage limits."), "quota"),
    (400, anthropic("invalid_request_error", "messages.1: text content blocks must be non-empty"), "bad_request"),
    (400, anthropic("invalid_request_error", "Output blocked by content filtering policy"), "refused"),
    (400, anthropic("invalid_request_error", "This organization has been disabled."), "authentication"),
    (401, anthropic("authentication_error", "invalid x-api-key"), "authentication"),
    (402, anthropic("billing_error", "There is an issue with your billing."), "quota"),
    (403, anthropic("permission_error", "Your API key does not have permission."), "authentication"),
    (404, anthropic("not_found_error", "model: claude-9"), "not_found"),
    (413, anthropic("request_too_large", "Request exceeds the maximum size"), "context_overflow"),
    (429, anthropic("rate_limit_error", "This request would exceed your organization's rate limit."), "rate_limited"),
    (429, anthropic("rate_limit_error", "Extra usage is required for long context requests."), "quota"),
    (
        429,
        {
            "error": {
                "type": "rate_limit_error",
                "message": "x",
                "details": {"error_code": "enforced_spend_limit_reached"},
            }
        },
        "quota",
    ),
    (500, anthropic("api_error", "Internal server error"), "overloaded"),
    (504, anthropic("timeout_error", "Request timed out"), "overloaded"),
    (529, anthropic("overloaded_error", "Overloaded"), "overloaded"),
    (None, anthropic("overloaded_error", "Overloaded"), "overloaded"),
    (None, anthropic("rate_limit_error", "Rate limited"), "rate_limited"),
    (None, anthropic("api_error", "Internal server error"), "overloaded"),
    (None, anthropic("invalid_request_error", "nope"), "bad_request"),
    # OpenRouter
    (401, openrouter(401, "No auth credentials found"), "authentication"),
    (401, openrouter(401, "User not found."), "authentication"),
    (402, openrouter(402, "Insufficient credits. Add more using https://openrouter.ai/credits"), "quota"),
    (402, openrouter(402, "This request requires more credits, or fewer max_tokens."), "quota"),
    (402, openrouter(402, "Too many requests under way", limit_source="openrouter_in_flight_budget"), "rate_limited"),
    (403, openrouter(403, "Key limit exceeded (total limit)."), "quota"),
    (403, openrouter(403, "Budget limit exceeded", limit_source="openrouter_workspace_budget"), "quota"),
    (403, openrouter(403, "x", reasons=["violence"], flagged_input="...", provider_name="OpenAI"), "refused"),
    (404, openrouter(404, "No endpoints found for some/model."), "not_found"),
    (400, openrouter(400, "some/model is not a valid model ID"), "not_found"),
    (408, openrouter(408, "Timed out"), "overloaded"),
    (
        429,
        openrouter(
            429,
            "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day",
            headers={"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1763856000000"},
        ),
        "rate_limited",
    ),
    (429, openrouter(429, "Provider returned error", raw="some/model:free is rate-limited upstream."), "rate_limited"),
    (
        400,
        openrouter(
            400, "Provider returned error", raw='{"error":{"message":"Input is too long for requested model."}}'
        ),
        "context_overflow",
    ),
    (
        400,
        openrouter(
            400, "This endpoint's maximum context length is 131072 tokens. However, you requested about 140000."
        ),
        "context_overflow",
    ),
    (502, openrouter(502, "Provider returned error"), "overloaded"),
    (503, openrouter(503, "No instances available"), "overloaded"),
    (None, openrouter(502, "Provider disconnected unexpectedly"), "overloaded"),
    (None, openrouter(429, "Provider returned error"), "rate_limited"),
    (None, {"error": {"code": "rate_limit_exceeded", "message": "slow"}, "choices": []}, "rate_limited"),
    # Gemini
    (400, gemini(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."), "authentication"),
    (
        400,
        gemini(
            400,
            "INVALID_ARGUMENT",
            "The input token count (1196265) exceeds the maximum number of tokens allowed (1048575).",
        ),
        "context_overflow",
    ),
    (403, gemini(403, "PERMISSION_DENIED", "Permission denied"), "authentication"),
    (404, gemini(404, "NOT_FOUND", "models/gemini-9 is not found for API version v1main"), "not_found"),
    (429, gemini(429, "RESOURCE_EXHAUSTED", CURRENT_QUOTA, {"retryDelay": "26s"}), "rate_limited"),
    (429, gemini(429, "RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."), "rate_limited"),
    (429, gemini(429, "RESOURCE_EXHAUSTED", f"{CURRENT_QUOTA} limit: 0, model: gemini-3-pro"), "quota"),
    (
        429,
        gemini(429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'X' and limit 'X per day per user'"),
        "quota",
    ),
    (
        429,
        gemini(
            429,
            "RESOURCE_EXHAUSTED",
            f"{CURRENT_QUOTA}\n* Quota exceeded for metric: generate_content_free_tier_requests, limit: 20",
            {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "20"}]},
            {"retryDelay": "35s"},
        ),
        "quota",
    ),
    (
        429,
        gemini(
            429,
            "RESOURCE_EXHAUSTED",
            CURRENT_QUOTA,
            {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]},
            {"retryDelay": "35s"},
        ),
        "rate_limited",
    ),
    (503, gemini(503, "UNAVAILABLE", "The model is overloaded. Please try again later."), "overloaded"),
    # DeepSeek
    (402, openai("Insufficient Balance", "unknown_error", "invalid_request_error"), "quota"),
    (401, openai("Authentication Fails (no such user)", "authentication_error"), "authentication"),
    (400, openai("Content Exists Risk", "invalid_request_error"), "refused"),
    (422, openai("Failed to deserialize the JSON body", "invalid_request_error"), "bad_request"),
    # Groq
    (
        413,
        openai("Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 9000, ...", "tokens"),
        "context_overflow",
    ),
    (400, openai("Failed to call a function.", "invalid_request_error", "tool_use_failed"), "malformed"),
    (400, openai("Please reduce the length of the messages or completion."), "context_overflow"),
    (498, openai("Flex tier capacity exceeded", code="capacity_exceeded"), "overloaded"),
    # Servers on one's own machine
    (404, {"error": {"message": "model 'qwen9' not found", "type": "api_error"}}, "not_found"),
    (404, {"error": 'model "qwen9" not found, try pulling it first'}, "not_found"),
    (503, {"error": "server busy, please try again.  maximum pending requests exceeded"}, "overloaded"),
    (
        400,
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens.",
            "type": "BadRequestError",
        },
        "context_overflow",
    ),
    (404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError"}, "not_found"),
    (
        400,
        {"error": {"code": 400, "message": "too large", "type": "exceed_context_size_error", "n_ctx": 4096}},
        "context_overflow",
    ),
    (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}, "overloaded"),
    (400, {"error": "Trying to keep the first 9000 tokens when context the overflows."}, "context_overflow"),
    (422, {"detail": [{"loc": ["body"], "msg": "field required", "type": "value_error.missing"}]}, "bad_request"),
    # Others
    (
        400,
        openai("This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
        "context_overflow",
    ),
    (
        400,
        openai("Prompt contains 99 tokens and is too large for model with 32 maximum context length"),
        "context_overflow",
    ),
    (400, openai("Your request exceeded model token limit: 262144"), "context_overflow"),
    (400, openai("invalid params, context window exceeds limit"), "context_overflow"),
]


@pytest.mark.parametrize(("status", "body", "kind"), ANSWERS)
def test_an_answer_of_a_provider_is_classed(status: int | None, body: Any, kind: ModelFailure) -> None:
    parsed = parse_error_body(msgspec.json.encode(body))
    waits = "retryDelay" in str(body)
    assert classify(status, parsed, waits=waits) == kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "bad_request"),
        (401, "authentication"),
        (402, "quota"),
        (403, "authentication"),
        (404, "not_found"),
        (405, "not_found"),
        (409, "overloaded"),
        (413, "context_overflow"),
        (418, "bad_request"),
        (429, "rate_limited"),
        (451, "refused"),
        (500, "overloaded"),
        (502, "overloaded"),
        (503, "overloaded"),
        (504, "overloaded"),
        (520, "overloaded"),
        (529, "overloaded"),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html><body>nginx</body></html>", b'"no"', b"null", b"\xff\xfe"])
def test_without_words_the_status_decides(status: int, kind: ModelFailure, body: bytes) -> None:
    assert classify(status, parse_error_body(body), waits=False) == kind


def test_an_error_in_a_reply_that_says_nothing_may_pass() -> None:
    assert classify(None, parse_error_body(b'{"error": {"message": "?"}}'), waits=False) == "overloaded"


def test_words_are_found_in_json_within_strings() -> None:
    inner = '{"error":{"code":429,"message":"Quota exceeded","details":[{"retryDelay":"7s"}]}}'
    body = parse_error_body(msgspec.json.encode({"error": {"message": inner, "code": 429}}))
    assert body.message == "Quota exceeded"
    assert body.hints["retrydelay"] == "7s"
    assert body.status == 429


def test_a_page_of_html_becomes_its_words() -> None:
    page = b"<html><head><title>502 Bad Gateway</title><style>a{}</style></head><body><h1>Oops</h1></body></html>"
    assert parse_error_body(page).message == "502 Bad Gateway Oops"


@pytest.mark.parametrize(
    ("page", "words"),
    [
        (b"<p>Busy</p><script>" + b"x" * 9000, "Busy"),
        (b"<style>" + b"a{}" * 3000 + b"</style><p>Busy</p>", "Busy"),
        (b"<p>Busy</p><br", "Busy"),
        (b"<1 token is left", "<1 token is left"),
    ],
)
def test_a_page_that_is_long_or_broken_off_becomes_its_words(page: bytes, words: str) -> None:
    assert parse_error_body(page).message == words


@pytest.mark.parametrize(
    "body",
    [
        b"<script" * 9000,
        b"<p" * 30_000,
        b"<" * 65_000,
        b"</script" + b" " * 65_000,
        b'{"error": {"message": "' + b"quota exceeded " * 4300 + b'"}}',
    ],
)
def test_no_body_takes_long_to_read(body: bytes) -> None:
    begun = time.process_time()
    classify(429, parse_error_body(body), waits=False)
    assert time.process_time() - begun < 0.5


def test_what_stands_beside_a_long_message_counts() -> None:
    error = {"message": "x" * 50_000, "code": "insufficient_quota", "status": 429, "retry_after": 7}
    body = parse_error_body(msgspec.json.encode({"error": error}))
    assert (body.status, body.hints["retry_after"]) == (429, "7")
    assert classify(None, body, waits=True) == "quota"


def test_a_code_of_thousands_of_digits_is_no_status() -> None:
    assert parse_error_body(b'{"code": "%s"}' % (b"9" * 5000)).status is None


def test_the_same_words_are_said_once() -> None:
    body = {"error": {"message": "Overloaded", "metadata": {"raw": '{"message": "Overloaded"}'}}}
    assert parse_error_body(msgspec.json.encode(body)).message == "Overloaded"


@given(
    st.one_of(
        st.binary(),
        st.recursive(
            st.text() | st.integers() | st.none(),
            lambda inner: (
                st.dictionaries(st.sampled_from(["error", "message", "code", "status", "type", "x"]), inner)
                | st.lists(inner)
            ),
        ).map(msgspec.json.encode),
    )
)
def test_no_body_breaks_the_reading(body: bytes) -> None:
    assert classify(None, parse_error_body(body), waits=False) in MODEL_FAILURES


def test_a_deeply_nested_body_is_read_as_text() -> None:
    assert parse_error_body(b"[" * 100_000).codes == frozenset()
    assert parse_error_body(b'{"error":' * 500 + b"1" + b"}" * 500).message == ""
