"""What is written down of a worktree beside its place, so that it is found again without asking git."""

import json
from typing import Final

import msgspec

from kugetsu.tasks import Place

_KEY: Final = "facts"


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What was known when a worktree was made, before anybody worked there.

    Attributes:
        rules: as `Private.rules` was; the agent can reach the files themselves.
        identity: variables that say who commits.
        notes: what the workspace does not do.
        common: as in `Source`, like the following.
    """

    rules: str = ""
    identity: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    common: str = ""
    object_format: str = "sha1"
    shallow: bool = False
    checkout: bool = True

    def details(self) -> dict[str, str]:
        """As a place holds it. Names may be of bytes that are no text; ASCII holds them all."""
        return {_KEY: json.dumps(msgspec.to_builtins(self))}


def facts_of(place: Place) -> Facts:
    """What a place holds; nothing when it is not of this adapter, or not readable."""
    try:
        return msgspec.convert(json.loads(place.details[_KEY]), Facts)
    except (KeyError, ValueError):
        return Facts()
