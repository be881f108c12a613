"""What people say to a running agent."""

from collections import deque
from collections.abc import Sequence

import msgspec

from kugetsu.messages import Text, UserMessage, user
from kugetsu.tasks import Note


class Incoming(msgspec.Struct, frozen=True):
    """A message that is about to enter the conversation.

    Attributes:
        taken: ids of the notes that are in it.
    """

    message: UserMessage
    taken: tuple[int, ...] = ()


class Inbox:
    """Two queues, each delivered one message at a time: steering after the running tool batch, follow-ups at the end.

    Beside them wait the answer to a question, and the word that the task is tried again.
    """

    def __init__(self) -> None:
        self._steering: deque[Incoming] = deque()
        self._follow_ups: deque[Incoming] = deque()
        self._answers: deque[Note] = deque()
        self._retries: deque[Note] = deque()
        self._known: set[int] = set()

    def steer(self, text: str) -> None:
        """Queue a message for the next turn."""
        self._steering.append(Incoming(user(text, "steering")))

    def follow_up(self, text: str) -> None:
        """Queue a message for the moment the agent would stop."""
        self._follow_ups.append(Incoming(user(text, "follow_up")))

    def hear(self, notes: Sequence[Note]) -> None:
        """Queue what was written down for this task; each note once, however often it is given."""
        for note in notes:
            if note.id in self._known:
                continue
            self._known.add(note.id)
            match note.kind:
                case "steering":
                    self._steering.append(Incoming(user(note.text, "steering"), (note.id,)))
                case "follow_up":
                    self._follow_ups.append(Incoming(user(note.text, "follow_up"), (note.id,)))
                case "answer":
                    self._answers.append(note)
                case "retry":
                    self._retries.append(note)

    def next_message(self, *, stopping: bool) -> Incoming | None:
        """Take the next message: steering first; a follow-up only when the agent is stopping; None when none waits."""
        if self._steering:
            return self._steering.popleft()
        if stopping and self._follow_ups:
            return self._follow_ups.popleft()
        return None

    def next_answer(self) -> Note | None:
        """Take the answer to the question that is asked; None when there is none yet."""
        return self._answers.popleft() if self._answers else None

    def next_retry(self) -> Incoming | None:
        """Take the word that the task is tried again, the last one if there are several; None when it is not."""
        if not self._retries:
            return None
        notes = list(self._retries)
        self._retries.clear()
        return Incoming(user(notes[-1].text, "follow_up"), tuple(note.id for note in notes))

    @property
    def unheard(self) -> list[str]:
        """What was said and nobody heard yet."""
        waiting = [*self._steering, *self._follow_ups]
        return [block.text for said in waiting for block in said.message.content if isinstance(block, Text)]
