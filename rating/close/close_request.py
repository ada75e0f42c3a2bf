"""The parameters of a close, and the ledgers it follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from clickhouse_connect.driver.client import Client

from rating.close.checklist.checks import ChecklistPoint
from rating.invoices.ledger import StandingInvoices
from rating.invoices.waiting import Progress
from schemas.ledgers.checkpoints import CheckpointLedger, Cut
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRequest:
    """Bill every period of ``namespace`` that is due at ``as_of``.

    ``now``: the real present, of checkpoints; ``ahead``: how far the namespace's clock is ahead of it.
    ``client``: ClickHouse client. ``dry_run``: rate live usage and write nothing. ``strict``: bill nothing if the
    checklist has findings. ``on_checks``: called with the checklist before anything is billed. ``subscription``: bill
    nothing but what this one has used of its running period by now, whether it has a threshold or not. ``reached``:
    nothing but what these have used, each only where it has reached its threshold.
    """

    settings: Settings
    client: Client
    namespace: str
    as_of: datetime
    now: datetime
    ahead: timedelta = timedelta()
    on_progress: Progress
    dry_run: bool = False
    strict: bool = False
    on_checks: Callable[[tuple[ChecklistPoint, ...]], None] = lambda _: None
    subscription: str = ""
    reached: frozenset[str] = frozenset()

    @property
    def present(self) -> datetime:
        """The namespace's present."""
        return self.now + self.ahead

    def instant_us(self, cut: Cut) -> int:
        """The instant of a checkpoint by the namespace's clock, microseconds UTC."""
        return cut.as_of_us + self.ahead // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class FollowedLedgers:
    """The invoice and checkpoint ledgers as far as they are read; ``standing``: the valid invoices according to
    ``invoices``."""

    invoices: LedgerReader
    checkpoints: CheckpointLedger
    standing: StandingInvoices
