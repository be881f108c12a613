"""Figures for Prometheus. A registry of our own: nothing of other libraries comes in."""

import asyncio
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from kugetsu.protocols import Stats

MEDIA: Final = CONTENT_TYPE_LATEST

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Metrics:
    """Counts requests, and shows how things stand when somebody asks."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "kugetsu_http_requests", "Requests answered.", ("route", "method", "status"), registry=registry
        )
        self._seconds = Histogram(
            "kugetsu_http_request_seconds",
            "Time until the answer began.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._tasks = Gauge("kugetsu_tasks", "Tasks in each state.", ("state",), registry=registry)
        self._deliveries = Gauge("kugetsu_deliveries", "News in each state.", ("state",), registry=registry)
        self._shadows = Gauge("kugetsu_shadows", "Shadows that live.", registry=registry)
        self._slots = Gauge("kugetsu_task_slots", "Shadows that may live.", registry=registry)
        self._commands = Gauge("kugetsu_commands", "Commands of agents that run.", registry=registry)
        self._waiting = Gauge("kugetsu_commands_waiting", "Commands that wait for a place.", registry=registry)
        self._uptime = Gauge("kugetsu_uptime_seconds", "Time since the start.", registry=registry)
        # Looking up a child takes a lock and a tuple of texts; most requests are of a few kinds.
        self._counts: dict[tuple[str, str, int], Counter] = {}
        self._times: dict[str, Histogram] = {}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: path of the operation, empty for none: never what a client made up.
            method: as the client says.
            status: of the answer.
            seconds: until it began.
        """
        key = (route, method if method in _METHODS else "other", status)
        if (count := self._counts.get(key)) is None:
            count = self._counts[key] = self._requests.labels(*key)
        count.inc()
        if (times := self._times.get(route)) is None:
            times = self._times[route] = self._seconds.labels(route)
        times.observe(seconds)

    async def text(self, stats: Stats) -> bytes:
        """All figures, as Prometheus reads them."""
        for gauge, counts in ((self._tasks, stats.tasks), (self._deliveries, stats.deliveries)):
            for state, count in counts.items():
                gauge.labels(state).set(count)
        self._shadows.set(stats.shadows)
        self._slots.set(stats.task_slots)
        self._commands.set(stats.commands)
        self._waiting.set(stats.commands_waiting)
        self._uptime.set(stats.uptime)
        return await asyncio.to_thread(generate_latest, self._registry)
