"""Two subscriptions of a plan with approval, and what a close and an approver would write for them."""

from __future__ import annotations

from typing import Any

from rating.invoices.amounts.prepaid_credits import Wallet, drawn, owned_grants
from rating.invoices.draft_decisions import DraftDecision, approved
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.build_drafts import build_drafts
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.pricing.reduction_lines import Balance
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice, decode_invoice, encode_invoice
from tests.unit.rating.builders import Shelf, us

ME = DraftDecision("me", us("2024-05-05T12:00:00Z"))
SUBSCRIPTION = {"code": "s", "account": "acme", "plan": "basic", "start": "2024-01-01T00:00:00Z"}


def catalog(approval: str = "required", grant: str = "", **plan: Any) -> Shelf:
    shelf = Shelf()
    shelf.add("product", {"code": "support", "kind": "flat"})
    shelf.add("plan", basic_plan(approval, **plan))
    shelf.add("account", {"code": "acme"})
    for name in ("s", "t"):
        shelf.add("subscription", SUBSCRIPTION | {"code": name})
    if grant:
        shelf.add("credit_grant", {"code": "g", "account": "acme", "currency": "USD", "amount": grant})
    return shelf


def basic_plan(approval: str, amount: str = "10", grace: int = 86_400) -> dict[str, Any]:
    charges = [{"product": "support", "price": {"model": "flat", "amount": amount}}]
    return {"code": "basic", "currency": "USD", "grace_seconds": grace, "charges": charges, "approval": approval}


def stored(record: Invoice) -> Invoice:
    """As it is read back."""
    return decode_invoice(encode_invoice(record))


def finals(expected: Shelf, standing: StandingInvoices, at: str, run: str = "run") -> list[Invoice]:
    plan = make_plan(expected.view(), standing, us(at), {})
    invoices, problems = build_invoices(plan, {}, Run(run, 1, 0, us(at), {}))
    assert problems == ()
    return [stored(invoice) for invoice in invoices]


def drafts(expected: Shelf, standing: StandingInvoices, at: str, run: str = "run", number: int = 1) -> list[Invoice]:
    plan = make_plan(expected.view(), standing, us(at), {}, "drafts")
    result, problems = build_drafts(plan, {}, Run(run, number, 0, us(at), {}), standing)
    assert problems == ()
    return [stored(item) for item in result]


def balances(expected: Shelf, standing: StandingInvoices, value: Invoice) -> list[Balance]:
    wallet = Wallet(owned_grants(expected.view()), drawn(standing.invoices("air")))
    return wallet.balances(value.account_id, value.subscription, value.currency, value.period_end - 1)


def approve(expected: Shelf, standing: StandingInvoices, value: Invoice, version: int) -> Invoice | None:
    return approved(standing.chain("air", value.subscription), value, version, ME, balances(expected, standing, value))


def of(records: list[Invoice], name: str) -> list[Invoice]:
    return [record for record in records if record.subscription == name]


def applied(standing: StandingInvoices, records: list[Invoice]) -> list[Invoice]:
    assert all(standing.apply(record) for record in records)
    return records
