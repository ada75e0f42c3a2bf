"""The examples of rating/BILLING.md about what is measured, periods and terms, with the numbers that stand there,
computed by what bills: the page cannot go stale."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

from rating.invoices.credit_notes import LineCredit, NewCreditNote, with_credit_note
from rating.invoicing.measure import needs_of
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.periods import local_midnight, parse_zone, period_containing, successive_periods
from rating.usage import Usage, UsageGroup, UsageQuery, measured
from rating.usage.carry import carried
from rating.usage.query import split
from rating.usage.usage_parameters import UsageParameters, read_parameters
from schemas.catalog.backfill_jobs import jobs
from schemas.catalog.meters import Meter
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import Catalog, record_of
from schemas.ledgers.checkpoints import Cut, Run
from schemas.ledgers.invoice_record import encode_invoice
from schemas.values.instants import SECOND
from tests.unit.rating.billing_page import example, fees, number, seats_in_advance
from tests.unit.rating.builders import Shelf, us
from tests.unit.rating.invoices.amounts.test_line_balances import credit
from tests.unit.rating.invoicing.builders import (
    APRIL,
    FEBRUARY,
    JANUARY,
    MARCH,
    SUBSCRIPTION,
    Books,
    Used,
    amounts,
    catalog,
    used,
)

MINUTE = 60 * SECOND


def test_totals_of_half_open_periods() -> None:
    price, first, last_us, second, first_us, *billed = example(
        "Totals",
        r"at ([\d.]+) a call, (\d+) calls at (\S+Z) and (\d+) at (\S+Z): January's invoice has (\d+) calls for"
        r" ([\d.]+), February's (\d+) for ([\d.]+);",
    )
    shelf = catalog({"model": "per_unit", "unit_amount": price})
    events = [Used(Decimal(first), us(last_us)), Used(Decimal(second), us(first_us))]
    books, second_books = Books(shelf, events), Books(shelf, events)
    (january,) = books.close(FEBRUARY)
    assert [encode_invoice(invoice) for invoice in second_books.close(FEBRUARY)] == [encode_invoice(january)]
    (february,) = books.close(MARCH)
    lines = [line for invoice in (january, february) for line in invoice.lines]
    assert [text for line in lines for text in (line.quantity, line.amount)] == billed


def test_totals_from_windows_and_records() -> None:
    *edges, minutes_before, minutes_after = example(
        "Totals",
        r"usage from (\S+) to (\S+), kept in windows of an hour, (\S+) to (\S+) comes from windows, (\d+) and (\d+)"
        r" minutes from records\.$",
    )
    start, end, first_edge, last_edge = (us(f"2026-01-01T{edge}:00Z") for edge in edges)
    assert split([(start, end)], 60 * MINUTE) == (((first_edge, last_edge),), ((start, first_edge), (last_edge, end)))
    assert first_edge - start == int(minutes_before) * MINUTE
    assert end - last_edge == int(minutes_after) * MINUTE


def test_a_value_that_carries_over() -> None:
    seats, billed = example(
        "Values that carry over",
        r"(\d+) seats are reported in January and nothing in February: February's line has (\d+) seats and counts no"
        r" event\.$",
    )
    shelf = Shelf()
    profile = {"code": "seats", "aggregation": "latest", "property": "n", "carry_over": True}
    shelf.add("meter", {"code": "m", "profiles": [profile]})
    shelf.add("product", {"code": "c", "profile": "m.seats"})
    charge = {"product": "c", "price": {"model": "per_unit", "unit_amount": "1"}}
    shelf.add("plan", {"code": "basic", "currency": "USD", "grace_seconds": 0, "charges": [charge]})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", SUBSCRIPTION)
    books = Books(shelf, [used(3, seats)])
    books.close(FEBRUARY)
    plan = make_plan(shelf.view(), books.standing, MARCH, {})
    (need,) = needs_of(plan.billings)
    query = UsageQuery("air", need.profile, need.start_us, need.end_us, by_account=True)
    rows = carried(query, [UsageGroup(Usage(Decimal(seats), 1), "acme", 0)])
    ((february,), _) = build_invoices(plan, {need: {"acme": rows}}, Run("run", 2, 0, MARCH, {}))
    (line,) = february.lines
    assert (line.quantity, line.events) == (billed, "0")
    assert "carried over" in line.note


def test_a_start_in_the_past() -> None:
    day, start, counted_from = example(
        "A start in the past", r"published on (\d+) March with `start: (\S+)`: events since (\d+) January are measured"
    )
    catalog, meter = Catalog(), Meter.model_validate({"code": "m", "profiles": [{"code": "p", "aggregation": "count"}]})
    record = record_of("air", meter, kind="meter", version=1, author="", claim_id="", valid_from_us=us(start))
    billed_at = catalog.next_offset
    assert catalog.apply(record, billed_at, us(f"2026-03-{day}T00:00:00Z"))
    (job,) = jobs(catalog.view("air"))
    assert job.start_us == us(f"2026-01-{int(counted_from):02}T00:00:00Z")
    cut = Cut(7, {(1, 0): 100}, catalog.next_offset, 0, job.name)
    entry = record_of("air", job.entry(cut), kind="backfill", version=1, author="", claim_id="", valid_from_us=None)
    assert catalog.apply(entry, catalog.next_offset, us("2026-03-11T00:00:00Z"))
    profile = measured(profile_versions(catalog.view("air")), JANUARY, MARCH)
    assert profile.visible(None) == [cut.number]
    assert profile.as_pinned(billed_at, cut.number - 1).visible(None) == []


def test_a_voided_event() -> None:
    calls, voided = example(
        "Voided events",
        r"(\d+) calls were billed, (one) of them is voided: the next invoice credits one call at its price",
    )
    assert voided == "one"
    events = [used(3, int(calls) - 1), used(4, 1, voided=2)]
    books = Books(catalog({"model": "per_unit", "unit_amount": "0.10"}), events)
    (january,) = books.close(FEBRUARY)
    assert january.lines[0].quantity == calls
    assert amounts(books.close(MARCH)) == ["usage c 0.00", "adjustment c -0.10"]


def test_a_dimension_that_is_called_as_a_time_step() -> None:
    step, pieces, group = example(
        "Names of dimensions",
        r"`group_by=(\w+)` of one day are its (\d+) hours, `group_by=(dimension:\w+)` the values of the dimension",
    )
    shelf = Shelf()
    profile = {"code": "p", "aggregation": "count", "dimensions": ["hour"]}
    shelf.add("meter", {"code": "m", "profiles": [profile]})

    def grouped(name: str) -> UsageQuery:
        parameters = UsageParameters("m.p", start="2026-01-01", group_by=(name,))
        return read_parameters(shelf.view(), parameters, datetime.fromisoformat("2026-01-02T00:00:00Z")).query

    assert (grouped(step).dimensions, len(grouped(step).buckets_us)) == ((), int(pieces))
    assert (grouped(group).dimensions, grouped(group).buckets_us) == (("hour",), ())


def test_periods_of_a_zone_and_of_an_anchor() -> None:
    zone, start, end, anchor, *starts = example(
        "Periods",
        r"in (\S+), billed by month: January 2026 is (\S+) to (\S+)\. With the anchor on the (\d+)st its periods begin"
        r" on (\d+) January, (\d+) February, (\d+) March\.$",
    )
    local = parse_zone(zone)
    january = period_containing(datetime.fromisoformat("2026-01-15T00:00:00Z"), "month", local)
    assert [f"{instant:%Y-%m-%dT%H:%MZ}" for instant in (january.start, january.end)] == [start, end]
    day = date(2026, 1, int(anchor))
    periods = islice(successive_periods(local_midnight(day, local), "month", local, day), 3)
    assert [str(period.start.astimezone(local).day) for period in periods] == starts


def totals_of(shelf: Shelf) -> list[str]:
    """Of the invoices of three months, period by period."""
    books = Books(shelf, [])
    return [invoice.total for as_of in (JANUARY, FEBRUARY, MARCH, APRIL) for invoice in books.close(as_of)]


def test_late_usage() -> None:
    calls, price, more, adjustment = example(
        "Late usage", r"billed with (\d+) calls at ([\d.]+), and (\d+) more .* adjustment of ([\d.]+),"
    )
    books = Books(catalog({"model": "per_unit", "unit_amount": price}), [used(10, calls), used(10, more, close=2)])
    books.close(FEBRUARY)
    (february,) = books.close(MARCH)
    assert f"adjustment c {adjustment}" in amounts([february])


def test_a_commitment_of_a_subscriptions_versions() -> None:
    first, second, usage, true_up, wrong = example(
        "A subscription's versions",
        r"commitment of ([\d,]+), version 2 of ([\d,]+) with .* With ([\d.]+) of usage"
        r" .* true-up is ([\d.]+), not ([\d.,]+)\.$",
    )
    shelf = catalog({"model": "per_unit", "unit_amount": "1"})
    shelf.add("subscription", SUBSCRIPTION | {"minimum_commitment": str(number(first))})
    changed = {"minimum_commitment": str(number(second)), "change_at": "2027-01-01"}
    shelf.add("subscription", SUBSCRIPTION | changed)
    (january,) = Books(shelf, [used(3, usage)]).close(FEBRUARY)
    (line,) = (line for line in january.lines if line.kind not in ("usage", "flat"))
    assert line.amount == true_up
    assert number(wrong) == number(second) - number(usage)


def test_the_end_of_a_subscription() -> None:
    end, fee, amount = example("The end of a subscription", r"`end: (\S+)` on a fee of ([\d.]+) a month bills ([\d.]+)")
    (january,) = Books(fees(fee, end=f"{end}T00:00:00Z"), []).close(FEBRUARY)
    assert january.total == amount


def test_a_trial() -> None:
    calls, price, amount, off, left = example(
        "Trials", r"(\d+) calls at ([\d.]+) in a trial: a line with ([\d.]+), .* takes ([\d.]+) off: ([\d.]+)\."
    )
    shelf = catalog({"model": "per_unit", "unit_amount": price})
    shelf.add("subscription", SUBSCRIPTION | {"trial_end": "2026-02-01T00:00:00Z"})
    (january,) = Books(shelf, [used(3, calls)]).close(FEBRUARY)
    (line,) = january.lines
    assert line.amount == left
    assert json.loads(line.price)["trial"]
    assert number(amount) == number(calls) * number(price) == number(off)
    assert off.rstrip("0").rstrip(".") in line.steps


def test_proration() -> None:
    fee, day, days, all_days, amount = example(
        "Proration", r"a fee of ([\d.]+) a month from (\d+) January on: (\d+) of (\d+) days, ([\d.]+)\."
    )
    (january,) = Books(fees(fee, start=f"2026-01-{day}T00:00:00Z"), []).close(FEBRUARY)
    assert january.total == amount
    assert (int(days), int(all_days)) == (31 - int(day) + 1, 31)


def test_a_discount_agreed_after_a_fee_was_credited() -> None:
    fee, percent, usage, calls, discount, back, left = example(
        "A fee that a credit note credited",
        r"a fee of ([\d.]+) in advance is credited in full, then (\d+) % are agreed, and ([\d.]+) of usage come: "
        r"([\d.]+) less ([\d.]+), and ([\d.]+) taken back, is ([\d.]+) to pay",
    )
    charge = {"product": "fee", "price": {"model": "flat", "amount": fee}, "in_advance": True}
    books = Books(catalog({"model": "per_unit", "unit_amount": "1"}, more=[charge]), [used(20, usage)])
    (start,) = books.close(JANUARY)
    credit(books.standing, start, fee)
    half = {"discounts": [{"code": "half", "percent": percent}], "end": "2026-02-01"}
    books.shelf.add("subscription", SUBSCRIPTION | half, published="2026-01-12T00:00:00Z")
    (january,) = books.close(FEBRUARY)
    assert [line.amount for line in january.lines] == [calls, f"-{discount}", back]
    assert january.total == left


def test_a_discount_of_one_period_on_a_fee_in_advance() -> None:
    fee, percent, periods, *expected = example(
        "Discounts and commitments",
        r"a fee of ([\d.]+) in advance, `discounts: \[\{percent: \"(\d+)\", periods: (\d)\}\]`, three months:"
        r" ([\d.]+), ([\d.]+), ([\d.]+)\.",
    )
    discount = {"code": "half", "percent": percent, "periods": int(periods)}
    assert totals_of(seats_in_advance(fee, discounts=[discount]))[:3] == expected


def test_a_commitment_is_met_by_fees_in_advance() -> None:
    fee, commitment, total = example(
        "Discounts and commitments",
        r"a fee of ([\d.]+) in advance.* With `minimum_commitment: \"(\d+)\"` and no usage instead: ([\d.]+) in all",
    )
    shelf = seats_in_advance(fee, minimum_commitment=commitment, end="2026-04-01T00:00:00Z")
    assert sum(map(Decimal, totals_of(shelf))) == number(total)


def fee_of(amount: str) -> list[dict[str, Any]]:
    return [{"charge": "fee", "price": {"model": "flat", "amount": amount}}]


def test_a_change_of_a_fee_in_advance() -> None:
    fee, more, day, ahead, half, old, following = example(
        "Fees in advance",
        r"a seat of ([\d.]+) in advance for June, ([\d.]+) from (\d+) June on, is ([\d.]+) on the invoice of 1 June"
        r" and, on that of 1 July, ([\d.]+) for the second half less ([\d.]+) of the old fee, beside July's ([\d.]+)\.",
    )
    shelf = seats_in_advance(fee)
    books = Books(shelf, [])
    *_, may = books.close(us("2026-06-01T00:00:00Z"))
    assert amounts([may]) == [f"flat fee {ahead}"]
    shelf.add("subscription", SUBSCRIPTION | {"overrides": fee_of(more), "change_at": f"2026-06-{day}"})
    (june,) = books.close(us("2026-07-01T00:00:00Z"))
    assert sorted(amounts([june])) == [f"adjustment fee -{old}", f"flat fee {half}", f"flat fee {following}"]


def test_a_fee_that_a_credit_note_credited() -> None:
    credited, more, due, day = example(
        "A fee that a credit note credited",
        r"([\d.]+) credited, then ([\d.]+) for the same month, is ([\d.]+) to pay; where the fee goes on to day (\d+),"
        r" its first half stays credited",
    )
    first_of_second_half = f"2026-04-{int(day) + 1}"
    for change_at, owed in (("2026-04-01", due), (first_of_second_half, f"{number(due) / 2:.2f}")):
        shelf = seats_in_advance(credited, start="2026-04-01T00:00:00Z")
        books = Books(shelf, [])
        (opening,) = books.close(APRIL)
        note = NewCreditNote("n", None, "sorry", "me", APRIL, (LineCredit(1, number(credited)),))
        noted = with_credit_note(opening, note, books.standing.chain("air", "s"))
        assert noted is not None
        assert books.standing.apply(noted)
        changed = {"start": "2026-04-01T00:00:00Z", "overrides": fee_of(more), "change_at": change_at}
        shelf.add("subscription", SUBSCRIPTION | changed)
        (april,) = books.close(us("2026-05-01T00:00:00Z"))
        assert number(april.total) - number(more) == number(owed)  # beside the fee of May
