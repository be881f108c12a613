"""What the parts of a long conversation cost, each by itself: CPU in milliseconds, medians."""

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Final

from bench.conversations.stage import Played

from kugetsu.config import ContextSettings
from kugetsu.context import Meter, Prefix, prune, transcript
from kugetsu.events import ContextCompacted, ContextPruned
from kugetsu.messages import AssistantMessage, Message, most_tokens_of_prompt
from kugetsu.sessions import Compacted, Pruned, Session, decode_entry, encode_entry

_GOES: Final = 9
_MEASURED: Final = (50, 200, 400)
"""Turns before those in which a prompt is measured."""

_STEPS: Final = 25
_TRANSCRIPT_TURNS: Final = 400
_TRANSCRIPT_TOKENS: Final = 60_000
_FRAME: Final = 2_000

Figures = dict[str, float]


def measure_parts(played: Played, window: int) -> Figures:
    """Measure all.

    Args:
        played: a run with at least one compaction.
        window: tokens.
    """
    entries = played.entries
    whole = Session(entry for entry in entries if not isinstance(entry, Pruned | Compacted)).messages
    figures = {f"measure_at_turn_{turn}_ms": _measuring(whole, turn) for turn in _MEASURED}
    figures |= _making_room(played, window)
    some = whole[: _replies(whole)[_TRANSCRIPT_TURNS]]
    figures["transcript_of_400_turns_ms"] = _median(lambda: transcript(some, _TRANSCRIPT_TOKENS))
    written = [encode_entry(entry) for entry in entries]
    figures["decode_log_ms"] = _median(lambda: [decode_entry(line) for line in written])
    figures["fold_log_ms"] = _median(lambda: Session(entries))
    figures["fold_log_prunings"] = sum(isinstance(entry, Pruned) for entry in entries)
    figures["fold_log_compactions"] = sum(isinstance(entry, Compacted) for entry in entries)
    figures["fold_log_turns"] = Session(entries).replies
    return figures


def _measuring(messages: Sequence[Message], turn: int) -> float:
    """What is done before every call, the estimate of what is new included: so many turns after a turn, nothing left out."""
    meter, prefix, taken = Meter(_FRAME), Prefix(_FRAME), []
    for place in _replies(messages)[turn - 1 : turn + _STEPS]:
        now = messages[:place]
        before = time.process_time()
        meter.measure(now)
        prefix.send(now, meter.sizes.look(now))
        most_tokens_of_prompt(_FRAME, now)
        taken.append(time.process_time() - before)
    return statistics.median(taken[1:]) * 1000


def _making_room(played: Played, window: int) -> Figures:
    """What turns take that made room, over those that did not; and deciding on a pruning alone."""
    cpu = played.watch.cpu
    taken = {turn: (after - before) * 1000 for turn, (before, after) in enumerate(itertools.pairwise(cpu), start=1)}
    pruned = {event.turn for event in played.events if isinstance(event, ContextPruned)}
    compacted = {event.turn for event in played.events if isinstance(event, ContextCompacted)}
    plain = statistics.median(taken[turn] for turn in taken.keys() - pruned - compacted)
    first = next(place for place, entry in enumerate(played.entries) if isinstance(entry, Pruned))
    messages, context = Session(played.entries[:first]).messages, ContextSettings()
    surplus = int(window * (context.prune_at - context.prune_to))
    return {
        "turn_ms": plain,
        "pruning_ms": statistics.median(taken[turn] for turn in pruned - compacted) - plain,
        "compaction_ms": statistics.median(taken[turn] for turn in compacted) - plain,
        "decide_pruning_ms": _median(lambda: prune(messages, surplus, keep=context.keep_turns, recall=True)),
    }


def _replies(messages: Sequence[Message]) -> list[int]:
    return [place for place, message in enumerate(messages) if isinstance(message, AssistantMessage)]


def _median(action: Callable[[], object]) -> float:
    taken = []
    for _ in range(_GOES):
        before = time.process_time()
        action()
        taken.append(time.process_time() - before)
    return statistics.median(taken) * 1000
