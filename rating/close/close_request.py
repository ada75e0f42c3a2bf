"""The parameters of a close, and the ledgers it follows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from clickhouse_connect.driver.client import Client

from rating.close.checklist.checks import ChecklistPoint
from rating.invoices.ledger import StandingInvoices
from rating.invoices.waiting import Progress
from schemas.ledgers.checkpoints import CheckpointLedger
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRequest:
    """Bill every period of ``namespace`` that is due at ``as_of``.

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
    on_progress: Progress
    dry_run: bool = False
    strict: bool = False
    on_checks: Callable[[tuple[ChecklistPoint, ...]], None] = lambda _: None
    subscription: str = ""
    reached: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FollowedLedgers:
    """The invoice and checkpoint ledgers as far as they are read; ``standing``: the valid invoices according to
    ``invoices``."""

    invoices: LedgerReader
    checkpoints: CheckpointLedger
    standing: StandingInvoices
