"""The examples of rating/BILLING.md about drafts, invoices and what becomes of them, with the numbers that stand there,
computed by what bills: the page cannot go stale."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from rating.close.checklist.checks import (
    ChecklistLimits,
    ChecklistPoint,
    Observations,
    PlannedInvoices,
    checklist,
    differs,
    warnings,
)
from rating.invoices.amounts.account_balances import counterparts, draws
from rating.invoices.amounts.prepaid_credits import drawn
from rating.invoices.credit_notes import NewCreditNote, with_credit_note
from rating.invoices.ledger import StandingInvoices
from rating.invoices.numbering import unnumbered
from rating.invoices.transitions import NewPayment, amount_due, due_date, voided, with_payment
from rating.invoicing.build_drafts import build_drafts
from rating.invoicing.interim.interim_plan import lines_with_threshold, plan_interims, reached
from rating.invoicing.late.late_records import Late
from rating.invoicing.run_plan import RunPlan, build_invoices, make_plan
from rating.subscriptions.shared_timelines import timelines
from schemas.catalog.models import Namespace
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_numbers import InvoiceNumbers
from schemas.ledgers.invoice_record import Invoice, body_of
from schemas.settings import Settings
from tests.unit.rating.billing_page import CALLS, PAGE, example, fees, granted, number
from tests.unit.rating.builders import invoice_of, shelf, us
from tests.unit.rating.invoicing.builders import (
    FEBRUARY,
    SUBSCRIPTION,
    Books,
    amounts_of,
    catalog,
    estimates,
    plan,
    used,
)


def due(invoice: Invoice) -> Decimal:
    return amount_due(invoice.state, Decimal(invoice.total), body_of(invoice))


def test_the_checklist() -> None:
    """Each check is in the table; the last two of ``make_checks`` are there only where they find something."""
    section = PAGE.partition("\n## The checklist before a run bills\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", section, re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    planned = PlannedInvoices(
        plan=RunPlan(billings=()), view=shelf().view(), invoices=[], standing=StandingInvoices(), problems=()
    )
    points = checklist(Observations(), planned, set(), ChecklistLimits(Decimal(2), Decimal(10)))
    assert listed == {point.name for point in points} | {"many_values", "unpriced_usage"}
    all_found = [ChecklistPoint(point.name, 1, point.text) for point in points]
    informing = re.findall(r"^\| `(\w+)` \| [^\n]*; tells, and does not keep", section, re.MULTILINE)
    assert {*informing} == {point.name for point in all_found} - {point.name for point in warnings(all_found)}


def test_the_limits_of_the_checklist() -> None:
    heading = "The checklist before a run bills"
    (factor, amount) = example(heading, r"`WEIR_CLOSE_DIFFERS_FACTOR` \((\d+)\).*`WEIR_CLOSE_DIFFERS_AMOUNT` \((\d+)\)")
    (values,) = example(heading, r"`WEIR_PRICED_VALUES` \(([\d,]+)\)")
    defaults = {name: field.default for name, field in Settings.model_fields.items()}
    assert defaults["close_differs_factor"] == number(factor)
    assert defaults["close_differs_amount"] == number(amount)
    assert defaults["priced_values"] == number(values)
    *lines, factor, away, unchanged, previous, apart = example(
        heading,
        r"a line of ([\d.]+) after one of ([\d.]+) is named \((\d) times, ([\d.]+) away\), one of ([\d.]+) after"
        r" ([\d.]+) is not: ([\d.]+) is less than 10\.$",
    )
    limits = ChecklistLimits(defaults["close_differs_factor"], defaults["close_differs_amount"])
    now, before = map(number, lines)
    assert differs(before, now, limits)
    assert (now, now - before) == (before * int(factor), number(away))
    assert not differs(number(previous), number(unchanged), limits)
    assert number(unchanged) - number(previous) == number(apart)


def test_the_running_period() -> None:
    usage, late, grant, subtotal, total = example(
        "The running period",
        r"([\d.]+) of usage in February so far, ([\d.]+) of January that came late, and a grant with ([\d.]+):"
        r" `estimated_subtotal` ([\d.]+), `estimated_total` ([\d.]+)\.$",
    )
    result = catalog(CALLS)
    books = Books(result, [used(3, 7), used(4, number(late), close=2), used(35, number(usage))])
    books.close(FEBRUARY)
    result.add("credit_grant", {"code": "g", "account": "acme", "currency": "USD", "amount": grant})
    books.closes += 1
    came_late = {"s": (Late("m.p", used(4, 0).at_us, used(4, 0).at_us, 1),)}
    at_us = us("2026-02-10T00:00:00Z")
    (february,) = estimates(result, books.standing, at_us, books.measure, came_late).values()
    assert amounts_of(february) == (subtotal, total)


def test_a_draft_within_grace() -> None:
    days, late_day, last_day = example(
        "Drafts",
        r"grace is (\d) days: a close on 1 February makes January's draft, events that come late on (\d) February are"
        r" in its next version, and a close on (\d) February finalises it\.$",
    )
    result = catalog(CALLS)
    result.add("plan", plan(CALLS) | {"grace_seconds": int(days) * 86_400})
    result.add("subscription", {"code": "s", "account": "acme", "plan": "basic", "start": "2026-01-01T00:00:00Z"})
    books = Books(result, [used(3, 10), used(4, 5, close=2)])
    versions = []
    for books.closes, day in ((1, 1), (2, int(late_day))):
        as_of = us(f"2026-02-0{day}T00:00:00Z")
        planned = make_plan(result.view(), books.standing, as_of, {}, "drafts")
        run = Run(f"drafts_{day}", books.closes, 0, as_of, {})
        ((draft,), _) = build_drafts(planned, books.totals(planned), run, books.standing)
        assert books.standing.apply(draft)
        versions.append((draft.state, draft.version, draft.total))
        assert make_plan(result.view(), books.standing, as_of, {}).billings == ()
    assert versions == [("draft", 1, "10.00"), ("draft", 2, "15.00")]
    (january,) = books.close(us(f"2026-02-0{last_day}T00:00:00Z"))
    assert (january.state, january.invoice_id, january.total) == ("finalized", draft.invoice_id, "15.00")


def test_invoice_numbers() -> None:
    year, *texts = example(
        "Invoice numbers",
        r"two invoices of (\d{4}) are `([^`]+)` and `([^`]+)`; the first is voided, and the invoice that bills its"
        r" period again is `([^`]+)`\.$",
    )
    numbers, prefix = InvoiceNumbers(), Namespace(code="air").invoice_prefix.replace("{year}", year)
    invoices = [invoice_of(invoice_id="first", as_of=1), invoice_of(invoice_id="second", as_of=1, period_start=9)]
    numbers.give("air", prefix, unnumbered(numbers, "air", invoices))
    invoices = [replace(invoices[0], state="void"), invoices[1], invoice_of(invoice_id="again", sequence=1, as_of=2)]
    numbers.give("air", prefix, unnumbered(numbers, "air", invoices))
    assert [item.text for item in numbers.given("air")] == texts


def test_a_due_date() -> None:
    finalised, days, due = example("Due dates", r"finalised on (\S+), (\d+) days: due on (\S+)\.$")
    assert due_date(us(f"{finalised}T00:00:00Z"), "UTC", int(days)) == due


def test_a_void_invoice() -> None:
    previous, following = example(
        "Void invoices", r"January's invoice has `sequence` (\d) and is void: the next close bills January again, with"
        r" `sequence` (\d), `reissues` naming the void one, and a number of its own\.$"
    )  # fmt: skip
    books = Books(fees("10"), [])
    (january,) = books.close(FEBRUARY)
    void = voided(books.standing.chain("air", "s"), january, "wrong", "me", 0)
    assert void is not None
    assert books.standing.apply(void)
    (again,) = books.close(FEBRUARY)
    assert (again.period_start, again.total) == (january.period_start, january.total)
    assert (january.sequence, again.sequence) == (int(previous), int(following))
    assert body_of(again).reissues == january.invoice_id
    assert again.invoice_id != january.invoice_id


def test_a_payment_in_part() -> None:
    total, paid, left = example(
        "Payments",
        r"([\d.]+) due, ([\d.]+) paid: open, `amount_due` ([\d.]+)\. The same reference again changes nothing\.$",
    )
    invoice = invoice_of(total=total, body=json.dumps({"subtotal": total}))
    payment = NewPayment("bank", number(paid), 0, "me")
    part_paid = with_payment(invoice, payment)
    assert part_paid is not None
    assert (part_paid.state, str(due(part_paid))) == ("finalized", left)
    assert with_payment(part_paid, payment) is None


def test_the_next_invoice_draws_on_one_below_zero() -> None:
    below, total, amount, left = example(
        "Invoices below zero",
        r"an invoice of −([\d.]+) and the next one of ([\d.]+): two payments of ([\d.]+) by `close`, one on each, and"
        r" ([\d.]+) to pay\.$",
    )
    standing = StandingInvoices()
    for invoice_id, invoice_total, start in (("credit", f"-{below}", 0), ("next", total, 9)):
        body = json.dumps({"subtotal": invoice_total, "terms_of": "period"})
        fields: dict[str, Any] = {"predecessor": "credit"} if start else {}
        invoice = invoice_of(
            invoice_id=invoice_id, total=invoice_total, body=body, period_start=start, period_end=start + 9,
            claim_id=invoice_id, **fields,
        )  # fmt: skip
        assert standing.apply(invoice)
    while versions := list(counterparts(standing.invoices("air"), 5)) or draws(standing.invoices("air"), 5):
        assert all(standing.apply(version) for version in versions)
    credit, following = standing.invoices("air")
    payments = [payment for invoice in (credit, following) for payment in body_of(invoice).payments]
    assert [(payment["author"], payment["amount"], payment["invoice"]) for payment in payments] == [
        ("close", f"-{amount}", "next"),
        ("close", amount, "credit"),
    ]
    assert (str(due(credit)), str(due(following))) == ("0.00", left)


def test_a_credit_note_on_an_invoice_that_a_grant_paid_in_part() -> None:
    amount, billed, grant, note_amount, prepaid = example(
        "Credit notes",
        r"a credit note over ([\d.]+) of an invoice of ([\d.]+), of which a grant paid ([\d.]+), is ([\d.]+) that"
        r" need not be paid \(`amount`\) and ([\d.]+) back on the grant \(`prepaid`; `subtotal` is both\)",
    )
    books = Books(granted(grant), [used(3, number(billed))])
    (january,) = books.close(FEBRUARY)
    note = NewCreditNote("n", number(amount), "sorry", "me", FEBRUARY)
    noted = with_credit_note(january, note, books.standing.chain("air", "s"))
    assert noted is not None
    (entry,) = body_of(noted).credit_notes
    assert (entry["amount"], entry["subtotal"]) == (note_amount, amount)
    assert [(back["grant"], back["amount"]) for back in entry["prepaid"]] == [("g", prepaid)]
    assert books.standing.apply(replace(noted, claim_id="note"))
    assert number(grant) - drawn(books.standing.invoices("air"))["g"] == number(prepaid)


def test_a_threshold_invoice() -> None:
    terms = r"([\d.]+) a call beyond the first (\d+), (\d+) % off, a fee of ([\d.]+), `invoice_threshold: \"(\d+)\"`: "
    early = r"(\d+) calls by the 5th make an interim invoice of ([\d.]+) \(([\d.]+) less ([\d.]+)\)\. "
    late = r"With (\d+) calls by the month's end January's invoice has ([\d.]+) and ([\d.]+), ([\d.]+) off, and"
    unit, free, percent, fee, threshold, calls, interim, use, off, in_all, *billed, taken, rest, total = example(
        "Threshold invoices", terms + early + late + r" −([\d.]+): ([\d.]+), so ([\d.]+) in all\.$"
    )
    fee_charge = {"product": "fee", "price": {"model": "flat", "amount": fee}}
    shelf = catalog({"model": "per_unit", "unit_amount": unit, "included_units": free}, [fee_charge])
    discounts = [{"code": "off", "percent": percent}]
    shelf.add("subscription", SUBSCRIPTION | {"invoice_threshold": threshold, "discounts": discounts})
    books = Books(shelf, [used(3, calls), used(20, int(in_all) - int(calls), close=1)])
    fifth = us("2026-01-05T00:00:00Z")
    lines = lines_with_threshold(timelines(shelf.view(), []), fifth)
    planned = plan_interims(shelf.view(), books.standing, fifth, {}, lines)
    totals, run = books.totals(planned), Run("run_interim", 1, 0, fifth, {})
    assert reached(planned, totals, run) == {"s"}
    ((early_invoice,), _) = build_invoices(planned, totals, run)
    assert books.standing.apply(early_invoice)
    assert [early_invoice.total, *(line.amount.lstrip("-") for line in early_invoice.lines)] == [interim, use, off]
    (january,) = books.close(FEBRUARY)
    assert [line.amount.lstrip("-") for line in january.lines] == [*billed, taken]
    assert january.total == rest
    assert number(interim) + number(rest) == number(total)
