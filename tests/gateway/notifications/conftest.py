from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.notifications.news_lab import News, Receiver, receiving
from kugetsu.protocols import Store
from kugetsu.storage import SqlStore
from kugetsu.testing import FakeClock, MemoryStore


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(auto=False)


@pytest.fixture(params=["memory", "sql"])
async def any_store(request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Store]:
    store: Store = MemoryStore(clock) if request.param == "memory" else await SqlStore.open(tmp_path / "home", clock)
    yield store
    await store.close()


@pytest.fixture
def news(any_store: Store, clock: FakeClock, tmp_path: Path) -> News:
    """On every store."""
    return News(any_store, clock, tmp_path)


@pytest.fixture
def memory_news(clock: FakeClock, tmp_path: Path) -> News:
    """Where the store is not what counts."""
    return News(MemoryStore(clock), clock, tmp_path)


@pytest.fixture
async def real_news(clock: FakeClock, tmp_path: Path) -> AsyncIterator[News]:
    """On the store that users have."""
    store = await SqlStore.open(tmp_path / "home", clock)
    yield News(store, clock, tmp_path)
    await store.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found
