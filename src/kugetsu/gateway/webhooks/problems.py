"""What in the settings keeps sources from being heard, for who starts the server and for the doctor."""

from collections.abc import Iterator, Mapping
from typing import Final

from kugetsu.config import Settings, WebhookSettings

_SHORT: Final = 16
"""Characters; a shorter secret can be guessed."""

_EVENTS: Final[Mapping[str, frozenset[str]]] = {
    "generic": frozenset({"task"}),
    "github": frozenset({"issue_opened", "issue_labelled", "comment", "review_comment", "check_failed"}),
    "gitea": frozenset({"issue_opened", "issue_labelled", "comment", "review_comment", "check_failed"}),
}
"""What a source of each kind can tell."""


def secret_of(source: WebhookSettings, environ: Mapping[str, str]) -> bytes:
    """What is shared with a source; empty when there is none."""
    return (source.secret or environ.get(source.secret_env, "")).encode(errors="surrogateescape")


def problems(settings: Settings, environ: Mapping[str, str]) -> list[str]:
    """One sentence for each problem; none of them holds a secret."""
    return [
        f"webhooks.{name}: {problem}"
        for name, source in settings.webhooks.items()
        for problem in _problems(source, settings, environ)
    ]


def _problems(source: WebhookSettings, settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    secret = secret_of(source, environ)
    if not secret:
        where = f"the variable {source.secret_env} is empty" if source.secret_env else "set `secret_env`"
        yield f"it has no secret, so everything it says is refused: {where}"
    elif len(secret) < _SHORT:
        yield f"its secret has less than {_SHORT} characters: make one with `openssl rand -hex 32`"
    if not source.rules:
        yield "it has no rules, so it starts nothing"
    for number, rule in enumerate(source.rules, 1):
        if not rule.authors:
            yield f"its rule {number} names no `authors`, so it starts nothing"
        if rule.on and not _EVENTS[source.kind] & set(rule.on):
            yield f"its rule {number} is for {', '.join(rule.on)}, which a source of kind {source.kind} does not tell"
        if (target := rule.reply_to.get("target")) and target not in settings.notify:
            yield f"its rule {number} replies to {target!a}, which `notify` does not have"
    if source.kind == "gitea" and not source.host and any(not rule.repo for rule in source.rules):
        yield "it has no `host`, so only repositories are worked on that `projects` name"
