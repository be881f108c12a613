"""One measurement: what the store costs. Prints a table, and one JSON object as its last line. Takes about a minute."""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

from kugetsu.events import TurnFinished
from kugetsu.messages import AssistantMessage, Text, ToolCall, ToolResult, Usage, user
from kugetsu.protocols import Claim, Concurrency, WorkerInfo
from kugetsu.sessions import Checkpoint, Entry, Finished, Heard, Replied, Started
from kugetsu.storage import SqlStore
from kugetsu.tasks import Ending, Outcome, Task, new_task_id

TASKS = 2_000
CALLERS = 100
SESSIONS = 1_000
PENDING = (10, 100_000)
CLAIMS = 60
LONG_SESSIONS = 100
TURNS = 500
REPOSITORIES = 20
WORKER = WorkerInfo("bench", "here", 1)
ENDING_WORDS = "done"

Figures = dict[str, float]


def new_task(number: int = 0) -> Task:
    """A task as users submit them."""
    repo = f"/home/somebody/repository-{number % REPOSITORIES}"
    return Task(id=new_task_id(), prompt="Repair what is broken. " * 20, repo=repo, model="provider/model")


def turn_of(number: int) -> tuple[Entry, ...]:
    """A closed turn of about 2 KB with one call."""
    call = ToolCall(id=f"call-{number}", name="bash", arguments='{"command": "make test"}')
    reply = AssistantMessage(content=(Text("I look at it. " * 30), call), usage=Usage(1_000, 50))
    result = ToolResult(call_id=call.id, name="bash", content=(Text("all is well\n" * 100),))
    started = Started(number, (call.id,))
    return (Replied(number, reply), started, Finished(number, result), Checkpoint(number, "c0ffee" * 6))


async def at_once(calls: Iterable[Awaitable[object]], callers: int = CALLERS) -> None:
    """Make calls, so many of them at the same time."""
    waiting = iter(calls)

    async def caller() -> None:
        for call in waiting:
            await call

    async with asyncio.TaskGroup() as group:
        for _ in range(callers):
            group.create_task(caller())


async def timed(call: Callable[[], Awaitable[object]]) -> float:
    """Seconds that a call takes."""
    started = time.perf_counter()
    await call()
    return time.perf_counter() - started


def settled(claim: Claim) -> Ending:
    """The end of a run that went well."""
    return Ending(state="completed", outcome=Outcome("completed", ENDING_WORDS), report=claim.record.report)


def percentile(values: Sequence[float], percent: int) -> float:
    """A percentile, in milliseconds."""
    return statistics.quantiles(values, n=100)[percent - 1] * 1000


async def measure_rates(store: SqlStore) -> Figures:
    """How many tasks come in, are claimed one by one, and are completed in a second."""
    seconds = await timed(lambda: at_once(store.submit(new_task(n), most_pending=TASKS * 2) for n in range(TASKS)))
    enqueued = TASKS / seconds
    claims: list[Claim] = []

    async def claim_all() -> None:
        while claimed := await store.claim(WORKER.id, 1):
            claims.extend(claimed)

    seconds = await timed(claim_all)
    assert len(claims) == TASKS
    completed = await timed(lambda: at_once(store.settle(claim.lease, settled(claim)) for claim in claims))
    return {
        "enqueued_per_second": enqueued,
        "claimed_per_second": TASKS / seconds,
        "completed_per_second": TASKS / completed,
    }


async def claims_of(store: SqlStore, number: int) -> list[Claim]:
    """So many running tasks."""
    await at_once(store.submit(new_task(n)) for n in range(number))
    claims = await store.claim(WORKER.id, number)
    assert len(claims) == number
    await at_once(store.append(claim.lease, (Heard(user("Repair it.")),)) for claim in claims)
    return claims


