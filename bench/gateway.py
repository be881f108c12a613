"""A real `kugetsu serve` under load: clients that follow events, submissions, and reads, all at the same time.

Run by `run.py` in a process of its own, which submits and reads; those who follow have another one (`followers.py`). The
server works on what is submitted meanwhile, with git and the rehearsal model, a few tasks at a time. Afterwards what every
client got is compared with the store. Fails when a task failed or anything went wrong that is not a figure.
"""

import argparse
import asyncio
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec

from kugetsu.config.daemon import Holder, running_daemon
from kugetsu.storage import SqlStore

HERE: Final = Path(__file__).parent
TICKS: Final = os.sysconf("SC_CLK_TCK")

SETTINGS: Final = """
model = "scripted:{script}"
[queue]
slots = {slots}
most_pending = {most_pending}
[http]
requests_per_minute = 0
"""

Figures = dict[str, float]


class Load(msgspec.Struct):
    """What submissions and reads came to.

    Attributes:
        statuses, read_statuses: how many submissions and reads had each status; 0 for a broken connection.
        submissions, reads: milliseconds each took, counted from when it was due.
        tasks: ids of those that were accepted.
    """

    statuses: Counter[int] = msgspec.field(default_factory=Counter)
    submissions: list[float] = []
    reads: list[float] = []
    read_statuses: Counter[int] = msgspec.field(default_factory=Counter)
    tasks: list[str] = []


def make_repository(path: Path) -> Path:
    """A small repository."""
    path.mkdir()
    for number in range(20):
        (path / f"file{number}.txt").write_text(f"{number}\n" * 50)
    identity = ("-c", "user.name=Bench", "-c", "user.email=bench@example.org")
    for command in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "first")):
        subprocess.run(["git", *command], cwd=path, check=True)
    return path


@contextmanager
def served(directory: Path, slots: int, most_pending: int) -> Iterator[tuple[Holder, Path]]:
    """A server on a state directory of its own; it is stopped as a user stops it."""
    home, config, script = directory / "state", directory / "kugetsu.toml", directory / "script.json"
    call = {"name": "write", "arguments": {"path": "made.txt", "content": "made\n"}}
    script.write_text(
        json.dumps({"turns": [{"text": "One file.", "tool_calls": [call], "delay": 0.2}, {"text": "Done."}]})
    )
    config.write_text(SETTINGS.format(script=script, slots=slots, most_pending=most_pending))
    environ = {**os.environ, "KUGETSU_HOME": str(home)}
    command = [sys.executable, "-m", "kugetsu", "serve", "--port", "0", "--config", str(config)]
    with (directory / "server.log").open("wb") as log:
        server = subprocess.Popen(command, env=environ, stderr=log, cwd=directory)
        try:
            deadline = time.monotonic() + 30
            while not ((holder := running_daemon(home)) and holder.url):
                if server.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"the server did not start: {(directory / 'server.log').read_text()[-2000:]}")
                time.sleep(0.02)
            yield holder, home
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(60)


class Followers:
    """The process of those who follow."""

    def __init__(self, holder: Holder, everything: int, single: int) -> None:
        arguments = ("--url", holder.url, "--everything", str(everything), "--single", str(single))
        command = [sys.executable, str(HERE / "followers.py"), *arguments]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._say(holder.token)
        assert self._process.stdout
        if self._process.stdout.readline() != '"connected"\n':
            raise SystemExit("those who follow could not connect")

    def _say(self, line: str) -> None:
        assert self._process.stdin
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def collect(self, last: int) -> list[dict[str, Any]]:
        """What each got, once they have come so far."""
        self._say(str(last))
        told, _ = self._process.communicate(timeout=60)
        if self._process.returncode != 0:
            raise SystemExit("those who follow did not get the last event in 20 seconds, so nothing was measured")
        found: list[dict[str, Any]] = json.loads(told)
        return found


async def submit_all(session: aiohttp.ClientSession, repo: Path, rate: int, seconds: int, load: Load) -> None:
    """Submit so many tasks a second, however long each takes."""
    begun = time.perf_counter()

    async def submit(due: float, body: bytes) -> None:
        try:
            async with session.post("/v1/tasks", data=body, headers={"Content-Type": "application/json"}) as response:
                answer = await response.read()
        except aiohttp.ClientError:
            load.statuses[0] += 1
            return
        load.submissions.append((time.perf_counter() - due) * 1000)
        load.statuses[response.status] += 1
        if response.status == HTTPStatus.ACCEPTED:
            load.tasks.append(json.loads(answer)["id"])

    async with asyncio.TaskGroup() as group:
        for number in range(rate * seconds):
            due = begun + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            body = {"prompt": f"Make a file, for the {number}th time.", "repo": str(repo), "key": f"bench-{number}"}
            group.create_task(submit(due, json.dumps(body).encode()))


async def read_all(session: aiohttp.ClientSession, rate: int, load: Load) -> None:
    """Read so many things a second, without an end: how things stand, the newest tasks, one task."""
    begun, number = time.perf_counter(), 0

    async def read(due: float, path: str) -> None:
        try:
            async with session.get(path) as response:
                await response.read()
        except aiohttp.ClientError:
            load.read_statuses[0] += 1
            return
        load.reads.append((time.perf_counter() - due) * 1000)
        load.read_statuses[response.status] += 1

    async with asyncio.TaskGroup() as group:
        while True:
            due = begun + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            one = f"/v1/tasks/{load.tasks[number % len(load.tasks)]}" if load.tasks else "/v1/stats"
            group.create_task(read(due, ("/v1/stats", "/v1/tasks?limit=50", one)[number % 3]))
            number += 1


