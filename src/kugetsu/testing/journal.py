"""A journal in memory."""

from collections.abc import Sequence

from kugetsu.messages import Message
from kugetsu.sessions import Entry, Session


class MemoryJournal:
    """Keeps a session in a list. Implements `protocols.Journal`; never fails.

    Attributes:
        entries: what was appended.
        taken: ids of the notes that were said to be in it.
    """

    def __init__(self, entries: Sequence[Entry] = ()) -> None:
        self.entries: list[Entry] = list(entries)
        self.taken: list[int] = []

    @property
    def messages(self) -> list[Message]:
        """The conversation, with what a turn that is still open holds so far.

        Raises:
            ValueError: the entries do not fit together.
        """
        session = Session(self.entries)
        messages = list(session.messages)
        if turn := session.open:
            messages.append(turn.reply)
            messages += [turn.results[call.id] for call in turn.reply.calls if call.id in turn.results]
        return messages

    async def append(self, *entries: Entry, taken: Sequence[int] = ()) -> None:
        """Keep entries."""
        self.entries.extend(entries)
        self.taken.extend(taken)
