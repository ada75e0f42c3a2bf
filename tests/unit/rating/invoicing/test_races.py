"""Two processes that change one line's balance at once: closes, credit notes, voids and payments in any interleaving
credit it once."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from itertools import zip_longest

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.invoices.amounts.account_balances import counterparts, draws
from rating.invoices.amounts.line_balances import credited_by_line, key_of_line
from rating.invoices.credit_notes import LineCredit, NewCreditNote, with_credit_note
from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import ChangeRefused, NewPayment, amount_due, amount_paid, voided, with_payment
from rating.invoicing.run_plan import build_invoices, make_plan
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import Invoice, body_of
from tests.unit.rating.builders import Shelf, stored, us
from tests.unit.rating.verify.builders import verified

BASE = {"code": "s", "account": "acme", "plan": "basic", "start": "2024-01-01T00:00:00Z"}
DAYS = ["2024-02-01", "2024-03-01", "2024-03-15", "2024-04-02"]


def catalog(*grants: str) -> Shelf:
    shelf = Shelf()
    shelf.add("product", {"code": "seat", "kind": "flat"})
    for code, amount in (("basic", "30"), ("pro", "62")):
        charges = [{"product": "seat", "price": {"model": "flat", "amount": amount}, "in_advance": True}]
        shelf.add("plan", {"code": code, "currency": "USD", "grace_seconds": 0, "charges": charges})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", BASE)
    for number, amount in enumerate(grants):
        shelf.add("credit_grant", {"code": f"g{number}", "account": "acme", "currency": "USD", "amount": amount})
    return shelf


def end(expected: Shelf, day: str) -> None:
    expected.add("subscription", BASE | {"end": f"{day}T00:00:00Z"})


def planned(expected: Shelf, standing: StandingInvoices, day: str, run: str = "run") -> list[Invoice]:
    """As they are read back."""
    plan = make_plan(expected.view(), standing, us(f"{day}T00:00:00Z"), {})
    invoices, problems = build_invoices(plan, {}, Run(run, 1, 0, us(f"{day}T00:00:00Z"), {}))
    assert plan.problems == problems == ()
    return [stored(invoice) for invoice in invoices]


def noted(standing: StandingInvoices, name: str, amount: str, line: int = 1, reference: str = "n") -> Invoice | None:
    newest = standing.invoice("air", name)
    assert newest is not None
    note = NewCreditNote(
        reference, None, "sorry", "me", us("2024-03-20T00:00:00Z"), (LineCredit(line, Decimal(amount)),)
    )
    return with_credit_note(newest, note, standing.chain("air", "s"))


def ahead() -> tuple[Shelf, StandingInvoices, Invoice, list[Invoice]]:
    """February's seat is billed in advance; the subscription ended with January, and a close has planned to credit
    it."""
    result, standing = catalog(), StandingInvoices()
    for item in planned(result, standing, "2024-02-01"):
        assert standing.apply(item)
    end(result, "2024-02-01")
    return result, standing, standing.chain("air", "s")[-1], planned(result, standing, "2024-02-03")


def test_a_close_that_counted_no_credit_note_is_not_valid_after_one() -> None:
    result, standing, january, (settlement,) = ahead()
    note = noted(standing, january.invoice_id, "10")
    assert note is not None
    assert standing.apply(note)
    assert not standing.apply(settlement)
    (repeated_planned,) = planned(result, standing, "2024-02-03")
    assert (settlement.total, repeated_planned.total) == ("-30.00", "-20.00")
    assert standing.apply(repeated_planned)
    assert verified(standing.chain("air", "s")) == []


def test_a_credit_note_that_did_not_see_a_close_is_not_valid_after_it() -> None:
    _, standing, january, (settlement,) = ahead()
    note = noted(standing, january.invoice_id, "10")
    assert note is not None
    assert standing.apply(settlement)
    assert not standing.apply(note)
    with pytest.raises(ChangeRefused, match=r"0.00 of it are not credited"):
        noted(standing, january.invoice_id, "10")


def test_a_payment_between_them_disturbs_neither() -> None:
    _, standing, january, (settlement,) = ahead()
    paid = with_payment(january, NewPayment("p", Decimal(30), 0, "me"))
    assert paid is not None
    assert standing.apply(paid)
    assert standing.apply(settlement)
    note = noted(standing, standing.chain("air", "s")[0].invoice_id, "10")
    assert note is not None
    assert standing.apply(note)
    later = with_payment(note, NewPayment("q", Decimal(5), 0, "me"))
    assert later is not None
    assert standing.apply(later)  # it has the credit note, and adds none


def test_records_of_before_are_valid_as_they_were() -> None:
    _, standing, january, (settlement,) = ahead()
    note = noted(standing, january.invoice_id, "10")
    assert note is not None
    for record, name in ((note, "credited"), (settlement, "after_note")):
        assert standing.apply(replace(record, body=body_of(record).without(name).text()))


def acts(expected: Shelf, log: list[Invoice], act: str, choice: int, step: int) -> list[Invoice]:
    """The records that a process would write now that has read ``log``."""
    standing = StandingInvoices()
    for record in log:
        standing.apply(record)
    if act == "close":
        return planned(expected, standing, DAYS[choice % len(DAYS)], f"run{step}")
    if act == "balance":
        known = standing.invoices("air")
        return list(counterparts(known, step)) or draws(known, step)
    chain = standing.chain("air", "s")
    if not chain:
        return []
    item = chain[choice % len(chain)]
    full_note = NewCreditNote(f"n{step}", Decimal(5 + choice), "sorry", "me", us("2024-03-20T00:00:00Z") + step)
    decide: dict[str, Callable[[], Invoice | None]] = {
        "line": lambda: noted(standing, item.invoice_id, str(7 + choice), 1, f"l{step}"),
        "note": lambda: with_credit_note(item, full_note, chain),
        "void": lambda: voided(chain, item, "wrong", "me", step),
        "pay": lambda: with_payment(item, NewPayment(f"p{step}", Decimal(item.total), 0, "me")),
    }
    try:
        record = decide[act]()
    except ChangeRefused:
        return []
    return [] if record is None else [replace(record, claim_id=f"{act}{step}")]


ACT = st.tuples(
    st.sampled_from(["close", "close", "line", "line", "note", "void", "pay", "balance"]),
    st.integers(0, 5),
    st.integers(0, 2),
)
"""(what a process does, to what, how many records of the log it has not read yet)"""


CLOSE = ("close", 0, 0)


@given(
    st.lists(st.sampled_from(["20", "100"]), max_size=1),
    st.lists(st.tuples(ACT, ACT, st.booleans(), st.none() | st.integers(0, 7)), max_size=8),
)
@example(  # a credit note that comes after the invoice of the change, and bears an earlier time than its close
    [],
    [
        (CLOSE, CLOSE, False, None),
        (CLOSE, ("void", 1, 0), False, None),
        (("close", 3, 0), CLOSE, False, 0),
        (CLOSE, ("line", 0, 0), False, None),
    ],
)
def test_whatever_two_processes_do_at_once_a_line_is_credited_once(
    grants: list[str], rounds: list[tuple[tuple[str, int, int], tuple[str, int, int], bool, int | None]]
) -> None:
    """In each round both decide on what they have read; then they write in turns, or one after the other."""
    result, log, truth = catalog(*grants), list[Invoice](), StandingInvoices()

    def write(record: Invoice) -> None:
        log.append(record)
        if truth.apply(record):
            check(truth, grants)

    for record in planned(result, truth, "2024-02-01"):
        write(record)
    for step, (first_round, second, in_turns, change) in enumerate(rounds):
        if change is not None:
            day = ("2024-01-20", "2024-02-01", "2024-02-10", "2024-03-01")[change % 4]
            moved = {"plan": "pro", "change_at": "2024-01-15"} if change > 3 else {}
            result.add("subscription", BASE | moved | {"end": f"{day}T00:00:00Z"})
        both = [
            acts(result, log[: len(log) - unread], act, choice, 2 * step + number)
            for number, (act, choice, unread) in enumerate((first_round, second))
        ]
        pairs = zip_longest(*both) if in_turns else [(item,) for records in both for item in records]
        for record in [item for pair in pairs for item in pair if item is not None]:
            write(record)
    for step in range(100, 120):
        records = acts(result, log, "close", 3, step)
        records = records or acts(result, log, "balance", 0, step)
        for record in records:
            write(record)
        if not records:
            break
    assert verified(truth.chain("air", "s"), result.catalog) == []


def check(standing: StandingInvoices, grants: list[str]) -> None:
    """No line is credited beyond what it came to, no invoice paid beyond its total, no grant overdrawn or given more
    than it paid."""
    invoices = [invoice for invoice in standing.invoices("air") if invoice.state != VOID]
    value: dict[object, Fraction] = {}
    net: dict[object, Fraction] = {}
    drawn = Fraction(0)
    for invoice in invoices:
        notes = credited_by_line(invoice)
        for line in invoice.lines:
            amount = Fraction(line.amount)
            if line.kind == "credit":
                drawn -= amount
                continue
            key = key_of_line(line.adjusts or invoice.invoice_id, line)
            net[key] = net.get(key, Fraction(0)) + amount - Fraction(notes.get(line.number, 0))
            value[key] = value.get(key, Fraction(0)) + amount * (not line.charge.startswith("credit_note:"))
        body, total = body_of(invoice), Decimal(invoice.total)
        drawn -= sum(Fraction(part["amount"]) for note in body.credit_notes for part in note.get("prepaid", ()))
        assert min(total, Decimal(0)) <= amount_paid(body.payments) <= max(total, Decimal(0))
        assert amount_due(invoice.state, total, body) * total >= 0
    for key, amount in value.items():
        assert 0 <= net[key] <= amount, (key, amount, net[key])
    assert 0 <= drawn <= sum(map(Fraction, grants))
