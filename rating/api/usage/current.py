"""GET /v1/accounts/{id}/usage/current: the running period of an account, rated as an invoice would be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter, Query

from rating.api.as_of import live_as_of
from rating.api.context import Authorized, Rating, View
from rating.api.rating_problems import unavailable, unknown_account, wrong
from rating.api.usage import projection
from rating.estimates.account_state import read_accounts
from rating.invoices.amounts.prepaid_credits import Wallet
from rating.invoices.stored_invoice import WholeInvoice
from rating.invoicing.expected_invoice import EstimateInputs, Expected
from rating.invoicing.rated_items import rate_items
from rating.invoicing.unpriced_usage import unpriced_on_item, with_examples
from rating.pricing import PriceError, money_text, plain
from rating.subscriptions.timeline import PlanningError
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Checkpoints, Run, UnknownCheckpoint, read_progress
from schemas.ledgers.generations import Offsets
from schemas.ledgers.invoice_record import Line, body_of
from schemas.values.fine_instants import Cut
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["usage"])


@router.get(
    "/v1/accounts/{account_id:path}/usage/current", summary="The running period: usage so far and what it would cost"
)
async def current(
    rating: Authorized,
    view: View,
    account_id: str,
    at: Annotated[datetime | None, Cut, Query(description="RFC 3339 instant instead of now")] = None,
) -> JsonObject:
    """Live, by the code that makes the invoice; an estimate until the period is closed. `estimated_total` is what the
    invoice's `total` would be if nothing more was used: `estimated_subtotal` less what prepaid credits would pay.
    Before it is billed what has ended by now and is not billed yet, of all the account's subscriptions: it draws on
    credits first, and takes what came late for billed periods; where no such invoice comes before, late usage is among
    the `reductions` of this one (kind adjustment), as fees settled, discounts, the commitment and credits are.
    `projected_…` is what the period will come to if it goes on as it did (`projection` says how), `trend` the same
    charge on the invoice of the period directly before, which `last_period` names; null where there is none."""
    if at is not None and at.tzinfo is None:
        raise wrong("at", "has no UTC offset; append Z or +hh:mm")
    return await running(rating, view, account_id, micros(at or rating.now_of(view)))


async def running(rating: Rating, view: NamespaceView, account_id: str, now_us: int) -> JsonObject:
    """The running periods of an account at an instant, as the route answers. Raises Problem."""
    if view.get("account", account_id) is None:
        raise unknown_account(view.namespace, account_id)

    by_order: dict[int, JsonObject] = {}
    checkpoint = rating.checkpoints.last
    try:
        estimates = await rating.ask(lambda client: _estimates(client, view, rating.checkpoints, account_id, now_us))
    except UnknownCheckpoint as error:  # an invoice of a run that was announced a moment ago
        raise unavailable(str(error)) from None
    order = {line.subscription: number for number, line in enumerate(estimates.account.lines)}
    problems = [f"subscription {name}: {why}" for name, why in estimates.problems.items()]
    for expected in estimates.periods:
        name = expected.running.line.subscription
        try:
            question = partial(_estimate, view=view, period=expected, estimates=estimates)
            by_order[order[name]] = await rating.ask(question)
        except (PlanningError, PriceError, ValueError) as error:  # it leaves out its own subscription alone
            problems.append(f"subscription {name}: {error}")
    zone = view.time_zone(account_id)
    return {
        "account_id": account_id,
        "time_zone": zone,
        "at": rfc3339(now_us),
        "as_of": live_as_of(view, now_us, None if checkpoint is None else checkpoint.number, estimates.offsets),
        "projection": projection.METHOD,
        "subscriptions": [by_order[number] for number in sorted(by_order)],
        "problems": problems,
    }


@dataclass(frozen=True, slots=True)
class Estimates:
    """The running periods of an account, in the order in which they are billed; ``now``, ``projected``: prepaid credits
    while they are estimated one after another, for what is there and for what is projected; ``billed``: the account's
    invoices; ``offsets``: of usage.events, below which all events are counted."""

    account: EstimateInputs
    periods: list[Expected]
    problems: Mapping[str, str]
    run: Run
    now: Wallet
    projected: Wallet
    billed: list[WholeInvoice]
    offsets: Offsets


def _estimates(
    client: Client, view: NamespaceView, checkpoints: Checkpoints, account_id: str, now_us: int
) -> Estimates:
    """Blocking. Raises UnknownCheckpoint for an invoice of a checkpoint that is not known yet."""
    offsets = read_progress(client)  # before the usage, which so has at least what it says
    state = read_accounts(client, view, [account_id], now_us)
    estimate = state.estimate(client, checkpoints)
    invoices = [invoice for invoice in state.billed if invoice.head.account_id == account_id]
    inputs = estimate.inputs
    return Estimates(
        inputs,
        estimate.periods,
        estimate.problems,
        estimate.run,
        inputs.wallet(),
        inputs.wallet(),
        invoices,
        offsets,
    )


def _estimate(client: Client, view: NamespaceView, period: Expected, estimates: Estimates) -> JsonObject:
    """The period's charges, fees in advance of the next one, late usage, discounts, commitment and prepaid credits, as
    the period's invoice would have them."""
    line, span, billing, now_us = period.running.line, period.running.span, period.billing, estimates.run.as_of_us
    plan = span.plan
    previous = projection.invoice_before(estimates.billed, line.subscription, span.start_us)
    rows = {need: period.totals[need].get(line.account_id, []) for item in billing.items if (need := item.need)}
    then = {need: projection.at_end(need, rows_now, now_us) or [] for need, rows_now in rows.items()}
    grown = dict(period.totals) | {need: {line.account_id: rows_then} for need, rows_then in then.items()}
    by_now = list(rate_items(billing.items, period.totals, line.account_id, plan.currency))
    by_end = list(rate_items(billing.items, grown, line.account_id, plan.currency))
    charges: list[JsonObject] = []
    for rated, at_end in zip(by_now, by_end, strict=True):
        item, priced, measured, expected = rated.item, rated.priced, rated.usage, at_end.priced
        quantity_then = None if at_end.usage is None else at_end.usage.quantity
        profiles = {item.need.profile.profile_id: item.need.profile} if item.need else {}
        unpriced = with_examples(
            client, view, list(unpriced_on_item(line.account_id, line.subscription, rated)), profiles, None
        )
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
                "unpriced": [usage.to_json() for usage in unpriced],
                "projected_quantity": None if quantity_then is None else plain(quantity_then),
                "projected_amount": money_text(expected.amount, plan.currency),
                "trend": projection.trend(previous, item.charge.key, expected.amount),
            }
        )
    invoice = period.invoice(period.totals, estimates.run, estimates.now)
    projected = period.invoice(grown, estimates.run, estimates.projected)
    return {
        "subscription": line.subscription,
        "time_zone": line.time_zone,
        "plan": plan.code,
        "plan_version": span.plan_version,
        "period_start": rfc3339(span.start_us),
        "period_end": rfc3339(span.end_us),
        "currency": plan.currency,
        "estimated_subtotal": body_of(invoice).subtotal,
        "estimated_total": invoice.total,
        "projected_subtotal": body_of(projected).subtotal,
        "projected_total": projected.total,
        "last_period": None if previous is None else _previous_json(previous),
        "charges": charges,
        "reductions": [_reduction_json(reduction) for reduction in period.beside_charges(invoice)],
    }


def _previous_json(previous: WholeInvoice) -> JsonObject:
    head = previous.head
    return {
        "invoice_id": head.invoice_id,
        "period_start": rfc3339(head.period_start_us),
        "period_end": rfc3339(head.period_end_us),
    }


def _reduction_json(line: Line) -> JsonObject:
    """A line beside the charges: its code is what stands behind the kind in its charge."""
    return {
        "kind": line.kind,
        "code": line.charge.partition(":")[2] or line.charge,
        "amount": line.amount,
        "text": line.note or json.loads(line.steps)[0]["text"],
    }
