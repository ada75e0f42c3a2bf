"""Adjustments behind a namespace's lock date, which there may be none of: by local dates, as the calendar has them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from rating.verify.chains import Head, StoredLine
from rating.verify.difference import Findings
from schemas.catalog.state import Catalog
from schemas.values.instants import instant
from schemas.values.time_zones import parse_zone

_REMEDY: Final = "void the invoice: the next close bills its period without what came late for locked ones"
_LAST_INSTANT: Final = timedelta(microseconds=1)


def check_unlocked(head: Head, line: StoredLine, adjusted: Head | None, catalog: Catalog, findings: Findings) -> None:
    """A line of usage that adjusts ``adjusted``, whose period ended on a date that the catalog, as of the offset that
    its invoice names, has locked."""
    if adjusted is None or not line.adjusts or not line.profile_id:
        return
    locked = catalog.view(head.namespace, head.catalog_offset).settings.lock_date
    if locked is not None and last_date(adjusted) < locked:
        findings.add(
            "invoice line",
            f"{head.place}, line {line.number}",
            f"no adjustment of {adjusted.invoice_id}, of a period that ended before the lock date {locked}",
            f"{line.kind} of {line.amount}",
            _REMEDY,
        )


def last_date(head: Head) -> date:
    """The local date of the period's last moment; the one in UTC where its zone is not known any longer."""
    try:
        zone = parse_zone(head.time_zone)
    except ValueError:
        zone = parse_zone("UTC")
    return (instant(head.end_us) - _LAST_INSTANT).astimezone(zone).date()
