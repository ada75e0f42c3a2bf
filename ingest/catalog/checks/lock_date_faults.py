"""Checks the date up to which a namespace's invoices are locked against adjustments. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Final

from ingest.catalog.document import Fault
from schemas.values.instants import instant

_PATH: Final = "$.namespace.lock_date"


def lock_date_faults(standing: date | None, proposed: date | None, now_us: int | None) -> Iterator[Fault]:
    """A lock date that goes back, and one that has not come yet by ``now_us`` (microseconds UTC; None: not known).

    Behind the date closes leave late usage out. Were it taken back, nothing would say which of it is on no invoice.
    """
    if proposed is None or proposed == standing:
        return
    if standing is not None and proposed < standing:
        yield Fault(
            _PATH,
            f"goes only forward, and is {standing}: what closes have left out behind it is not found again; to bill a "
            "locked period anew, void its invoice",
        )
    if now_us is not None and proposed > (today := instant(now_us).date()):
        yield Fault(_PATH, f"{proposed} has not come yet, and could not be taken back; use {today} or earlier")
