"""What is kept of tasks on this machine, opened to be read: nothing is made, and no worker is needed."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from kugetsu.config import state_home
from kugetsu.engine import Presences, reap
from kugetsu.errors import RecordError
from kugetsu.protocols import Store
from kugetsu.storage import SqlStore


@asynccontextmanager
async def open_records() -> AsyncIterator[Store]:
    """The records of this user. Tasks of workers that are dead are freed first, where that can be written down.

    Raises:
        RecordError: they cannot be read.
    """
    home = state_home(os.environ)
    store = await SqlStore.open(home, create=False)
    try:
        with suppress(RecordError):
            await reap(store, Presences(home), time.time())
        yield store
    finally:
        await store.close()
