"""A user's Hermes and Kugetsu, set up with each other, their models and the people in the chats: what stories are played on."""

import itertools
import re
import signal
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from hermes.agents import Agents
from hermes.assistant import assist
from hermes.fake_telegram import USERS, FakeTelegram, Posted
from hermes.real_hermes import Hermes
from hermes.real_kugetsu import Kugetsu
from hermes.scripted_model import ScriptedModel


@dataclass(frozen=True)
class Chat:
    """Somebody in a chat of Telegram, or in a thread of one."""

    telegram: FakeTelegram
    id: int
    thread: int = 0

    def say(self, text: str) -> None:
        """Write into it, once Hermes rests: what comes in the middle of a turn interrupts it."""
        self.telegram.wait_for_quiet()
        self.say_at_once(text)

    def say_at_once(self, text: str) -> None:
        self.telegram.say(text, chat=self.id, thread=self.thread)

    @property
    def last(self) -> int:
        """The number of the bot's last message; 0 for none."""
        return max((posted.id for posted in self.telegram.posted if posted.chat == self.id), default=0)

    def wait_for(self, pattern: str, *, after: int = 0, seconds: float = 45.0) -> Posted:
        """The first message of the bot that matches and has a higher number; it must be in this thread."""
        found = self.telegram.wait_for(pattern, chat=self.id, after=after, seconds=seconds)
        assert found.thread == self.thread, found
        return found

    def count(self, pattern: str) -> int:
        """How many messages of the bot match."""
        return sum(bool(re.search(pattern, text, re.DOTALL)) for text in self.telegram.texts(chat=self.id))


class Pair:
    """Both programs of one user. A context manager.

    Attributes:
        agents: decide what the agents of Kugetsu do.
        mode: how Hermes reaches Kugetsu.
    """

    def __init__(self, directory: Path, mode: str) -> None:
        self.mode = mode
        self.agents = Agents()
        self._model = ScriptedModel(assist)
        self._agents_model = ScriptedModel(self.agents.say)
        self.telegram = FakeTelegram()
        self._directory = directory
        self._stack = ExitStack()
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for part in (self._model, self._agents_model, self.telegram):
                stack.enter_context(part)
            self.hermes = Hermes(self._directory, self._model, self.telegram)
            self.kugetsu = Kugetsu(self._directory, self.hermes, self._agents_model, self.mode)
            stack.enter_context(self.kugetsu)
            stack.enter_context(self.hermes)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def chat(self) -> Chat:
        """A private chat in which nothing was said so far."""
        return Chat(self.telegram, USERS[next(self._numbers)])

    def thread(self) -> Chat:
        """A thread of a group chat in which nothing was said so far."""
        number = next(self._numbers)
        return Chat(self.telegram, -1_000_000 - number, 100 + number)

    def begin(self, chat: Chat, prompt: str) -> str:
        """Hand work over by a command; the task's id."""
        return self.hand_over(chat, f"/kugetsu submit {prompt}")

    def hand_over(self, chat: Chat, words: str) -> str:
        """Hand work over by these words; the task's id."""
        chat.telegram.wait_for_quiet()
        last = chat.last
        chat.say_at_once(words)
        return self.kugetsu.task(chat.wait_for(r"^Task \w+ is accepted", after=last).text)

    def mend(self) -> None:
        """Let all run as at the beginning, whatever the story before has left."""
        self.telegram.failing.clear()
        self.kugetsu.mend()
        if not self.hermes.runs:
            self.hermes.stop()
            self.hermes.start()

    def kill(self) -> None:
        """End every process of both at once, as when the machine goes down."""
        self.hermes.stop(signal.SIGKILL)
        self.kugetsu.stop(signal.SIGKILL)

    def wait_for_result(self, chat: Chat, task: str, words: str, *, seconds: float = 45.0) -> Posted:
        """Wait for the result of a task, and until all its news are out; it must be there once."""
        pattern = rf"^Task {task} (completed|failed|cancelled): .*{words}"
        result = chat.wait_for(pattern, seconds=seconds)
        self.kugetsu.wait_until_told(task)
        assert chat.count(pattern) == 1, chat.telegram.texts(chat=chat.id)
        return result
