"""What people say to an agent while it works."""

from collections import deque

from kugetsu.messages import UserMessage, user


class Inbox:
    """Two queues, each delivered one message at a time: steering after the running tool batch, follow-ups at the end."""

    def __init__(self) -> None:
        self._steering: deque[str] = deque()
        self._follow_ups: deque[str] = deque()

    def steer(self, text: str) -> None:
        """Queue a message for the next turn."""
        self._steering.append(text)

    def follow_up(self, text: str) -> None:
        """Queue a message for the moment the agent would stop."""
        self._follow_ups.append(text)

    def next_message(self, *, stopping: bool) -> UserMessage | None:
        """Take the next message: steering first; a follow-up only when the agent is stopping; None when none waits."""
        if self._steering:
            return user(self._steering.popleft(), "steering")
        if stopping and self._follow_ups:
            return user(self._follow_ups.popleft(), "follow_up")
        return None
