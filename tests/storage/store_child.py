"""A process of its own that writes to a store, and says on standard output what it was told is written."""

import asyncio
import sys
from pathlib import Path

from kugetsu.failpoints import arm
from kugetsu.messages import user
from kugetsu.protocols import Claim, WorkerInfo
from kugetsu.sessions import Heard
from kugetsu.storage import SqlStore
from kugetsu.tasks import Budget, Budgets, Ending, Outcome, Spent, Task
from kugetsu.testing import FakeClock


def say(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


def a_task(name: str) -> Task:
    return Task(id=name, prompt="p", repo="r", model="m")


async def submit(store: SqlStore, name: str) -> None:
    await store.submit(a_task(name))
    say(name)


async def die_in_a_group(store: SqlStore, point: str) -> None:
    """Be killed at a point of the group in which three tasks come in; one came in before."""
    await submit(store, "before")
    arm(point)
    await asyncio.gather(*(submit(store, f"within{number}") for number in range(3)))


async def die_at(store: SqlStore, point: str) -> None:
    """Be killed at a point of what a worker does, with one task that is running and one that is pending."""
    await store.register(WorkerInfo("w", "host", 1), 60)
    await submit(store, "running")
    (claim,) = await store.claim("w", 1)
    await submit(store, "pending")
    arm(point)
    await store.submit(a_task("late"))
    await store.claim("w", 1)
    await settle(store, claim)
    await store.reap(["w"])


async def settle(store: SqlStore, claim: Claim) -> None:
    outcome = Outcome("completed", "done")
    await store.settle(claim.lease, Ending(state="completed", outcome=outcome, report=claim.record.report))


async def write_many(store: SqlStore, name: str) -> None:
    for number in range(60):
        await store.submit(a_task(f"{name}{number}"))


async def work(store: SqlStore, name: str) -> None:
    """Take tasks one by one until there are none, beside others that do the same."""
    await store.register(WorkerInfo(name, "host", 1), 60)
    while claims := await store.claim(name, 1):
        await store.append(claims[0].lease, [Heard(user("hello"))])
        await settle(store, claims[0])
        say(claims[0].record.id)


async def spend(store: SqlStore, name: str) -> None:
    """Use up what may be used up, a little at a time, beside others that do the same; say each time how much."""
    await store.register(WorkerInfo(name, "host", 1), 60)
    claim = (await store.submit(a_task(name), worker=name)).claim
    assert claim is not None
    budgets = Budgets(day=Budget(turns=50))
    while not (reserved := await store.reserve(claim.lease, Spent(turns=1), Spent(turns=3), budgets)).hit:
        if reserved.granted is not None:
            say(str(reserved.granted.turns))
            await store.append(claim.lease, [], spent=reserved.granted)


async def main(home: str, act: str, argument: str) -> None:
    clock = FakeClock() if act == "spend" else None  # so that no new day begins meanwhile
    store = await SqlStore.open(Path(home), clock)
    await {"group": die_in_a_group, "point": die_at, "write": write_many, "work": work, "spend": spend}[act](
        store, argument
    )
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
