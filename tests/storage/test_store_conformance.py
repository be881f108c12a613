from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kugetsu.protocols import Clock, Store
from kugetsu.storage import SqlStore
from kugetsu.testing import MemoryStore
from storage.store_contract import OpenStore, StoreContract


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def open_store(self) -> OpenStore:
        @asynccontextmanager
        async def open_store(clock: Clock) -> AsyncIterator[Store]:
            yield MemoryStore(clock)

        return open_store


class TestSqlStore(StoreContract):
    @pytest.fixture
    def open_store(self, tmp_path: Path) -> OpenStore:
        @asynccontextmanager
        async def open_store(clock: Clock) -> AsyncIterator[Store]:
            store = await SqlStore.open(tmp_path, clock)
            try:
                yield store
            finally:
                await store.close()

        return open_store
