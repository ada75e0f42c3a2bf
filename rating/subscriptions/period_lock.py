"""Which invoices a namespace's lock date closes to adjustments. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final

from schemas.catalog.state import NamespaceView
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import micros
from schemas.values.local_time import local_midnight, parse_zone


@dataclass(frozen=True, slots=True)
class PeriodLock:
    """The lock date of a catalog; None: nothing is locked.

    An invoice is locked where its period ended at or before the local midnight at which that date begins, in the time
    zone that is pinned on the invoice. So a run knows it by the catalog at its own offset alone.
    """

    day: date | None = None

    @classmethod
    def of(cls, view: NamespaceView) -> PeriodLock:
        """As the namespace's settings have it in this view."""
        return cls(view.settings.lock_date)

    def covers(self, invoice: Invoice) -> bool:
        """Whether no late usage adjusts the invoice."""
        return self.ends(invoice.period_end, invoice.time_zone)

    def ends(self, end_us: int, zone: str) -> bool:
        """Whether a period of that time zone that ended at ``end_us`` (microseconds UTC) is locked."""
        return self.day is not None and end_us <= _begin_us(self.day, zone)


NO_LOCK: Final = PeriodLock()


@lru_cache(maxsize=1024)
def _begin_us(day: date, zone: str) -> int:
    """When the date begins there, in microseconds UTC; in UTC where the zone is not known any longer, as the invoice
    has to be judged by something."""
    try:
        known_zone = parse_zone(zone)
    except ValueError:
        known_zone = parse_zone("UTC")
    return micros(local_midnight(day, known_zone))
