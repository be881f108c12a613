"""Which rule is for something that was told, if any."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from kugetsu.config import RuleSettings
from kugetsu.gateway.webhooks.told import Nothing, Told

_ANYBODY: Final = "*"


class Fit(NamedTuple):
    """A rule that is for something.

    Attributes:
        rule: the rule.
        label: the label because of which it is; empty for none.
    """

    rule: RuleSettings
    label: str


def fitting(rules: Sequence[RuleSettings], told: Told, host: str) -> Fit | Nothing:
    """The first rule that fits; or why there is none.

    Args:
        rules: in their order.
        told: what was told.
        host: of its repository; empty when nobody knows.
    """
    why = "no rule is for it"
    for rule in rules:
        if not _is_about(rule, told, host):
            continue
        label = _label(rule, told)
        if label is None:
            why = "it has not the label that the rule wants"
        elif not _may(rule, told):
            why = "no rule names who did it"
        else:
            return Fit(rule, label)
    return Nothing(why)


def _is_about(rule: RuleSettings, told: Told, host: str) -> bool:
    if rule.on and told.event not in rule.on:
        return False
    if told.repo and rule.repo:
        return told.repo == rule.repo
    if told.repo:
        # Whoever shares the secret may not name any path of this machine.
        inside = ".." not in told.repo.split("/")
        return inside and any(fnmatchcase(told.repo, pattern) for pattern in rule.repositories)
    if not rule.repositories:
        return True
    names = [told.repository.lower(), f"{host}/{told.repository}".lower()] if told.repository else []
    return any(fnmatchcase(name, pattern.lower()) for name in names for pattern in rule.repositories)


def _label(rule: RuleSettings, told: Told) -> str | None:
    """The label because of which the rule fits; empty when it wants none, None when it is not there."""
    here = told.labels if told.added is None else told.added
    if not rule.labels:
        return here[0] if told.event == "issue_labelled" and here else ""
    wanted = {label.casefold() for label in rule.labels}
    return next((label for label in here if label.casefold() in wanted), None)


def _may(rule: RuleSettings, told: Told) -> bool:
    """Whether who did it may. A program has to be named: `*` is for people, so that none answers itself."""
    if not told.automatic and _ANYBODY in rule.authors:
        return True
    return bool(told.actor) and told.actor.casefold() in {author.casefold() for author in rule.authors}
