"""Other values of the settings, on the same session: what they cost. By hand: `python -m bench.conversations.sweep`.

The agent is real, its tools give what they gave in a run that was played before, and nothing is kept, so a try takes seconds.
"""

import argparse
import asyncio
import itertools
import tempfile
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from bench.conversations.long_run import SHORT, TURNS, share
from bench.conversations.managements import visible_shares
from bench.conversations.prices import Priced, todays_prices
from bench.conversations.stage import NO_LIMITS, play
from bench.conversations.story import Story, write_story
from bench.conversations.teller import Sent, Teller
from rich.console import Console
from rich.table import Table

from kugetsu.agent import Agent, RetryPolicy, Toolbox, system_prompt
from kugetsu.config import CompactionSettings, ContextSettings
from kugetsu.errors import ModelError
from kugetsu.messages import ToolResult
from kugetsu.protocols import FileLocks, Tool, ToolContext, ToolKind, ToolOutput
from kugetsu.sessions import Compacted, Entry, Finished, Pruned, Session
from kugetsu.tools import default_tools

WINDOWS: Final = (64_000, 128_000, 200_000)
PRUNE_AT: Final = (0.8, 0.9, 0.6)
PRUNE_TO: Final = (0.3, 0.2, 0.15, 0.1, 0.4)
KEEP_TURNS: Final = (5, 3, 2, 10)
COMPACT_AT: Final = (0.4, 0.3, 0.25, 0.6, 0.0)
"""The defaults first. Of all combinations only those of the first values are tried: the others cost more, one by one."""

_COMBINED: Final = (2, 4, 3, 3)


class Values(msgspec.Struct, frozen=True):
    """Settings to try; at first the defaults."""

    prune_at: float = ContextSettings().prune_at
    prune_to: float = ContextSettings().prune_to
    keep_turns: int = ContextSettings().keep_turns
    compact_at: float = CompactionSettings().at


class _Replayed:
    """A tool that gives what it gave before. Implements `protocols.Tool`."""

    def __init__(self, tool: Tool, results: deque[ToolResult]) -> None:
        self.name = tool.name
        self.description = tool.description
        self.arguments = tool.arguments
        self.kind: ToolKind = tool.kind
        self._results = results

    async def run(self, arguments: Any, context: ToolContext) -> ToolOutput:  # noqa: ANN401 - see `protocols.Tool`
        """Give the next result."""
        del arguments, context
        result = self._results.popleft()
        assert result.name == self.name
        return ToolOutput(result.content, result.is_error)


class _Journal:
    """Keeps how often room was made. Implements `protocols.Journal`."""

    def __init__(self) -> None:
        self.made: list[Entry] = []

    async def append(self, *entries: Entry, taken: Sequence[int] = ()) -> None:
        """Count."""
        del taken
        self.made += [entry for entry in entries if isinstance(entry, Pruned | Compacted)]


class Tried(msgspec.Struct):
    """What came of values.

    Attributes:
        told: what went wrong.
        sent: nothing when it failed.
    """

    values: Values
    told: str
    sent: Sequence[Sent] = ()
    prunings: int = 0
    compactions: int = 0
    visible: float = 0.0


async def try_values(values: Values, story: Story, window: int, entries: Sequence[Entry]) -> Tried:
    """Let the agent do its work once more."""
    results = deque(entry.result for entry in entries if isinstance(entry, Finished))
    tools = [_Replayed(tool, results) for tool in default_tools()]
    teller, journal, session = Teller(story, window), _Journal(), Session()
    session.settle()
    agent = Agent(
        teller,
        Toolbox(tools),
        ToolContext(root=Path("/"), scratch=Path("/"), environment={}, locks=FileLocks()),
        system=system_prompt(tools=Toolbox(tools).specs),
        journal=journal,
        publish=lambda _event: None,
        session=session,
        limits=NO_LIMITS,
        retry=RetryPolicy(attempts=1),
        context_settings=ContextSettings(values.prune_at, values.prune_to, values.keep_turns),
        compaction=CompactionSettings(at=values.compact_at),
    )
    teller.say = agent.inbox.steer
    try:
        await agent.run(story.prompt)
    except ModelError as error:
        return Tried(values, f"{error.kind} at turn {session.turn}")
    assert not results
    whole = Session(entry for entry in entries if not isinstance(entry, Pruned | Compacted)).messages
    visible = visible_shares(whole, session.messages)["all"]
    compactions = sum(isinstance(entry, Compacted) for entry in journal.made)
    told = f"{teller.refused} overflows" if teller.refused else ""
    return Tried(values, told, teller.sent, len(journal.made) - compactions, compactions, visible)


def candidates(*, whole: bool) -> Iterator[Values]:
    """The defaults first, then one value changed at a time, or all combinations."""
    lists = PRUNE_AT, PRUNE_TO, KEEP_TURNS, COMPACT_AT
    if whole:
        for at, to, keep, compact in itertools.product(
            *(one[:most] for one, most in zip(lists, _COMBINED, strict=True))
        ):
            yield Values(at, to, int(keep), compact)
        return
    yield Values()
    for field, tried in zip(Values.__struct_fields__, lists, strict=True):
        yield from (msgspec.structs.replace(Values(), **{field: value}) for value in tried[1:])


def table_of(window: int, tried: Sequence[Tried], prices: Sequence[Priced]) -> Table:
    """What all values came to."""
    table = Table(title=f"window {window:,}, {TURNS} turns")
    columns = (
        "prune_at",
        "prune_to",
        "keep",
        "at",
        "200 turns",
        "500",
        "input, M",
        "prunings",
        "compactions",
        "visible",
    )
    for column in (*columns, *(priced.name.partition("/")[2] for priced in prices), ""):
        table.add_column(column, justify="right")
    for one in tried:
        values = (f"{getattr(one.values, field):g}" for field in Values.__struct_fields__)
        if not one.sent:
            table.add_row(*values, one.told)
            continue
        table.add_row(
            *values,
            *(f"{share(one.sent, turns):.1%}" for turns in (SHORT, TURNS)),
            f"{sum(request.input for request in one.sent) / 1e6:.1f}",
            str(one.prunings),
            str(one.compactions),
            f"{one.visible:.1%}",
            *(f"{priced.cost(one.sent):.2f}" for priced in prices),
            one.told,
        )
    return table


async def sweep(windows: Sequence[int], *, whole: bool) -> None:
    """Try everything in each window."""
    console, story, prices = Console(width=150), write_story(TURNS), todays_prices()
    with tempfile.TemporaryDirectory() as home:
        entries = (await play(story, WINDOWS[1], Path(home))).entries
    for window in windows:
        tried = [await try_values(values, story, window, entries) for values in candidates(whole=whole)]
        console.print(table_of(window, tried, prices))


def main() -> None:
    """Try, and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--window", type=int, action="append", help="tokens; may be repeated")
    parser.add_argument("--all", action="store_true", help="combinations: five minutes")
    arguments = parser.parse_args()
    asyncio.run(sweep(arguments.window or WINDOWS, whole=arguments.all))


if __name__ == "__main__":
    main()
