"""From usage.topups to what follows of it, in the process of webhooks:

    1. Valid records that are new are stored in ClickHouse.
    2. Of those that are paid the grant is published, where nobody has yet.
    3. Messages are queued; only then does the position move past them.

So whoever dies between a payment's record and its grant leaves the grant to this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from clickhouse_connect.driver.client import Client

from rating.topups import topup_store
from rating.topups.topup_grants import TopupGrants, ungranted
from rating.topups.topup_ledger import AppendedTopup, TopupLedger
from schemas.catalog.state import Catalog
from schemas.settings import Settings

QueueTopups = Callable[[Sequence[AppendedTopup]], Awaitable[None]]
"""Queues the messages of records, durably."""


class TopupCopy:
    """``positions``: partition → next offset of usage.topups below which all is done. Close it. Raises
    LedgerUnavailable."""

    def __init__(self, settings: Settings, client: Client, catalog: Catalog) -> None:
        self._client = client
        self._catalog = catalog
        self._grants = TopupGrants(settings)
        self.positions = topup_store.copied_positions(client)
        self.ledger = TopupLedger(settings, self.positions)
        if any(end < self.positions.get(number, 0) for number, end in self.ledger.ends().items()):
            self.ledger.close()  # another log than the one that was copied: all of it is new
            self.positions = {}
            self.ledger = TopupLedger(settings, {})

    def goes_on(self) -> bool:
        """Whether ClickHouse, which may have been restored since, still has what was stored. Blocking."""
        stored = topup_store.copied_positions(self._client)
        return all(stored.get(number, 0) >= end for number, end in self.positions.items())

    async def deliver(self, queue: QueueTopups) -> None:
        """All three steps of what is new."""
        ledger = self.ledger
        await asyncio.to_thread(ledger.refresh)
        positions, known = ledger.positions, self.positions
        fresh = [topup for topup in ledger.unstored if topup.offset >= known.get(topup.partition, 0)]
        if fresh:
            await asyncio.to_thread(self._store, fresh)
            await queue(fresh)
        if positions != known and all(end >= known.get(number, 0) for number, end in positions.items()):
            await asyncio.to_thread(topup_store.write_positions, self._client, positions)
            self.positions = positions
        ledger.unstored.clear()

    def _store(self, fresh: Sequence[AppendedTopup]) -> None:
        topup_store.write_topups(self._client, fresh)
        for topup in fresh:
            if ungranted(self._catalog.view(topup.record.namespace), topup.record):
                self._grants.publish(topup.record)

    def close(self) -> None:
        """Disconnect."""
        self.ledger.close()
