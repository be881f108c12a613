"""How often somebody may do something. Bounded memory, however many there are. Pure but for the clock it is handed."""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Final

_MOST_KNOWN: Final = 10_000
"""So many are remembered; who did nothing for longest is forgotten first, and begins anew."""

_NETWORK: Final = 64
"""Bits of an IPv6 address that one customer has: whoever has one address has all of them."""


class Rates:
    """So many a minute for each: half of them at once, the other half evenly, so never more in any sixty seconds.

    Args:
        per_minute: how many; 0 for no limit.
        monotonic: seconds that never go back.
    """

    def __init__(self, per_minute: int, monotonic: Callable[[], float]) -> None:
        self._size = max(1.0, per_minute / 2)
        self._rate = max(per_minute - self._size, 0.5) / 60.0
        self._free = per_minute == 0
        self._monotonic = monotonic
        self._known: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def wait(self, who: str) -> float:
        """Seconds until somebody may do it once more; 0 for now."""
        if self._free:
            return 0.0
        level = self._level(who)
        return 0.0 if level >= 1.0 else (1.0 - level) / self._rate

    def take(self, who: str) -> float:
        """Somebody wants to do it: 0 when it counts, otherwise seconds until it may, and nothing is counted."""
        if self._free:
            return 0.0
        level = self._level(who)
        if level < 1.0:
            return (1.0 - level) / self._rate
        self._known[who] = (level - 1.0, self._monotonic())
        self._known.move_to_end(who)
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return 0.0

    def _level(self, who: str) -> float:
        known = self._known.get(who)
        if known is None:
            return self._size
        level, at = known
        return min(self._size, level + (self._monotonic() - at) * self._rate)


@lru_cache(maxsize=_MOST_KNOWN)
def who_is(address: str) -> str:
    """Whom an address belongs to, as far as rates go: itself, or for IPv6 its network."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address):
        return address
    return str(known.ipv4_mapped or ipaddress.ip_network((known, _NETWORK), strict=False))