async def put_under_load(holder: Holder, repo: Path, rate: int, reads: int, seconds: int) -> Load:
    """Submit and read for so long."""
    load = Load()
    async with aiohttp.ClientSession(
        holder.url,
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4),
        headers={"Authorization": f"Bearer {holder.token}"},
        timeout=aiohttp.ClientTimeout(total=30),
    ) as session:
        reading = asyncio.ensure_future(read_all(session, reads, load))
        await submit_all(session, repo, rate, seconds, load)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return load


async def compare(home: Path, found: list[dict[str, Any]], tasks: list[str]) -> Figures:
    """Look whether every client got every event once and in order, and every accepted task is there."""
    store = await SqlStore.open(home, create=False)
    numbers = [numbered.number for numbered in await store.feed()]
    failed = await store.reports(states=["failed", "cancelled"])
    if failed:
        raise SystemExit(f"{len(failed)} tasks failed, so nothing was measured; the first: {failed[0].outcome}")
    lost = doubled = events = 0
    for each in found:
        if each["broken"]:
            raise SystemExit(f"a stream broke, so nothing was measured: {each['broken']}")
        got: list[int] = each["numbers"]
        if each["task"]:
            there = [event.seq for event in await store.events(each["task"])]
            there = there if each["ended"] else there[: there.index(got[-1]) + 1] if got else []
        else:
            there = [number for number in numbers if got[0] <= number <= got[-1]]
        events += len(got)
        lost += len(set(there) - set(got))
        doubled += len(got) - len(set(got))
        if sorted(got) != got or set(got) - set(there):
            raise SystemExit("a client got events out of order, or some that are not in the store")
    kept = {report.id for report in await store.reports()}
    counts = await store.counts()
    await store.close()
    return {
        "streams_served": len(found),
        "streams_ended": sum(each["ended"] for each in found),
        "events_stored": len(numbers),
        "events_sent": events,
        "events_lost": lost,
        "events_doubled": doubled,
        "accepted_tasks_lost": len(set(tasks) - kept),
        "tasks_completed": counts["completed"],
    }


async def last_number(home: Path) -> int:
    """The number of the last event."""
    store = await SqlStore.open(home, create=False)
    last = await store.last_event()
    await store.close()
    return last


def cpu_seconds(pid: int) -> tuple[float, float]:
    """What a process used, and what its children did that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own, children = (sum(map(int, fields[begin : begin + 2])) / TICKS for begin in (11, 13))
    return own, children


def memory_mb(pid: int, field: str) -> float:
    """A line of `/proc/PID/status`, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


def shares(name: str, taken: list[float]) -> Figures:
    """The middle and the tail of some durations, in milliseconds."""
    if len(taken) < 100:  # noqa: PLR2004 - a 99th percentile needs as many
        raise SystemExit(f"only {len(taken)} {name}, so nothing was measured")
    cuts = statistics.quantiles(taken, n=100)
    return {f"{name}_ms_p50": cuts[49], f"{name}_ms_p95": cuts[94], f"{name}_ms_p99": cuts[98]}


def measure(arguments: argparse.Namespace, directory: Path) -> Figures:
    """Put a server under load once."""
    repo = make_repository(directory / "repo")
    with served(directory, arguments.slots, arguments.most_pending) as (holder, home):
        idle = memory_mb(holder.pid, "VmRSS")
        followers = Followers(holder, arguments.followers // 2, arguments.followers - arguments.followers // 2)
        began, (own, children) = time.perf_counter(), cpu_seconds(holder.pid)
        load = asyncio.run(put_under_load(holder, repo, arguments.submissions, arguments.reads, arguments.seconds))
        wall, (own_after, children_after) = time.perf_counter() - began, cpu_seconds(holder.pid)
        most = memory_mb(holder.pid, "VmHWM")
        found = followers.collect(asyncio.run(last_number(home)))
    answers = load.statuses + load.read_statuses
    foreseen = {0, HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.TOO_MANY_REQUESTS}
    failed = {status for status in answers if status >= HTTPStatus.INTERNAL_SERVER_ERROR}
    if answers.keys() - failed - foreseen:
        raise SystemExit(f"answers were {dict(answers)}, so nothing was measured")
    return {
        "seconds": wall,
        "followers": arguments.followers,
        "accepted": load.statuses[HTTPStatus.ACCEPTED],
        "refused_429": answers[HTTPStatus.TOO_MANY_REQUESTS],
        "answered_5xx": sum(answers[status] for status in failed),
        "connections_broken": answers[0],
        **asyncio.run(compare(home, found, load.tasks)),
        **shares("submission", load.submissions),
        **shares("read", load.reads),
        "server_cpu_percent": 100 * (own_after - own) / wall,
        "git_cpu_percent": 100 * (children_after - children) / wall,
        "server_mb_idle": idle,
        "server_mb_most": most,
    }


def main() -> None:
    """Measure once and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--followers", type=int, default=200, help="clients that follow; half of them everything")
    parser.add_argument("--submissions", type=int, default=200, help="a second")
    parser.add_argument("--reads", type=int, default=50, help="a second")
    parser.add_argument("--slots", type=int, default=2, help="tasks that run at the same time")
    parser.add_argument("--most-pending", type=int, default=0, help="tasks that may wait; 0 for no limit")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measure(arguments, Path(directory))
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):<42} {value:>12,.2f}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
