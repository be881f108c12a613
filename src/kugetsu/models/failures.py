"""What kind of failure a provider's answer is: tables of its codes, its words and its status."""

import re
from typing import Final

import msgspec

from kugetsu.errors import ModelFailure
from kugetsu.models.error_body import ErrorBody


class _Rule(msgspec.Struct, frozen=True):
    """A kind of failure, and how providers say it.

    Attributes:
        codes: names of the failure, one of which is enough.
        words: or a pattern of its message.
        statuses: the rule holds for these only; empty for any.
    """

    kind: ModelFailure
    codes: frozenset[str]
    words: re.Pattern[str]
    statuses: frozenset[int] = frozenset()


def _rule(kind: ModelFailure, codes: str, *words: str, statuses: tuple[int, ...] = ()) -> _Rule:
    pattern = re.compile("|".join(words) or r"(?!)", re.IGNORECASE | re.DOTALL)
    return _Rule(kind, frozenset(codes.split()), pattern, frozenset(statuses))


_RULES: Final = (
    # OpenRouter's 402 that passes by itself, as its documentation of limits says.
    _rule("rate_limited", "openrouter_in_flight_budget"),
    # Gemini answers 429 with OpenAI's words for an empty account to mere bursts; what is really used up says so.
    _rule("quota", "", r"\blimit: 0\b", r"quota exceeded .*\bper day\b", statuses=(429,)),
    _rule(
        "context_overflow",
        "context_length_exceeded exceed_context_size_error request_too_large model_context_window_exceeded",
        r"(prompt|input) is too long",
        r"exceeds? .{0,40}context (window|length|size|limit)",
        r"maximum context length",
        r"context window exceeds limit",
        r"context[ _]length[ _]exceeded",
        r"input token count.*exceeds the maximum",
        r"input tokens exceed",
        r"too many input tokens",
        r"maximum prompt length is \d",
        r"prompt token count of \d+ exceeds",
        r"exceeded model token limit",
        r"greater than the context length",
        r"when context the overflows",
        r"reduce the length of (the|your) (messages|prompt|input)",
        r"range of input length should be",
        r"longer than the (model's context|maximum model) length",
        r"context length is only \d",
        r"tokens in the prompt cannot exceed",
        r"max_new_tokens` must be <=",
        r"prompt exceeds max length",
        # A request that alone exceeds the tokens of a minute never passes, however long one waits.
        r"request too large .*(tokens per min|reduce your message size|tokens must be reduced)",
        statuses=(400, 413, 422, 429, 500),
    ),
    _rule("malformed", "tool_use_failed output_parse_failed", r"failed to call a function"),
    _rule(
        "quota",
        "insufficient_quota billing_error billing_not_active billing_hard_limit_reached credit_balance_exhausted "
        "insufficient_balance insufficient_credits payment_required enforced_spend_limit_reached usage_limit_reached "
        "openrouter_credits openrouter_key_limit openrouter_guardrail_budget openrouter_workspace_budget",
        r"insufficient (balance|credit|fund|quota)",
        r"credit balance is too low",
        r"specified API usage limits",
        r"(purchase|buy|add|requires?) more credits",
        r"out of credits",
        r"key limit exceeded",
        r"budget limit exceeded",
        r"billing hard limit",
        r"check your billing",
        r"extra usage is required",
        r"monthly (spend|usage|spending) limit",
    ),
    _rule(
        "refused",
        "content_filter content_policy_violation responsibleaipolicyviolation data_inspection_failed flagged_input "
        "moderation_blocked prohibited_content",
        r"content (management|filtering|usage) polic",
        r"flagged (as|for|by)|was flagged",
        r"violat\w* .{0,40}(usage|content|safety) polic",
        r"content exists risk",
        r"rejected by the safety system",
        statuses=(400, 403, 422, 451),
    ),
    _rule(
        "not_found",
        "model_not_found deploymentnotfound",
        r"\bmodels?[ /:]\S{1,120} (does not exist|(is |was )?not (found|supported|available|loaded))",
        r"is not a valid model",
        r"(no such|unknown|invalid) model",
        r"no models? loaded",
        r"no endpoints found",
        statuses=(400, 403, 404, 422),
    ),
    _rule(
        "authentication",
        "invalid_api_key api_key_invalid authentication_error unauthenticated permission_denied",
        r"(incorrect|invalid|missing) api[ _-]?key",
        r"api[ _-]?key not valid",
        r"no auth credentials",
        r"organization has been disabled",
        r"account .{0,40}(deactivated|suspended|disabled)",
        statuses=(400, 401, 403),
    ),
)
"""Looked through in order before the status counts; the first that fits decides."""

_OUT_OF_MONEY: Final = re.compile(r"exceeded your current quota|quota exceeded", re.IGNORECASE)

_SEARCHED: Final = 4096
"""Characters of a message that the rules look at: some of them cost the square of its length."""

_DAILY: Final = "perday"
"""Part of the ids of Gemini's daily quotas (`GenerateRequestsPerDayPerProjectPerModel-FreeTier`). Gemini asks for a wait
of seconds even where one of these is used up."""

_STATUSES: Final[dict[int, ModelFailure]] = {
    401: "authentication",
    402: "quota",
    403: "authentication",
    404: "not_found",
    405: "not_found",
    408: "overloaded",
    409: "overloaded",
    413: "context_overflow",
    425: "overloaded",
    429: "rate_limited",
    451: "refused",
    498: "overloaded",
    499: "overloaded",
    501: "bad_request",
}
"""Where no rule fits. What is not here: any other 5xx is `overloaded`, anything else `bad_request`."""

_STREAM_RULES: Final = (
    _rule(
        "rate_limited",
        "rate_limit_error rate_limit_exceeded too_many_requests resource_exhausted throttling throttlingexception",
        r"rate[ _-]?limit|too many requests|throttl",
    ),
    _rule("overloaded", "overloaded_error api_error server_error timeout_error", r"overloaded|internal server error"),
    _rule("bad_request", "invalid_request_error bad_request badrequesterror invalid_argument"),
    _rule("not_found", "not_found_error notfounderror"),
    _rule("authentication", "permission_error"),
)
"""For errors inside a reply that began well, which often carry no status."""


def classify(status: int | None, body: ErrorBody, *, waits: bool) -> ModelFailure:
    """Tell how a call failed.

    Args:
        status: HTTP status of the answer; None for an error inside a reply that began with 200.
        body: what the provider says.
        waits: whether the provider says how long to wait.
    """
    status = status or body.status
    if any(_DAILY in code for code in body.codes):
        return "quota"
    body = msgspec.structs.replace(body, message=body.message[:_SEARCHED])
    for rule in _RULES:
        if (status is None or not rule.statuses or status in rule.statuses) and _fits(rule, body):
            return rule.kind
    if _OUT_OF_MONEY.search(body.message) and not (waits or "resource_exhausted" in body.codes):
        return "quota"
    if status is None:
        return next((rule.kind for rule in _STREAM_RULES if _fits(rule, body)), "overloaded")
    return _STATUSES.get(status) or ("overloaded" if status >= 500 else "bad_request")  # noqa: PLR2004 - HTTP's own


def _fits(rule: _Rule, body: ErrorBody) -> bool:
    return not rule.codes.isdisjoint(body.codes) or rule.words.search(body.message) is not None
