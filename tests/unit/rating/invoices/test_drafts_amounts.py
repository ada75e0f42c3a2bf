"""Whenever drafts are made and approved, a subscription is billed what it would be without approval: fees in advance,
discounts, an end."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rating.invoices.draft_decisions import DraftDecision, approved
from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import ChangeRefused
from rating.invoicing.build_drafts import build_drafts
from rating.invoicing.run_plan import build_invoices, make_plan
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice
from tests.unit.rating.builders import Shelf, us

DAY = 86_400 * 10**6
START = us("2024-01-01T00:00:00Z")
SUBSCRIPTION = {"code": "s", "account": "acme", "plan": "basic", "start": "2024-01-01T00:00:00Z"}


def catalog(approval: str, end: int, grace_days: int) -> Shelf:
    shelf = Shelf()
    for product in ("seat", "support"):
        shelf.add("product", {"code": product, "kind": "flat"})
    charges = [
        {"product": "seat", "price": {"model": "flat", "amount": "30"}, "in_advance": True},
        {"product": "support", "price": {"model": "flat", "amount": "10"}},
    ]
    discount = {"code": "welcome", "percent": "50", "periods": 2}
    plan: dict[str, Any] = {
        "code": "basic",
        "currency": "USD",
        "grace_seconds": grace_days * 86_400,
        "charges": charges,
    }
    shelf.add("plan", plan | {"approval": approval, "discounts": [discount], "minimum_commitment": "25"})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", SUBSCRIPTION | ({"end": f"2024-{1 + end // 28:02}-{1 + end % 28:02}"} if end else {}))
    return shelf


def billed(standing: StandingInvoices) -> list[tuple[Any, ...]]:
    return [
        (item.invoice_id, item.predecessor, item.total, [(line.charge, line.kind, line.amount) for line in item.lines])
        for item in standing.chain("air", "s")
    ]  # fmt: skip


def close(expected: Shelf, standing: StandingInvoices, at_us: int, run: int) -> None:
    plan = make_plan(expected.view(), standing, at_us, {})
    invoices, problems = build_invoices(plan, {}, Run(f"r{run}", run, 0, at_us, {}))
    assert (plan.problems, problems) == ((), ())
    assert all(standing.apply(invoice) for invoice in invoices)
    plan = make_plan(expected.view(), standing, at_us, {}, "drafts")
    drafts, problems = build_drafts(plan, {}, Run(f"d{run}", run, 0, at_us, {}), standing)
    assert (plan.problems, problems) == ((), ())
    assert all(standing.apply(draft) for draft in drafts)


def approve(standing: StandingInvoices, draft: Invoice) -> None:
    try:
        result = approved(standing.chain("air", "s"), draft, draft.version, DraftDecision("me", 0), [])
    except ChangeRefused:
        return  # it follows another draft, or needs no approval
    assert result is not None
    assert standing.apply(result)


@given(
    st.lists(st.tuples(st.integers(1, 160), st.integers(0, 3)), min_size=1, max_size=8),
    st.sampled_from([0, 40, 56, 75]),
    st.integers(0, 5),
)
def test_approved_drafts_come_to_what_a_close_without_approval_bills(
    days: list[tuple[int, int]], end: int, grace: int
) -> None:
    result, standing = catalog("required", end, grace), StandingInvoices()
    for run, (day, count) in enumerate(sorted(days), 1):
        close(result, standing, START + day * DAY, run)
        for draft in standing.drafts("air")[:count]:
            approve(standing, draft)
    last_value = START + 170 * DAY
    for run in range(100, 112):
        close(result, standing, last_value, run)
        for draft in sorted(standing.drafts("air"), key=lambda item: (item.period_start, item.period_end)):
            approve(standing, draft)
    plain, plainly = catalog("none", end, grace), StandingInvoices()
    for run in range(1, 4):
        close(plain, plainly, last_value, run)
    assert billed(standing) == billed(plainly)
    assert standing.drafts("air") == plainly.drafts("air") == []
