"""A subscription with fees of a year in advance that moves between plans, and its closes."""

from __future__ import annotations

from typing import Any

from rating.invoices.ledger import StandingInvoices
from rating.invoicing.run_plan import build_invoices, make_plan
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import rfc3339
from tests.unit.rating.builders import Shelf, us

BASE = {"code": "s", "account": "acme", "plan": "basic", "start": "2026-01-01T00:00:00Z"}


PLANS = {"basic": {"seat": "365"}, "pro": {"seat": "730"}, "plus": {"seat": "730", "vip": "36.5"}}


def catalog(interval: str = "year", **extra: Any) -> Shelf:
    """A year of 365 days in UTC: fees of 1, 2, and 2 and 0.1 a day, in advance."""
    shelf = Shelf()
    for product in ("seat", "vip"):
        shelf.add("product", {"code": product, "kind": "flat"})
    for code, fees in PLANS.items():
        charges = [
            {"product": name, "price": {"model": "flat", "amount": amount}, "in_advance": True}
            for name, amount in fees.items()
        ]
        shelf.add(
            "plan",
            {"code": code, "currency": "USD", "interval": interval, "grace_seconds": 0, "charges": charges} | extra,
        )
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", BASE)
    return shelf


def close(expected: Shelf, standing: StandingInvoices, as_of: str | int) -> list[list[str]]:
    as_of_us = as_of if isinstance(as_of, int) else us(f"{as_of}T00:00:00Z")
    plan = make_plan(expected.view(), standing, as_of_us, {})
    assert plan.problems == ()
    if not plan.billings:
        return []
    invoices, problems = build_invoices(plan, {}, Run(f"run_{standing.applied}", 1, 0, as_of_us, {}))
    assert problems == ()
    assert all(standing.apply(invoice) for invoice in invoices)
    return [
        [f"{line.kind} {line.charge} {rfc3339(line.period_start)[2:10]}..{rfc3339(line.period_end)[2:10]} "
            f"{line.amount}" for line in invoice.lines]
        for invoice in invoices
    ]  # fmt: skip


def move(expected: Shelf, plan: str, at: str, **extra: Any) -> None:
    expected.add(
        "subscription", BASE | {"plan": plan, "change_at": f"{at}T00:00:00Z"} | extra, published=f"{at}T00:00:00Z"
    )


def last(standing: StandingInvoices) -> Invoice:
    return standing.chain("air", "s")[-1]
