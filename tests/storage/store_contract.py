"""What every store keeps to: one suite, in parts, to be run on each engine.

A class of tests that inherits `StoreContract` says with the fixture `open_store` how its engine is opened.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from kugetsu.protocols import Clock, Store
from kugetsu.testing import FakeClock
from storage.contract_controls import ControlContract
from storage.contract_desk import DeskContract
from storage.contract_feed import FeedContract
from storage.contract_keyring import KeyringContract
from storage.contract_leases import LeaseContract
from storage.contract_ledger import LedgerContract
from storage.contract_order import OrderContract
from storage.contract_outbox import OutboxContract
from storage.contract_runs import RunContract
from storage.contract_subjects import SubjectContract
from storage.contract_submissions import SubmissionContract
from storage.contract_waiting import WaitingContract
from storage.store_lab import Lab

OpenStore = Callable[[Clock], AbstractAsyncContextManager[Store]]


class StoreContract(
    RunContract,
    LeaseContract,
    OrderContract,
    WaitingContract,
    LedgerContract,
    SubmissionContract,
    ControlContract,
    DeskContract,
    FeedContract,
    SubjectContract,
    OutboxContract,
    KeyringContract,
):
    """All of it."""

    @pytest.fixture
    async def lab(self, open_store: OpenStore) -> AsyncIterator[Lab]:
        clock = FakeClock(auto=False)
        async with open_store(clock) as store:
            yield Lab(store, clock)
            await store.close()
            await store.close()  # closing may be repeated
