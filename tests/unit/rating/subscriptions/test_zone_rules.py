"""The rules of a time zone change between two closes: no gap, no overlap, nothing billed again."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import tzdata

from rating.invoices.ledger import StandingInvoices
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.subscriptions import billing_periods as spans_module
from rating.subscriptions import shared_timelines as shared_module
from rating.subscriptions import timeline as timeline_module
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice
from schemas.values import time_zones
from schemas.values.instants import instant
from tests.unit.rating.builders import Shelf, us

PLACE = "America/Edmonton"
START = {"week": "2026-08-31"}  # local midnight, by the rules of the day it is asked for
FOLDER = Path(tzdata.__file__).parent / "zoneinfo"


def rules(monkeypatch: pytest.MonkeyPatch, of: str) -> None:
    """From here on Edmonton has the rules of another place."""
    with (FOLDER / of).open("rb") as file:
        zone = ZoneInfo.from_file(file, key=PLACE)
    monkeypatch.setattr(time_zones, "_packaged", lambda name: zone if name == PLACE else ZoneInfo(name))
    timeline_module.boundary_us.cache_clear()
    spans_module._boundary.cache_clear()
    shared_module._all.cache_clear()
    spans_module._grid.cache_clear()


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    timeline_module.boundary_us.cache_clear()
    spans_module._boundary.cache_clear()
    shared_module._all.cache_clear()
    spans_module._grid.cache_clear()


def catalog(interval: str) -> Shelf:
    shelf = Shelf()
    for product in ("seat", "support"):
        shelf.add("product", {"code": product, "kind": "flat"})
    charges = [
        {"product": "seat", "price": {"model": "flat", "amount": "30"}, "in_advance": True},
        {"product": "support", "price": {"model": "flat", "amount": "10"}},
    ]
    shelf.add("plan", {"code": "p", "currency": "USD", "interval": interval, "grace_seconds": 0, "charges": charges})
    shelf.add("account", {"code": "acme", "time_zone": PLACE})
    shelf.add("subscription", {"code": "s", "account": "acme", "plan": "p", "start": START.get(interval, "2026-09-01")})
    return shelf


def close(expected: Shelf, standing: StandingInvoices, as_of: str) -> list[Invoice]:
    plan = make_plan(expected.view(), standing, us(as_of), {})
    assert plan.problems == ()
    invoices, problems = build_invoices(plan, {}, Run("run", 1, 0, 0, {}))
    assert problems == ()
    assert all(standing.apply(invoice) for invoice in invoices)
    return list(invoices)


@pytest.mark.parametrize("interval", ["month", "week", "day"])
@pytest.mark.parametrize(("before", "after"), [("America/Denver", "America/Regina"),
                                               ("America/Regina", "America/Denver"),
                                               ("America/Phoenix", "America/New_York"),
                                               ("America/New_York", "America/Phoenix")])  # fmt: skip
def test_a_change_of_the_rules_between_two_closes(
    monkeypatch: pytest.MonkeyPatch, interval: str, before: str, after: str
) -> None:
    result, standing = catalog(interval), StandingInvoices()
    rules(monkeypatch, before)
    billed = close(result, standing, "2026-12-05T12:00:00Z")
    rules(monkeypatch, after)
    assert close(result, standing, "2026-12-05T12:00:00Z") in ([], billed[:0])  # nothing is billed again
    billed += close(result, standing, "2027-03-05T12:00:00Z")
    periods = [(item.period_start, item.period_end) for item in billed if item.period_start < item.period_end]
    assert [end for _, end in periods[:-1]] == [start for start, _ in periods[1:]]  # neither gap nor overlap
    lines = [line for item in billed for line in item.lines]
    assert {(line.kind, line.charge, Decimal(line.amount)) for line in lines[1:]} <= {
        ("flat", "seat", Decimal(30)), ("flat", "support", Decimal(10)),
    }  # fmt: skip
    for charge, further_item in (("seat", 1), ("support", 0)):  # one fee a period, and one more is ahead
        assert len([line for line in lines if line.charge == charge]) == len(periods) + further_item
    last_astimezone = instant(periods[-1][1]).astimezone(time_zones.parse_zone(PLACE))
    assert (last_astimezone.hour, last_astimezone.minute) == (0, 0)  # by the rules of now


def test_an_invoice_says_by_which_rules_its_period_was_found() -> None:
    (opening,) = close(catalog("month"), StandingInvoices(), "2026-09-01T12:00:00Z")
    assert f'"time_zone_data": "{time_zones.VERSION}"' in opening.body