async def measure_commits(store: SqlStore, seconds: int) -> Figures:
    """Many sessions, each of which commits a turn a second."""
    claims = await claims_of(store, SESSIONS)
    latencies: list[float] = []
    lags: list[float] = []
    start = time.perf_counter() + 0.5

    async def session(position: int, claim: Claim) -> None:
        for turn in range(1, seconds + 1):
            due = start + turn - 1 + position / SESSIONS
            await asyncio.sleep(due - time.perf_counter())
            event = TurnFinished(task=claim.record.id, seq=claim.last_event + turn, turn=turn, usage=Usage())
            began = time.perf_counter()
            await store.append(claim.lease, turn_of(turn), events=(event,), headway=True)
            latencies.append(time.perf_counter() - began)

    async def probe() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            lags.append(time.perf_counter() - began - 0.01)

    async with asyncio.TaskGroup() as group:
        probing = group.create_task(probe())
        cpu = time.process_time()
        async with asyncio.TaskGroup() as sessions:
            for position, claim in enumerate(claims):
                sessions.create_task(session(position, claim))
        cpu = time.process_time() - cpu
        wall = time.perf_counter() - start
        probing.cancel()
    await at_once(store.settle(claim.lease, settled(claim)) for claim in claims)
    return {
        "commits_per_second": len(latencies) / wall,
        "cpu_ms_per_commit": cpu * 1000 / len(latencies),
        "commit_p50_ms": percentile(latencies, 50),
        "commit_p95_ms": percentile(latencies, 95),
        "commit_p99_ms": percentile(latencies, 99),
        "loop_lag_p95_ms": percentile(lags, 95),
    }


async def measure_claims(store: SqlStore, pending: int, limits: Concurrency | None = None) -> float:
    """Milliseconds of one claim, the median, with so many tasks pending."""
    missing = pending - (await store.counts())["pending"]
    await at_once((store.submit(new_task(n)) for n in range(missing)), 500)
    taken = []
    for _ in range(CLAIMS):
        began = time.perf_counter()
        (claim,) = await store.claim(WORKER.id, 1, limits)
        taken.append(time.perf_counter() - began)
        await store.settle(claim.lease, settled(claim))
        await store.submit(new_task())
    return statistics.median(taken) * 1000


async def measure_full_lanes(store: SqlStore) -> float:
    """Milliseconds of a claim that finds room for nothing, though everything is ready."""
    limits = Concurrency(model=1)
    (claim,) = await store.claim(WORKER.id, 1, limits)
    taken = [await timed(lambda: store.claim(WORKER.id, 1, limits)) for _ in range(CLAIMS // 3)]
    await store.settle(claim.lease, settled(claim))
    return statistics.median(taken) * 1000


async def measure_length(store: SqlStore) -> Figures:
    """CPU of an append at the beginning of sessions, and where they are long."""
    claims = await claims_of(store, LONG_SESSIONS)
    rounds: list[float] = []
    for turn in range(1, TURNS + 11):
        entries = turn_of(turn)
        cpu = time.process_time()
        await at_once((store.append(claim.lease, entries) for claim in claims), LONG_SESSIONS)
        rounds.append((time.process_time() - cpu) * 1000 / LONG_SESSIONS)
    await at_once(store.settle(claim.lease, settled(claim)) for claim in claims)
    # The first rounds meet statements that are not prepared yet.
    return {"cpu_ms_at_turn_5": statistics.median(rounds[2:12]), "cpu_ms_at_turn_500": statistics.median(rounds[-10:])}


async def measure(home: Path, seconds: int) -> Figures:
    """Take every figure, each on a database of its own."""
    figures: Figures = {}

    async def on(name: str, act: Callable[[SqlStore], Awaitable[Figures]]) -> None:
        store = await SqlStore.open(home / name)
        await store.register(WORKER, 3_600)
        figures.update(await act(store))
        await store.close()

    async def claims(store: SqlStore) -> Figures:
        few, many = [await measure_claims(store, pending) for pending in PENDING]
        limited = await measure_claims(store, PENDING[1], Concurrency(repository=2, model=1_000))
        return {
            f"claim_ms_with_{PENDING[0]}": few,
            f"claim_ms_with_{PENDING[1]}": many,
            f"claim_ms_with_{PENDING[1]}_and_limits": limited,
            f"claim_ms_with_{PENDING[1]}_and_no_room": await measure_full_lanes(store),
        }

    await on("rates", measure_rates)
    await on("commits", lambda store: measure_commits(store, seconds))
    await on("length", measure_length)
    await on("claims", claims)
    return figures


def main() -> None:
    """Measure once and print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=10, help="how long 1,000 sessions commit")
    parser.add_argument("--directory", help="where the databases are made; default: the system's for temporary files")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.directory) as home:
        figures = asyncio.run(measure(Path(home), arguments.seconds))
    for name, value in figures.items():
        print(f"{name.replace('_', ' '):<42} {value:>12,.3f}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
