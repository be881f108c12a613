"""Failures of one model as `ModelError`s: clear, short, and without a key."""

import json
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote

from kugetsu.context import Overflow, read_overflow
from kugetsu.errors import ModelError, ModelFailure
from kugetsu.models.error_body import ErrorBody, has_error, parse_error_body
from kugetsu.models.failures import classify
from kugetsu.models.retry_after import retry_after
from kugetsu.protocols import Clock

_PIECE: Final = 300
"""Characters of a provider's text that a message shows."""

_SHORTEST_SECRET: Final = 4
"""Shorter values are placeholders for servers that want any key; to blank them would ruin every message."""

_SAYS: Final[dict[ModelFailure, str]] = {
    "authentication": "the key was not accepted",
    "bad_request": "the request was not accepted",
    "not_found": "not found",
    "rate_limited": "rate limited",
    "quota": "out of credit or quota",
    "overloaded": "the provider is overloaded or failing",
    "context_overflow": "the conversation does not fit into the model's context",
    "network": "the connection failed",
    "stall": "the provider fell silent",
    "malformed": "the reply cannot be understood",
    "refused": "the content was refused",
}

_FIXES: Final[dict[ModelFailure, str]] = {
    "quota": "add credit at the provider, wait until its limit is reset, or choose another model",
    "context_overflow": "split the task, or choose a model with a larger context",
    "refused": "rephrase the task, or choose another model",
}


class Reporter:
    """Makes the errors of one model.

    Args:
        label: `provider/model`.
        base_url: where it is called, for advice.
        key_source: where its key comes from, in words; empty when it has none.
        secrets: values that must never be shown.
        clock: tells what date a wait ends.
    """

    def __init__(self, label: str, base_url: str, key_source: str, secrets: Iterable[str], clock: Clock) -> None:
        self._label = label
        self._base_url = base_url
        self._key_source = key_source
        self._secrets = _spellings(secrets)
        self._clock = clock

    def answered(self, status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
        """The provider answered with an error status. `headers` has lower-case names."""
        return self._told(status, headers, parse_error_body(body))

    def streamed(self, data: bytes) -> ModelError:
        """The provider sent an error inside a reply that began well."""
        return self._told(None, {}, parse_error_body(data))

    def unstreamed(self, status: int, content_type: str, body: bytes) -> ModelError:
        """The provider answered well but not with a stream: with an error after all, or with something else."""
        if content_type == "application/json" and has_error(body):
            return self.streamed(body)
        what = f"{content_type} instead of a stream of events: {body.decode('utf-8', 'replace')}"
        return self.failed("malformed", what, fix=f"check the base_url {self._base_url}", status=status)

    def failed(self, kind: ModelFailure, what: str, *, fix: str = "", status: int | None = None) -> ModelError:
        """Anything else; `what` may hold foreign text."""
        return ModelError(kind, self._message(kind, status, what), fix=fix or self._fix(kind), status=status)

    def _told(self, status: int | None, headers: Mapping[str, str], body: ErrorBody) -> ModelError:
        wait = retry_after(headers, body, self._clock.now())
        kind = classify(status, body, waits=wait is not None)
        status = status or body.status
        overflow = read_overflow(_sizes(body)) if kind == "context_overflow" else Overflow()
        return ModelError(
            kind,
            self._message(kind, status, body.message),
            fix=self._fix(kind),
            retry_after=wait,
            status=status,
            window=overflow.window,
            prompt=overflow.prompt,
        )

    def _message(self, kind: ModelFailure, status: int | None, text: str) -> str:
        where = f"{self._label}: {_SAYS[kind]}" + (f" (HTTP {status})" if status else "")
        piece = self._shown(text)
        return f"{where}: {piece}" if piece else where

    def _shown(self, text: str) -> str:
        """A short piece of foreign text: one line, nothing that steers a terminal, no secret."""
        for secret in self._secrets:
            text = text.replace(secret, "[key]")
        text = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return text if len(text) <= _PIECE else text[: _PIECE - 1] + "…"

    def _fix(self, kind: ModelFailure) -> str:
        if kind == "authentication":
            return f"check the key in {self._key_source}" if self._key_source else "set a key for this provider"
        if kind == "not_found":
            return f"check the model's name and the base_url {self._base_url}"
        return _FIXES.get(kind, "")


def _sizes(body: ErrorBody) -> str:
    """What may say how large the window is: the message, and the fields that llama.cpp has for it."""
    fields = (f"{name}={body.hints[name]}" for name in ("n_ctx", "n_prompt_tokens") if name in body.hints)
    return " ".join([*fields, body.message])


def _spellings(secrets: Iterable[str]) -> list[str]:
    """The secrets as servers echo them: plain, inside JSON, inside a URL.

    Longest first, so that no piece of one is left when a shorter one is part of it.
    """
    forms = {
        form
        for secret in secrets
        if len(secret) >= _SHORTEST_SECRET
        for form in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""))
    }
    return sorted(forms, key=len, reverse=True)
