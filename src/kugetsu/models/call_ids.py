"""The ids of one reply's tool calls: there, and all different, whatever the server gives."""

import secrets


class CallIds:
    """Gives each call of one reply an id. False while there is none."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._taken)

    def take(self, given: str | None) -> str:
        """The id of the next call: what the server gave, or a new one where that is missing or taken."""
        while not given or given in self._taken:
            given = f"call_{secrets.token_hex(8)}"
        self._taken.add(given)
        return given
