"""A repository's own settings file. It may be anybody's, so it may only say less is allowed, never more."""

from typing import Any, Final

from kugetsu.config.fields import Field, dotted, members, values
from kugetsu.config.layers import Layer, Stack
from kugetsu.config.settings import Settings
from kugetsu.config.validation import build
from kugetsu.tasks import Limits

ALLOWED: Final = frozenset({"check", "check_seconds", "instructions", "limits"})
"""What a repository may set; time limits and limits only to less than what is in force."""

_MOST_NAMED: Final = 10


def restrict(layer: Layer, stack: Stack, user_file: str) -> tuple[Layer, list[str]]:
    """Leave only what a repository may set, as it comes out over the user's own settings.

    Args:
        layer: the repository's file.
        stack: what is in force without it.
        user_file: where the user could set what is left out.

    Returns:
        The settings to lay over the user's, and what was left out and why.

    Raises:
        ConfigError: a field is unknown, of the wrong type or out of range.
    """
    forbidden = {name: value for name, value in layer.data.items() if name in members(Settings) and name not in ALLOWED}
    asked = {name: value for name, value in layer.data.items() if name not in forbidden}
    own = build(asked, layer.place)
    notices = [_left_out(forbidden, layer, user_file)] if forbidden else []
    data, looser = _tightened(asked, own, stack.settings)
    notices += [
        f"{layer.place(way)}: {dotted(way)} is left out: a repository may only lower it ({now:g} is in force)"
        for way, now in looser.items()
    ]
    names: dict[Field, str] = {}
    if "check" in asked:
        data["check"] = own.check
    if own.instructions:
        users = stack.settings.instructions
        data["instructions"] = f"{users}\n\n{own.instructions}" if users else own.instructions
        if users:
            names["instructions",] = f"{stack.origin_of(('instructions',))} and {layer.origin}"
    return Layer(data, layer.origin, layer.text, names), notices


def _tightened(asked: dict[str, Any], own: Settings, now: Settings) -> tuple[dict[str, Any], dict[Field, float]]:
    """The limits that the file lowers, and what is in force for those it would raise."""
    data: dict[str, Any] = {"limits": {}}
    looser: dict[Field, float] = {}
    if "check_seconds" in asked:
        if own.check_seconds <= now.check_seconds:
            data["check_seconds"] = own.check_seconds
        else:
            looser["check_seconds",] = now.check_seconds
    named: dict[str, Any] = {name: getattr(own.limits, name) for name in asked.get("limits", {})}
    # Limits that the file does not name are no wish of it, also not their defaults: 0 is the loosest.
    strict = now.limits.tightened(Limits(**{**dict.fromkeys(members(Limits), 0), **named}))
    for name, wish in named.items():
        if getattr(strict, name) == wish:
            data["limits"][name] = wish
        else:
            looser["limits", name] = getattr(now.limits, name)
    return data, looser


def _left_out(forbidden: dict[str, Any], layer: Layer, user_file: str) -> str:
    names = [dotted(way) for way, _ in values(forbidden)]
    shown = ", ".join(names[:_MOST_NAMED]) + (f" and {len(names) - _MOST_NAMED} more" if names[_MOST_NAMED:] else "")
    return f"{layer.origin}: left out {shown}: a repository may not set this; if you want it, put it into {user_file}"
