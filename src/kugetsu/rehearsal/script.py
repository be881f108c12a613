"""The script of a rehearsal: what a scripted model says, turn by turn. Format documented in the README."""

import json
import os
import stat
from pathlib import Path
from typing import Any, Final

import msgspec

from kugetsu.errors import ConfigError, ModelFailure

_MOST_BYTES: Final = 16 * 2**20
_LONGEST_NAME: Final = 500

LEAST_WINDOW: Final = 8_000
"""Tokens: what stands before every conversation takes about a third of it."""


class ScriptedUsage(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Tokens that a scripted reply claims to have used."""

    input: int = 0
    output: int = 0
    cached: int = 0
    cost_usd: float = 0.0


class ScriptedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call of a scripted reply.

    Attributes:
        arguments: an object; or a string, sent as it is, to rehearse arguments that are no JSON.
    """

    name: str
    arguments: dict[str, Any] | str = {}
    id: str = ""


class ScriptedTurn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One model call of a script.

    Attributes:
        delay: seconds before the reply (or the failure) comes.
        fail: the call fails so; the next entry serves the retry.
        retry_after: seconds that a failing provider asks to wait; None when it names no time.
        stop: why the reply ends; `length` rehearses one that is cut.
    """

    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ScriptedCall, ...] = ()
    delay: float = 0.0
    usage: ScriptedUsage = ScriptedUsage()
    fail: ModelFailure | None = None
    retry_after: float | None = None
    stop: str = ""

    def __post_init__(self) -> None:
        if self.delay < 0:
            raise ValueError(f"`delay` must be 0 or more, got {self.delay:g}")
        if self.retry_after is not None and (self.retry_after < 0 or not self.fail):
            raise ValueError(f"`retry_after` must be 0 or more, beside `fail`, got {self.retry_after:g}")
        if self.stop not in {"", "length"}:
            raise ValueError(f"`stop` must be `length` or left out, got {self.stop!r}")


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a scripted model says.

    Attributes:
        turns: one entry per model call, then `done` for ever.
        summaries: what it says when it is asked for a summary of a long conversation: one entry for each, then `NOTES` for ever.
        window: tokens that it claims to take in one call, reply included; a small one rehearses what becomes of long
            conversations.
    """

    turns: tuple[ScriptedTurn, ...] = ()
    summaries: tuple[ScriptedTurn, ...] = ()
    window: int = 200_000

    def __post_init__(self) -> None:
        if self.window < LEAST_WINDOW:
            raise ValueError(f"`window` must be {LEAST_WINDOW:,} tokens or more, got {self.window:,}")

    def turn(self, place: int) -> ScriptedTurn:
        """The entry at a place, from 0; after the last one `done`."""
        return self.turns[place] if place < len(self.turns) else AFTER_THE_LAST

    def behind(self, replies: int) -> int:
        """The place of the first entry behind so many replies; one that fails gives none."""
        place = 0
        while replies and place < len(self.turns):
            replies -= self.turns[place].fail is None
            place += 1
        return place

    def summary(self, place: int) -> ScriptedTurn:
        """The summary at a place, from 0; after the last one `NOTES`."""
        return self.summaries[place] if place < len(self.summaries) else NOTES


AFTER_THE_LAST: Final = ScriptedTurn(text="done")
"""What a scripted model says once its script is over."""

NOTES: Final = ScriptedTurn(text="## Done\n- what the script said so far\n\n## Next\n- what it says next")
"""What a scripted model writes when it is asked for a summary, and its script has none left."""


def parse_script(data: object, source: str = "script") -> Script:
    """Check a script that was read from JSON or YAML.

    Raises:
        ConfigError: it is not of the format; the message names the entry and the field.
    """
    try:
        return msgspec.convert(_without_nulls(data), Script)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{source}: {error}", fix='a script is {"turns": [{"text": ..., "tool_calls": [...]}, ...]}'
        ) from error


def _without_nulls(data: object) -> object:
    """The same without fields that say nothing: YAML writes an empty field so."""
    if not isinstance(data, dict):
        return data
    return {name: _entries(value) if name in {"turns", "summaries"} else value for name, value in data.items()}


def _entries(value: object) -> object:
    if not isinstance(value, list):
        return value
    return [
        {field: given for field, given in entry.items() if given is not None} if isinstance(entry, dict) else entry
        for entry in value
    ]


def load_script(path: Path) -> Script:
    """Read a script from a JSON or YAML file.

    Raises:
        ConfigError: the file cannot be read, or is not of the format.
    """
    try:
        text = _read(path)
    except (OSError, ValueError) as error:  # no UTF-8, or a name that no file can have
        raise ConfigError(f"cannot read the script {str(path)[:_LONGEST_NAME]!r}: {error}") from error
    return parse_script(_parse(text, path), str(path))


def _read(path: Path) -> str:
    """The text of a file. Never blocks, whatever stands there: callers from elsewhere may have named it.

    Raises:
        OSError, ValueError: it cannot be read, is no text, no file or too large.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no regular file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(_MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > _MOST_BYTES:
        raise ValueError(f"it is larger than {_MOST_BYTES // 2**20} MB")
    return data.decode()


def _parse(text: str, path: Path) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        if path.suffix == ".json":
            raise ConfigError(f"{path} is no JSON: {error}") from error
    import yaml  # noqa: PLC0415 - needed for YAML scripts only

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {error}") from error
