"""By what accounts are looked at: the log of alerts, the cursor and the catalog, read in this order, and before the
values: so whatever an alert in the log counted is in the values. Blocking."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.alerts.alert_ledger import AlertLedger
from rating.alerts.crossings import AsOf
from schemas.catalog.state import Catalog, NamespaceView
from schemas.errors import WeirError
from schemas.ledgers.alert_record import DAY_US
from schemas.ledgers.checkpoint_folds.checkpoint_reader import CheckpointReader
from schemas.ledgers.checkpoints import read_progress
from schemas.settings import Settings
from schemas.values.instants import instant

MOST_A_DAY: Final = 20_000
"""Records of a namespace in a day, UTC (several evaluators at once: as many more as they write in one look)."""


class Behind(WeirError):
    """What this process has read is older than what an alert was made by: nothing may be judged by it yet."""


class DayIsFull(WeirError):
    """The namespace has as many alerts as a day has room for."""

    def __init__(self, now_us: int) -> None:
        super().__init__(
            f"{MOST_A_DAY} alerts on {instant(now_us):%Y-%m-%d}, and more wait for the next day (UTC); write thresholds"
            " that fewer accounts reach, or a plan or account to the rule"
        )
        self.seconds = (DAY_US - now_us % DAY_US) / 1e6 + 1
        """Until the next day."""


@dataclass(frozen=True, slots=True)
class Basis:
    """``room``: records that the namespace may have yet on this day."""

    view: NamespaceView
    as_of: AsOf
    room: int


class BasisReader:
    """``now_us``: microseconds UTC. Close it."""

    def __init__(
        self, settings: Settings, client: Client, catalog: Catalog, ledger: AlertLedger, now_us: Callable[[], int]
    ) -> None:
        self._client = client
        self._catalog = catalog
        self._ledger = ledger
        self._now_us = now_us
        self._reader = CheckpointReader(settings)
        self.checkpoints = self._reader.checkpoints

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()

    def read(self, namespace: str) -> Basis:
        """That of a look at accounts of the namespace. Raises Behind, DayIsFull, and what Kafka and ClickHouse
        raise."""
        valid = self._ledger.valid
        self._ledger.refresh()
        self._reader.refresh()
        offsets = read_progress(self._client)
        view, now_us, newest = self._catalog.view(namespace), self._now_us(), self.checkpoints.last
        if valid.covers(offsets):
            raise Behind("ClickHouse is behind what an alert counted")
        if view.before < valid.catalog_offset(namespace):
            raise Behind("the catalog that was read is behind what an alert was made by")
        room = MOST_A_DAY - valid.number_on(namespace, now_us // DAY_US)
        if room <= 0:
            raise DayIsFull(now_us)
        return Basis(
            view, AsOf(view.settings.now_us(now_us), newest.number if newest else 0, view.before, offsets), room
        )
