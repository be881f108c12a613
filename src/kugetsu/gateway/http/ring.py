"""Events as they go to clients, the latest of them kept at hand within a budget of bytes."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kugetsu.events import Event, TaskFinished, TaskHalted, TaskMoved, encode_event

EVERYTHING: Final = ""
"""Stands where a task's id does, for the events of all tasks."""

_OVERHEAD: Final = 300
"""Bytes that a frame takes beside its text."""


@dataclass(frozen=True, slots=True)
class Frame:
    """An event, ready to be sent but for its id, which is another one in the stream of its task.

    Attributes:
        number: its place among the events of all tasks; 0 when that is not known.
        task: id of its task.
        seq: its place among the events of its task.
        text: name and data, as in https://html.spec.whatwg.org/multipage/server-sent-events.html.
        moves: whether it says that the task's state changed.
    """

    number: int
    task: str
    seq: int
    text: bytes
    moves: bool

    @classmethod
    def of(cls, event: Event, number: int = 0) -> "Frame":
        """Encode an event."""
        name = event.__struct_config__.tag
        text = b"event: %s\ndata: %s\n\n" % (str(name).encode(), encode_event(event))
        return cls(number, event.task, event.seq, text, isinstance(event, (TaskMoved, TaskHalted, TaskFinished)))


class _Lane:
    """Frames in their order; the oldest are taken away at the front."""

    __slots__ = ("_begin", "_frames")

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._begin = 0

    def __len__(self) -> int:
        return len(self._frames) - self._begin

    def append(self, frame: Frame) -> None:
        self._frames.append(frame)

    def pop(self) -> Frame:
        frame = self._frames[self._begin]
        self._begin += 1
        if self._begin * 2 > len(self._frames):  # so that a removal costs the same however many there are
            del self._frames[: self._begin]
            self._begin = 0
        return frame

    def after(self, number: int, size: int) -> list[Frame]:
        start = bisect_right(self._frames, number, lo=self._begin, key=lambda frame: frame.number)
        return within(self._frames[start : start + size // _OVERHEAD + 1], size)


def within(frames: Iterable[Frame], size: int) -> list[Frame]:
    """The first frames that are no larger together than so many bytes; one at least, if there is any."""
    taken: list[Frame] = []
    for frame in frames:
        size -= len(frame.text) + _OVERHEAD
        if size < 0 and taken:
            break
        taken.append(frame)
    return taken


class Ring:
    """The latest events of all tasks.

    Args:
        budget: bytes that may be kept.

    Attributes:
        floor, last: everything above the first number, up to the second, is here.
    """

    def __init__(self, budget: int) -> None:
        self.floor = 0
        self.last = 0
        self._budget = budget
        self._bytes = 0
        self._lanes: dict[str, _Lane] = {EVERYTHING: _Lane()}

    def restart(self, number: int) -> None:
        """Forget everything; what follows a number comes next."""
        self.floor = self.last = number
        self._bytes = 0
        self._lanes = {EVERYTHING: _Lane()}

    def put(self, frame: Frame) -> None:
        """Keep the next event; the oldest are given up for it where the budget wants it."""
        self.last = frame.number
        for lane in (EVERYTHING, frame.task):
            self._lanes.setdefault(lane, _Lane()).append(frame)
        self._bytes += len(frame.text) + _OVERHEAD
        while self._bytes > self._budget:
            self._give_up()

    def after(self, number: int, task: str, size: int) -> list[Frame]:
        """The events that follow a number: the first of them, no more than so many bytes, but one at least.

        Args:
            number: at least `floor`.
            task: of this one; `EVERYTHING` for all.
            size: bytes.
        """
        lane = self._lanes.get(task)
        return lane.after(number, size) if lane else []

    def _give_up(self) -> None:
        frame = self._lanes[EVERYTHING].pop()
        own = self._lanes[frame.task]
        own.pop()
        if not own:
            del self._lanes[frame.task]
        self._bytes -= len(frame.text) + _OVERHEAD
        self.floor = frame.number
