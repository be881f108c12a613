"""The session of a task: one line of JSON for each message, with the time it was written."""

from pathlib import Path

import msgspec

from kugetsu.messages import Message, encode_json
from kugetsu.protocols import Clock
from kugetsu.storage.lines import LineFile


class Entry(msgspec.Struct, frozen=True):
    """A line of a session.

    Attributes:
        at: seconds since the epoch.
    """

    at: float
    message: Message


class FileJournal:
    """Appends messages to a new file. Implements `protocols.Journal`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._file = LineFile(path)
        self._clock = clock

    @property
    def location(self) -> str:
        """The file's path."""
        return str(self._file.path)

    async def append(self, *messages: Message) -> None:
        """Write messages at the end; they survive the end of this process when it returns.

        They are handed to the system but not forced to the disk: the loss of power may cost the last ones.

        Raises:
            RecordError: none of them could be written.
        """
        at = self._clock.now()
        self._file.append([encode_json(Entry(at, message)) for message in messages])
