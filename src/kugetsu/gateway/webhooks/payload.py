"""The body of a delivery, read part by part."""

from typing import Final, TypeVar

import msgspec

from kugetsu.errors import UsageError
from kugetsu.gateway.webhooks.shapes import Repository, User
from kugetsu.gateway.webhooks.told import line

T = TypeVar("T")

_BOM: Final = b"\xef\xbb\xbf"


class Payload:
    """A body whose parts are read when they are needed, and only then have to be what they should be.

    Raises:
        UsageError: it is no JSON object.
    """

    def __init__(self, body: bytes) -> None:
        self._parts = decoded(body, dict[str, msgspec.Raw], "the body")

    def has(self, *names: str) -> bool:
        """Whether all of these are objects in it."""
        return all(bytes(self._parts.get(name, b"")).lstrip()[:1] == b"{" for name in names)

    def names(self, *names: str) -> bool:
        """Whether all of these are in it, whatever they are."""
        return all(name in self._parts for name in names)

    def read(self, name: str, kind: type[T]) -> T:
        """One part.

        Raises:
            UsageError: it is missing, or not what it should be.
        """
        return decoded(bytes(self._parts.get(name, b"null")), kind, f"`{name}`")

    def words(self, name: str) -> str:
        """A text; empty when it is not there."""
        return self.read(name, str | None) or ""  # type: ignore[arg-type]  # a union is no type to mypy

    def sender(self) -> User:
        """Who did it; nobody when that is not said."""
        return self.read("sender", User) if self.has("sender") else User()

    def repository(self) -> Repository:
        """The repository; none when it is not there."""
        return self.read("repository", Repository) if self.has("repository") else Repository()


def decoded(content: bytes, kind: type[T], what: str) -> T:
    """Read JSON.

    Raises:
        UsageError: it is no such JSON; the message names the part, and none of what it says.
    """
    try:
        return msgspec.json.decode(content.removeprefix(_BOM), type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        detail = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else line(str(error))
        raise UsageError(f"{what} cannot be read: {detail}", fix="send JSON, in UTF-8") from error
    except RecursionError as error:
        raise UsageError(f"{what} cannot be read: it is nested too deeply", fix="send it flatter") from error
