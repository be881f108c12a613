"""Logs of sessions, as an agent could have written them, with what they amount to told in another way."""

from collections.abc import Sequence
from typing import Final

from hypothesis import strategies as st

from kugetsu.messages import (
    AssistantMessage,
    Image,
    Message,
    Text,
    ToolCall,
    ToolResult,
    Usage,
    UserMessage,
    UserOrigin,
)
from kugetsu.sessions import Checkpoint, Entry, Finished, Heard, Renewed, Replied, Rewound, Started

ORIGINS: Final[tuple[UserOrigin, ...]] = ("steering", "follow_up", "notice", "steering")

ACTIONS = ("hear", "reply", "start", "finish", "close", "rewind", "renew")


def a_reply(turn: int, calls: int = 0, *, cost: float | None = 0.25, text: str = "") -> AssistantMessage:
    """A reply whose calls are named after its turn and their place."""
    blocks = [ToolCall(f"c{turn}.{place}", "bash", "{}") for place in range(calls)]
    return AssistantMessage((Text(text or f"turn {turn}"), *blocks), usage=Usage(100, 10, 5, cost), model="some/model")


def a_result(call: str, text: str = "fine") -> ToolResult:
    return ToolResult(call, "bash", (Text(text),))


def a_turn(turn: int, calls: int = 0, snapshot: str = "") -> list[Entry]:
    """A turn from its reply to its checkpoint."""
    ids = tuple(f"c{turn}.{place}" for place in range(calls))
    begun: list[Entry] = [Replied(turn, a_reply(turn, calls)), *([Started(turn, ids)] if ids else [])]
    return [*begun, *(Finished(turn, a_result(name)) for name in ids), Checkpoint(turn, snapshot)]


class Writer:
    """Writes a log by taking actions that make sense at the moment, and keeps the conversation turn by turn.

    Attributes:
        chapters: what each turn that counts brought, and what was heard after it; the first one comes before any reply.
    """

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.chapters: list[tuple[int, list[Message], list[Message]]] = [(0, [], [])]
        self.turn = 0
        self.replied = False
        self.open: AssistantMessage | None = None
        self.started: set[str] = set()
        self.results: dict[str, ToolResult] = {}
        self.late: list[Message] = []
        self.replies = 0
        self.finished = 0

    @property
    def messages(self) -> list[Message]:
        """The conversation of all chapters."""
        return [message for _, turn, heard in self.chapters for message in (*turn, *heard)]

    @property
    def turns(self) -> list[int]:
        """What can be rewound to."""
        return [turn for turn, _, _ in self.chapters] if self.replied else []

    def write(self, actions: Sequence[tuple[str, int]]) -> None:
        """Take the actions, each with a number that chooses among what is possible."""
        for action, number in actions:
            getattr(self, f"_{action}")(number)

    def _hear(self, number: int) -> None:
        picture = (Image("aGk=", "image/png"),) if number % 3 == 1 else ()
        origin = ORIGINS[number % 4] if self.replied else "prompt"
        message = UserMessage((Text(f"said {len(self.entries)}"), *picture), origin)
        self.entries.append(Heard(message))
        if self.open:
            self.late.append(message)
        else:
            self.chapters[-1][2].append(message)

    def _reply(self, number: int) -> None:
        if self.open:
            return
        self.turn += 1 + (number == 3)  # numbers may be left out, but none is used twice
        if not self.replied:
            # What was heard before the first reply is what turn 0 ends with.
            _, _, heard = self.chapters[0]
            self.chapters[0] = (0, heard, [])
            self.replied = True
        self.open = a_reply(self.turn, number % 4)
        self.started, self.results, self.late = set(), {}, []
        self.replies += 1
        self.entries.append(Replied(self.turn, self.open))

    def _unanswered(self) -> list[str]:
        return [call.id for call in self.open.calls if call.id not in self.results] if self.open else []

    def _start(self, number: int) -> None:
        if left := self._unanswered():
            calls = tuple(left[: 1 + number % 3])
            self.started |= set(calls)
            self.entries.append(Started(self.turn, calls))

    def _finish(self, number: int) -> None:
        if left := self._unanswered():
            result = a_result(left[number % len(left)], f"result {number}")
            self.results[result.call_id] = result
            self.finished += 1
            self.entries.append(Finished(self.turn, result))

    def _close(self, number: int) -> None:
        while self._unanswered():
            self._finish(number)
        if self.open:
            self.entries.append(Checkpoint(self.turn, f"{number:040}"))
            turn: list[Message] = [self.open, *(self.results[call.id] for call in self.open.calls)]
            self.chapters.append((self.turn, turn, self.late))
            self.open = None

    def _rewind(self, number: int) -> None:
        if not self.replied:
            return
        last = number % len(self.chapters)
        self.open = None
        turn, messages, _ = self.chapters[last]
        self.chapters[last:] = [(turn, messages, [])]
        self.entries.append(Rewound(turn, f"{number:040}"))

    def _renew(self, _number: int) -> None:
        self.entries.append(Renewed())


@st.composite
def writers(draw: st.DrawFn) -> Writer:
    """Writers that have written something: whole turns for the most part, and anything that may come between."""
    writer = Writer()
    for _ in range(draw(st.integers(0, 16))):
        number = draw(st.integers(0, 7))
        step = draw(st.sampled_from(["turn"] * 4 + ["heard turn"] * 2 + list(ACTIONS)))
        match step:
            case "turn":
                writer.write([("reply", number), ("start", number), ("close", number)])
            case "heard turn":
                writer.write([("reply", number), ("hear", number), ("close", number), ("hear", number + 1)])
            case _:
                writer.write([(step, number)])
    return writer
