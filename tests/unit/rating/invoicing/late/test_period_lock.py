"""A lock date: behind it nothing is adjusted, all of it is listed as left out, and a run obeys the one that its own
catalog offset has."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.invoicing.charges import ChargeBook
from rating.invoicing.late.late_records import Late
from rating.invoicing.late.late_report import late_lines
from rating.invoicing.late.late_usage import find_late, priors
from rating.invoicing.late.left_out import changed_lines, locked_priors
from rating.invoicing.run_plan import make_plan
from rating.subscriptions.period_lock import PeriodLock
from rating.verify.difference import Findings
from rating.verify.invoices.earlier_billing import EarlierBilling
from rating.verify.invoices.locked_periods import check_unlocked, last_date
from schemas.ledgers.checkpoints import Checkpoints, Cut, cut_record
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import DAY, SECOND
from schemas.values.record_copy import replace
from tests.unit.rating.builders import Shelf, invoice_of, us
from tests.unit.rating.invoicing.builders import (
    APRIL,
    FEBRUARY,
    JANUARY,
    MARCH,
    SUBSCRIPTION,
    Books,
    by_part,
    catalog,
    plan,
    used,
)
from tests.unit.rating.verify.builders import head_of, lines_of

PRICE = {"model": "per_unit", "unit_amount": "0.5"}
MAY = us("2026-05-01T00:00:00Z")
ENDS = (FEBRUARY, MARCH, APRIL, MAY)
ZONES = ("UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin")


def locked(shelf: Shelf, day: str) -> None:
    shelf.add("namespace", {"code": "air", "lock_date": day})


@given(st.dates(date(2000, 1, 1), date(2040, 1, 1)), st.sampled_from(ZONES), st.integers(-3 * 86_400, 3 * 86_400))
def test_an_invoice_is_locked_where_its_last_moment_lies_before_the_date_in_its_own_zone(
    day: date, zone: str, offset: int
) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    end_us = us(midnight.isoformat()) + offset * SECOND
    invoice = invoice_of(period_end=end_us, time_zone=zone)
    covers = PeriodLock(day).covers(invoice)
    assert covers == (last_date(head_of(invoice)) < day)  # as `weir verify` works it out
    assert covers == (offset <= 0)
    assert not PeriodLock().covers(invoice)


events = st.lists(
    st.tuples(st.floats(0, 119, allow_nan=False), st.integers(1, 30), st.integers(1, 5), st.integers(0, 5)), max_size=12
)


@given(events, st.integers(1, 4), st.integers(0, 3))
def test_behind_the_date_nothing_is_adjusted_and_all_of_it_is_listed_in_front_everything_is_billed(
    came: list[tuple[float, int, int, int]], locking: int, months: int
) -> None:
    """Four months are closed; before close number ``locking`` the first ``months`` months are locked."""
    months = min(months, locking - 1)
    shelf = catalog(PRICE)
    books = Books(
        shelf,
        [
            used(day, quantity, close=close, voided=voided if voided > close else 0)
            for day, quantity, close, voided in came
        ],
    )
    day = date(2026, 1 + months, 1)
    amounts_then: dict[tuple[str, int], Decimal] = {}
    for number, end in enumerate(ENDS, 1):
        if number == locking and months:
            locked(shelf, day.isoformat())
            amounts_then = by_part(books.standing)
        books.close(end)
    lock, chain = PeriodLock.of(shelf.view()), books.standing.chain("air", "s")
    by_id = {invoice.invoice_id: invoice for invoice in chain}
    for invoice in chain:
        for line in invoice.lines:
            if line.adjusts and invoice.checkpoint >= locking:
                assert not lock.covers(by_id[line.adjusts])
    book = ChargeBook(shelf.view())
    after = [Late("m.p", event.at_us, event.at_us, 1) for event in books.events]
    left = locked_priors(chain, lambda _checkpoint, _account: after, book)
    problems: list[str] = []
    lines = changed_lines([(chain, left)], books.measure({prior.need for prior in left}), problems)
    assert problems == []
    left_out = {line.line.period_start: line.difference for line in lines}
    for start, end in zip((JANUARY, *ENDS), ENDS, strict=False):
        billed = by_part(books.standing).get(("c", start), Decimal(0))
        counted = [
            event.quantity for event in books.events if start <= event.at_us < end and event.counts(books.closes)
        ]
        owed = Decimal("0.5") * sum(counted)
        if any(lock.covers(invoice) for invoice in chain if invoice.period_start == start):
            assert billed == amounts_then["c", start]
            assert left_out.get(start, Decimal(0)) == owed - billed
        else:
            assert (billed, start in left_out) == (owed, False)


def test_a_run_obeys_the_lock_date_of_its_own_catalog_offset() -> None:
    shelf = catalog(PRICE)
    books = Books(shelf, [used(3, 10, close=1), used(4, 6, close=2)])
    books.close(FEBRUARY)
    before = shelf.catalog.next_offset
    locked(shelf, "2026-02-01")
    late = {"s": (Late("m.p", JANUARY + 4 * DAY, JANUARY + 4 * DAY, 1),)}
    (then,) = make_plan(shelf.view(before), books.standing, MARCH, late).billings
    (now,) = make_plan(shelf.view(), books.standing, MARCH, late).billings
    assert ([prior.invoice_id for prior in then.prior], now.prior) == (
        [books.standing.chain("air", "s")[0].invoice_id],
        (),
    )


class Asked:
    """A ClickHouse that notes what it is asked, and knows of a late record in every period."""

    def __init__(self) -> None:
        self.questions: list[dict[str, Any]] = []

    def query(self, _sql: str, parameters: dict[str, Any]) -> Any:
        self.questions.append(parameters)
        rows = [("acme", "m.p", 0, 1, 0, at_us, at_us, 1) for at_us in (JANUARY + DAY, FEBRUARY + DAY, MARCH + DAY)]
        return type("Answer", (), {"result_rows": rows})


def test_late_usage_is_not_looked_for_where_a_chain_lies_behind_the_date() -> None:
    shelf, client = catalog(PRICE), Asked()
    books = Books(shelf, [])
    for end in (FEBRUARY, MARCH):
        books.close(end)
    checkpoints = Checkpoints()
    for number in (1, 2):
        checkpoints.apply(cut_record(Cut(number, {(1, 0): number}, 0, number), "claim"))

    def found(lock: str) -> list[str]:
        return list(
            find_late(client, "air", books.standing, checkpoints, None, lock=PeriodLock(date.fromisoformat(lock)))
        )

    assert (found("2026-03-01"), client.questions) == ([], [])
    assert (found("2026-02-28"), len(client.questions)) == (["s"], 1)


def test_an_adjustment_behind_the_date_is_a_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = catalog(PRICE)
    books = Books(shelf, [used(3, 10, close=1), used(4, 6, close=2)])
    books.close(FEBRUARY)
    offset = shelf.catalog.next_offset
    locked(shelf, "2026-02-01")
    monkeypatch.setattr(books.shelf, "view", lambda _=None: shelf.catalog.view("air", offset))
    books.close(MARCH)  # as if the date were not there

    def differences(known: int) -> list[str]:
        chain = books.standing.chain("air", "s")
        heads = [replace(head_of(invoice), catalog_offset=known) for invoice in chain]
        lines = {(item.namespace, item.invoice_id, item.version): lines_of(item) for item in chain}
        findings, earlier = Findings(), EarlierBilling(heads, lines)
        for head in heads:
            for line in lines[head.namespace, head.invoice_id, head.version]:
                check_unlocked(head, line, earlier.adjusted_by(head, line), shelf.catalog, findings)
        return [str(difference) for difference in findings.differences()]

    assert differences(offset) == []
    (difference,) = differences(shelf.catalog.next_offset)
    assert "before the lock date 2026-02-01" in difference


@pytest.mark.parametrize("close", [1, 2])
def test_what_came_late_for_one_part_of_a_month_is_reported_as_it_will_be_billed(close: int) -> None:
    """Parts of a month that share an allowance are rated together, in the report as on the invoice."""
    price = {"model": "per_unit", "unit_amount": "1", "included_units": "10"}
    shelf = catalog(price)
    shelf.add("plan", plan(price | {"unit_amount": "2"}))
    shelf.add("subscription", SUBSCRIPTION | {"plan_version": 1})
    shelf.add("subscription", SUBSCRIPTION | {"plan_version": 2, "change_at": "2026-01-16T00:00:00Z"})
    books = Books(shelf, [used(3, 8, close=close), used(20, 8, close=1), used(21, 1, close=2)])
    books.close(FEBRUARY)
    chain = books.standing.chain("air", "s")
    late = [Late("m.p", JANUARY + day * DAY, JANUARY + day * DAY, 1) for day in (3, 21)]
    books.closes += 1
    found = priors(chain, late, ChargeBook(shelf.view()))
    reported = late_lines(chain, found, books.measure({prior.need for prior in found}))
    books.closes -= 1
    (billed,) = books.close(MARCH)

    def adjusting(invoice: Invoice) -> list[tuple[int, str]]:
        return [(line.period_start, line.amount) for line in invoice.lines if line.kind == "adjustment"]

    assert [(line.line.period_start, line.line.amount) for line in reported] == adjusting(billed)
    assert reported
