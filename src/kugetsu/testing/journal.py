"""A journal in memory."""

from kugetsu.messages import Message


class MemoryJournal:
    """Keeps a session in a list. Implements `protocols.Journal`.

    Attributes:
        messages: what was appended.
    """

    location = "memory"

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def append(self, *messages: Message) -> None:
        """Keep messages; never fails."""
        self.messages.extend(messages)
