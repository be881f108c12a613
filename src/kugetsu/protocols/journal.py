"""The seam between an agent and whatever keeps its session."""

from collections.abc import Sequence
from typing import Protocol

from kugetsu.sessions import Entry


class Journal(Protocol):
    """The append-only log of one session, for the one run that may write it."""

    async def append(self, *entries: Entry, taken: Sequence[int] = ()) -> None:
        """Write entries at the end; they are durable when it returns.

        Args:
            entries: in order.
            taken: ids of the users' notes that are in the entries now.

        Raises:
            LeaseLostError: another run may go on with the session; nothing was written, and this run must stop at once.
            RecordError: they could not be written; the run must stop.
        """
        ...
