"""One measurement: a run of 500 turns in one window, and the same session under other managements. Prints one JSON object.

Run by `python bench/context.py` in a process of its own for each window, so that memory and CPU are those of this run.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from bench.conversations.managements import Managed, follow_pi, send_everything, visible_shares
from bench.conversations.parts import measure_parts
from bench.conversations.prices import Priced, todays_prices
from bench.conversations.stage import Played, play
from bench.conversations.story import write_story
from bench.conversations.teller import Sent

from kugetsu.events import ContextMeasured, ModelRetried
from kugetsu.sessions import Compacted, Pruned, Session

TURNS: Final = 500
SHORT: Final = 200
EARLY: Final = (25, 75)
LATE: Final = (425, 475)
"""Turns around turn 50 and turn 450."""


def share(sent: Sequence[Sent], turns: int) -> float:
    """The share of what the agent sent in so many turns that a cache of prefixes could serve; notes not counted."""
    own = [request for request in sent if not request.summary][: turns + 1]
    return sum(request.cached for request in own) / sum(request.input for request in own)


def run_figures(played: Played) -> dict[str, Any]:
    """What the run itself took."""
    watch, sent = played.watch, played.teller.sent
    early_cpu, late_cpu = watch.cpu_of(*EARLY), watch.cpu_of(*LATE)
    early_wall, late_wall = watch.wall_of(*EARLY), watch.wall_of(*LATE)
    (measured,) = [event for event in played.events if isinstance(event, ContextMeasured)]
    return {
        "memory_mb": watch.memory,
        "memory_growth_mb": watch.memory[TURNS] - watch.memory[50],
        "early_cpu_ms": early_cpu,
        "late_cpu_ms": late_cpu,
        "late_over_early_cpu": late_cpu / early_cpu,
        "early_wall_ms": early_wall,
        "late_wall_ms": late_wall,
        "late_over_early_wall": late_wall / early_wall,
        "overflows": played.teller.refused,
        "retries": sum(isinstance(event, ModelRetried) for event in played.events),
        "largest_prompt": max(request.input for request in sent),
        "share_of_200_turns": share(sent, SHORT),
        "share_of_500_turns": share(sent, TURNS),
        "share_said_by_event": measured.repeated / measured.sent,
    }


def managed(played: Played, window: int, prices: Sequence[Priced]) -> dict[str, dict[str, Any]]:
    """The session under three managements."""
    whole = Session(entry for entry in played.entries if not isinstance(entry, Pruned | Compacted)).messages
    frame, story = played.teller.frame, played.story
    ours = Managed(
        played.teller.sent,
        visible_shares(whole, Session(played.entries).messages),
        sum(isinstance(entry, Compacted) for entry in played.entries),
        sum(isinstance(entry, Pruned) for entry in played.entries),
    )
    found = {"none": send_everything(whole, frame), "ours": ours, "pi": follow_pi(whole, frame, window, story)}
    replies = [len([one for one in each.sent if not one.summary]) for each in found.values()]
    if set(replies) != {TURNS + 1}:
        raise SystemExit(f"the managements sent {replies} requests, so they are not compared")
    return {name: totals(each, [one for one in prices if one.window >= window]) for name, each in found.items()}


def totals(management: Managed, prices: Sequence[Priced]) -> dict[str, Any]:
    """The figures of one."""
    sent = management.sent
    prompt, cached = sum(one.input for one in sent), sum(one.cached for one in sent)
    return {
        "input_tokens": prompt,
        "cached_tokens": cached,
        "cached_share": cached / prompt,
        "output_tokens": sum(one.output for one in sent),
        "median_prompt": statistics.median(one.input for one in sent if not one.summary),
        "prunings": management.prunings,
        "compactions": management.compactions,
        "visible": management.visible,
        "usd": {priced.name: priced.cost(sent) for priced in prices},
    }


async def measure(window: int, *, parts: bool) -> dict[str, Any]:
    """Play, and reckon."""
    story = write_story(TURNS)
    with tempfile.TemporaryDirectory() as home:
        played = await play(story, window, Path(home))
    figures = {"window": window, "turns": TURNS, **run_figures(played)}
    figures["managements"] = managed(played, window, todays_prices())
    if parts:
        figures["parts"] = measure_parts(played, window)
    return figures


def main() -> None:
    """Measure once and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--window", type=int, required=True, help="tokens")
    parser.add_argument("--parts", action="store_true", help="measure the parts too")
    arguments = parser.parse_args()
    print(json.dumps(asyncio.run(measure(arguments.window, parts=arguments.parts))))


if __name__ == "__main__":
    main()
