"""The largest number of agents that do all their jobs with bounded memory."""

from collections.abc import Callable
from typing import Final

import msgspec
from bench.peers.measure import Measured, measure
from bench.peers.stage import Contender

LIMIT: Final = 1024**3
"""Bytes: everything of a contender, children and file cache included; the model's server stands outside."""


class Capacity(msgspec.Struct):
    """What was found.

    Attributes:
        contender: its key.
        largest: agents that all did their jobs, of the numbers that were tried; 0 for none.
        bounded: whether a larger number was tried, and failed.
        tried: each measurement, in the order in which they were made.
        error: why nothing was found; empty when something was.
    """

    contender: str
    largest: int = 0
    bounded: bool = False
    tried: list[Measured] = []
    error: str = ""


async def largest(contender: Contender, patience: float, tell: Callable[[str], None]) -> Capacity:
    """Halve the steps of a contender until the largest that works is known, the upper half first: more agents never need less.

    Args:
        contender: who.
        patience: seconds for each measurement.
        tell: told what is being tried.
    """
    capacity = Capacity(contender.key, tried=[])
    low, high = -1, len(contender.steps)
    while high - low > 1:
        middle = (low + high + 1) // 2
        number = contender.steps[middle]
        tell(f"{contender.title}: {number} in {LIMIT // 1024**2:,} MiB ...")
        try:
            measured = await measure(contender, number, limit=LIMIT, patience=patience)
        except OSError as error:
            capacity.error = f"memory cannot be bounded here: {error}"
            return capacity
        capacity.tried.append(measured)
        if measured.failed:
            high = middle
        else:
            low = middle
    capacity.largest = contender.steps[low] if low >= 0 else 0
    capacity.bounded = high < len(contender.steps)
    return capacity
