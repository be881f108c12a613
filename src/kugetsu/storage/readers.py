"""Reading, in threads of its own: it neither blocks the event loop nor waits for the writer."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import Connection

from kugetsu.errors import RecordError
from kugetsu.storage.connecting import Access, reading
from kugetsu.storage.failures import DATABASE_ERRORS, cannot

T = TypeVar("T")

_READERS: Final = 3


class Readers:
    """A few threads, each with a connection while it reads."""

    def __init__(self, path: Path, access: Access = "") -> None:
        self._path = path
        self._engine = reading(path, _READERS, access)
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="kugetsu-reader")
        self._closed = False

    async def run(self, query: Callable[[Connection], T]) -> T:
        """Read what is committed, all of it as of one moment.

        Raises:
            KugetsuError: what the query raises.
            RecordError: it could not be read.
        """
        if self._closed:
            raise RecordError(f"{self._path} is closed")
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._read, query)

    async def close(self) -> None:
        """Let reads end. May be called twice."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._threads.shutdown)
            self._engine.dispose()

    def _read(self, query: Callable[[Connection], T]) -> T:
        try:
            with self._engine.connect() as connection:
                return query(connection)
        except DATABASE_ERRORS as error:
            raise cannot("read", self._path, error) from error
