"""GET /v1/accounts/{id}/usage/current: the running period of an account, rated as an invoice would be."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Query

from rating.api import projection
from rating.api.asked import require
from rating.api.context import Authorized, Rating, View
from rating.api.problems import missing
from rating.billed import billed_until, credits_drawn, credits_in_drafts
from rating.close.charges import ChargeBook, Need
from rating.close.credits import Wallet, owned_grants
from rating.close.due import current_span
from rating.close.expected import drawn_by, expected_billing, expected_lines
from rating.close.lines import line_of, rate_items
from rating.close.measure import query_for
from rating.close.spans import Span
from rating.close.standing import Invoice, Line
from rating.close.timeline import PlanningError, Timeline, timeline
from rating.close.unpriced_usage import on_item, told
from rating.invoices import read_chain
from rating.pricing import PriceError, money_text, plain
from rating.pricing.exact import exact_sum
from rating.usage import UsageRow, usage_totals
from schemas.catalog.state import Entry, NamespaceView
from schemas.fine_instants import Cut
from schemas.instants import micros, rfc3339

router = APIRouter(tags=["usage"])


@router.get(
    "/v1/accounts/{account_id:path}/usage/current", summary="The running period: usage so far and what it would cost"
)
async def current(
    rating: Authorized,
    view: View,
    account_id: str,
    at: Annotated[datetime | None, Cut, Query(description="RFC 3339 instant instead of now")] = None,
) -> dict[str, Any]:
    """Live, by the same query and the same pricing as an invoice; an estimate until the period is closed. `estimated_total` is what the
    invoice's `total` would be as of now: `estimated_subtotal` less what prepaid credits would pay (`reductions` of kind credit; drafts, and
    subscriptions before this one, draw first). Late usage of billed periods is not in it (`/v1/reports/late-usage`).
    `projected_…` is what the period will come to if it goes on as it did (`projection` says how), `trend` the same charge on the invoice of
    the period directly before, which `last_period` names; null where there is none."""
    return await running(rating, view, account_id, micros(require(at, rating.now())))


async def running(rating: Rating, view: NamespaceView, account_id: str, now_us: int) -> dict[str, Any]:
    """The JSON answer. Raises Problem."""
    if view.get("account", account_id) is None:
        raise missing(f"there is no account {account_id[:64]!r} in namespace {view.namespace}")

    def begun(client: Any) -> tuple[list[Entry], dict[str, int]]:
        # In the thread: it looks at every subscription of the namespace.
        mine = [entry for entry in view.all("subscription") if entry.model.account == account_id]
        return mine, billed_until(client, view.namespace, account_id)

    mine, billed = await rating.ask(begun)
    book = ChargeBook(view)
    found: list[dict[str, Any]] = []
    problems: list[str] = []
    wallets: Wallets | None = None
    for entry in mine:
        try:
            line = timeline(view, entry.code)
            billed_until_us = None if line is None else billed.get(line.subscription)
            here = None if line is None else current_span(line, billed_until_us, now_us)
            if line is None or here is None:
                continue
            if not found:
                wallets = await rating.ask(lambda client: _wallets(client, view, account_id))
            asked = Estimated(view, book, line, *here, now_us, billed_until_us, wallets)
            found.append(await rating.ask(partial(_estimate, asked=asked)))
        except (PlanningError, PriceError, ValueError) as error:  # it leaves out its own subscription alone
            problems.append(f"subscription {entry.code}: {error}")
    zone = view.time_zone(account_id)
    return {
        "account_id": account_id, "time_zone": zone, "at": rfc3339(now_us), "projection": projection.METHOD, "subscriptions": found,
        "problems": problems,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Estimated:
    """A subscription whose running period is estimated; ``after``: the period that follows it; ``wallets``: None without prepaid credits."""

    view: NamespaceView
    book: ChargeBook
    line: Timeline
    span: Span
    after: Span | None
    now_us: int
    billed_until_us: int | None
    wallets: Wallets | None


def _estimate(client: Any, asked: Estimated) -> dict[str, Any]:
    """The period's charges, fees in advance of the next one, discounts, commitment and prepaid credits, as the period's invoice would have
    them."""
    line, span, after, wallets = asked.line, asked.span, asked.after, asked.wallets
    plan = span.plan
    recent = projection.recent_invoices(client, line.namespace, line.account_id, line.subscription)
    charges: list[dict[str, Any]] = []
    last = projection.invoice_before(recent, span.start_us)
    chain: list[Invoice] = [whole.record() for whole in read_chain(client, line.namespace, line.subscription)]
    billing = expected_billing(asked.book, line, span, after, chain)
    rows = {need: _rows(client, line.namespace, line.account_id, need) for item in billing.items if (need := item.need)}
    then = {need: projection.at_end(need, found, asked.now_us) for need, found in rows.items()}
    by_now = list(rate_items(billing.items, rows.get, plan.currency))
    by_end = list(rate_items(billing.items, then.get, plan.currency))
    for rated, at_end in zip(by_now, by_end, strict=True):
        item, priced, measured, expected = rated.item, rated.priced, rated.usage, at_end.priced
        quantity_then = None if at_end.usage is None else at_end.usage.quantity
        profiles = {item.need.profile.profile_id: item.need.profile} if item.need else {}
        unpriced = told(client, asked.view, list(on_item(line.account_id, line.subscription, rated)), profiles, None)
        charges.append(
            {
                "charge": item.charge.key,
                "product": item.product.code,
                "kind": item.product.kind,
                "period_start": rfc3339(item.start_us),
                "period_end": rfc3339(item.end_us),
                "metric": item.need.profile.profile_id if item.need else None,
                "unit": item.product.unit or (item.need.profile.unit if item.need else ""),
                "quantity": None if measured is None or measured.quantity is None else plain(measured.quantity),
                "events": None if measured is None else measured.events,
                "amount": money_text(priced.amount, plan.currency),
                "steps": [step.as_json() for step in priced.steps],
                "note": "; ".join(part for part in (item.note, rated.note) if part),
                "unpriced": [one.to_json() for one in unpriced],
                "projected_quantity": None if quantity_then is None else plain(quantity_then),
                "projected_amount": money_text(expected.amount, plan.currency),
                "trend": projection.trend(last, item.charge.key, expected.amount),
            }
        )
    lines, lines_then = map(line_of, by_now), map(line_of, by_end)
    taken, subtotal = expected_lines(billing, list(lines))
    _, projected_subtotal = expected_lines(billing, list(lines_then))
    credits = drawn_by(wallets.now, line, span, subtotal) if wallets else []
    credits_then = drawn_by(wallets.projected, line, span, projected_subtotal) if wallets else []
    return {
        "subscription": line.subscription,
        "time_zone": line.time_zone,
        "plan": plan.code,
        "plan_version": span.plan_version,
        "period_start": rfc3339(span.start_us),
        "period_end": rfc3339(span.end_us),
        "currency": plan.currency,
        "estimated_subtotal": money_text(subtotal, plan.currency),
        "estimated_total": money_text(_less(subtotal, credits), plan.currency),
        "projected_subtotal": money_text(projected_subtotal, plan.currency),
        "projected_total": money_text(_less(projected_subtotal, credits_then), plan.currency),
        "last_period": None if last is None else {
            "invoice_id": last.head.invoice_id, "period_start": rfc3339(last.head.period_start_us),
            "period_end": rfc3339(last.head.period_end_us),
        },
        "charges": charges,
        "reductions": [
            {
                "kind": one["kind"], "code": one["charge"].partition(":")[2] or one["charge"], "amount": one["amount"],
                "text": one["note"] or json.loads(one["steps"])[0]["text"],
            }
            for one in (*taken, *credits)
        ],
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Wallets:
    """Prepaid credits of an account while its running periods are estimated one after another: for what is there, and as projected."""

    now: Wallet
    projected: Wallet


def _wallets(client: Any, view: NamespaceView, account_id: str) -> Wallets | None:
    """None where the account has no grants. Blocking."""
    grants = [one for one in owned_grants(view) if one.account_id == account_id]
    if not grants:
        return None
    used = credits_drawn(client, view.namespace, account_id)
    drafts = credits_in_drafts(client, view.namespace, account_id)
    used |= {code: exact_sum((used.get(code, Decimal(0)), amount)) for code, amount in drafts.items()}
    return Wallets(Wallet(grants, used), Wallet(grants, used))


def _less(subtotal: Decimal, credits: Iterable[Line]) -> Decimal:
    return exact_sum((subtotal, *(Decimal(line["amount"]) for line in credits)))


def _rows(client: Any, namespace: str, account_id: str, need: Need) -> list[UsageRow]:
    return usage_totals(client, query_for(namespace, need, [account_id], None))
