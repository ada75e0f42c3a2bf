"""ClickHouse's invoices against the topic usage.invoices, which alone decides what stands, and the prices pinned on
their lines against the catalog that they were billed from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from itertools import product
from typing import Final

from rating.invoices.ledger import invoices_reader
from rating.invoices.snapshot.invoice_store import InvoiceStore
from rating.invoices.stored_invoice import StoredInvoiceHead, WholeInvoice
from rating.invoicing.rated_items import price_text
from rating.pricing import PriceError, plain
from rating.pricing.identity_cache import IdentityCache
from rating.subscriptions.timeline import PlanningError, pinned_plan
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.invoices.pinned_terms import check_terms
from rating.verify.invoices.side_by_side import copies, side_by_side
from rating.verify.scope import Scope
from schemas.catalog.models import Plan, Subscription
from schemas.catalog.state import NamespaceView
from schemas.ledgers.invoice_claims import is_draft
from schemas.ledgers.invoice_record import Invoice
from schemas.prices import OF_LINES, Price, pinned_price, price_in
from schemas.values.json_text import JsonObject

NAME: Final = "invoices from the topic"
_LOOKED_AT_AGAIN: Final = 5_000
_REMEDY: Final = "the topic decides: `weir copies rebuild invoices` writes ClickHouse's copy again"
_AHEAD_REMEDY: Final = (
    "usage.invoices has lost what ClickHouse has: record it again (`weir invoice pay`, `approve` or `void`, by what the"
    " version says), and only then `weir copies rebuild invoices`"
)
_PRICE_REMEDY: Final = "the line was not billed by its plan; compare `weir explain` with the plan's versions"


def check_against_topic(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Each invoice that stands on the topic is in ClickHouse as it was written, newest version, line by line; and no
    other. So are drafts, in tables of their own. Both are read side by side, in the order of ids."""
    on_progress(NAME, 0, 1)
    with invoices_reader(scope.settings) as reader, closing(InvoiceStore("", "")) as topic:
        topic.follow_to_end(reader)
        names = [scope.namespace] if scope.namespace is not None else topic.namespaces()
        total, done = sum(topic.count(name) for name in names), 0
        unsettled: list[_Unsettled] = []
        for name, drafts in product(names, (False, True)):
            originals = topic.in_order(name, drafts=drafts, since_us=scope.since_us)
            for original, copy in side_by_side(originals, copies(scope, name, drafts=drafts)):
                if done % 1000 == 0:
                    on_progress(NAME, done, total)
                done += not drafts and original is not None
                if original is None or copy is None or copy.head.version != original.version:
                    unsettled.append(_Unsettled(name, _id_of(original, copy), drafts, original, copy))
                else:
                    _check_copy(scope, topic, original, copy, findings)
        topic.follow_to_end(reader)
        for place in unsettled[:_LOOKED_AT_AGAIN]:
            _look_again(place, topic, findings)
        findings.add_more(len(unsettled[_LOOKED_AT_AGAIN:]))
    on_progress(NAME, 1, 1)


@dataclass(frozen=True, slots=True)
class _Unsettled:
    """An id of which the topic and ClickHouse had no version in common, perhaps because one was just written."""

    namespace: str
    invoice_id: str
    drafts: bool
    original: Invoice | None
    copy: WholeInvoice | None


def _look_again(place: _Unsettled, topic: InvoiceStore, findings: Findings) -> None:
    """By what the topic has by now: what was copied while we read is there, and what had not been copied by then may
    still be under way."""
    copy, kind = place.copy, "draft" if place.drafts else "invoice"
    original = topic.newest(place.namespace, place.invoice_id, draft=place.drafts)
    location = f"{kind} {place.invoice_id} of {place.namespace}"
    if original is None:
        if copy is not None and (
            not place.drafts or topic.newest(place.namespace, place.invoice_id, draft=False) is None
        ):
            expected = f"no row: usage.invoices has no such {kind}"
            findings.add("invoice copy", location, expected, "a row", _REMEDY)
        return
    expected = f"version {original.version}, as on usage.invoices"
    if copy is None or copy.head.version < original.version:
        if place.original is not None and place.original.version == original.version:
            found_text = "no row" if copy is None else f"version {copy.head.version}"
            findings.add("invoice copy", location, expected, found_text, _REMEDY)
    elif copy.head.version > original.version:
        found_text = f"version {copy.head.version} ({copy.head.state})"
        findings.add("invoice copy", location, expected, found_text, _AHEAD_REMEDY)


def _id_of(original: Invoice | None, copy: WholeInvoice | None) -> str:
    if original is not None:
        return original.invoice_id
    assert copy is not None
    return copy.head.invoice_id


def _check_copy(scope: Scope, topic: InvoiceStore, original: Invoice, copy: WholeInvoice, findings: Findings) -> None:
    """``copy``: the same version."""
    draft = is_draft(original)
    location = f"{'draft' if draft else 'invoice'} {original.invoice_id} of {original.namespace}"
    for where, expected, found_text in _differences(original, copy):
        findings.add("invoice copy", f"{location}{where}", expected, found_text, _REMEDY)
    view = scope.catalog.view(original.namespace, original.catalog_offset)
    _check_prices(view, original, location, findings)
    if not draft:
        # Only a further invoice of a period depends on those before it.
        chain = topic.chain(original.namespace, original.subscription) if original.sequence else []
        check_terms(view, chain, original, location, findings)


def _differences(original: Invoice, copy: WholeInvoice) -> Iterator[tuple[str, str, str]]:
    """(place, on the topic, in ClickHouse) of every field that differs."""
    for name, stored in _head_fields(copy.head).items():
        if not _same(getattr(original, name), stored):
            yield f", {name}", str(getattr(original, name)), str(stored)
    lines = {line.number: line for line in copy.lines}
    for written in original.lines:
        line = lines.pop(written.number, None)
        if line is None:
            yield f", line {written.number}", written.description, "no row"
            continue
        fields: JsonObject = {
            "kind": line.kind,
            "charge": line.charge,
            "product": line.product,
            "description": line.description,
            "profile_id": line.profile_id,
            "profile_versions": line.profile_versions,
            "period_start": line.period_start_us,
            "period_end": line.period_end_us,
            "quantity": "" if line.quantity is None else plain(line.quantity),
            "events": "" if line.events is None else str(line.events),
            "unit": line.unit,
            "price": line.price,
            "amount": line.amount,
            "unrounded": line.unrounded,
            "steps": list(line.steps),
            "note": line.note,
            "adjusts": line.adjusts,
        }
        for name, stored in fields.items():
            expected = (
                json.loads(getattr(written, name) or "{}") if name in ("price", "steps") else getattr(written, name)
            )
            if not _same(expected, stored):
                yield f", line {line.number}, {name}", str(getattr(written, name)), str(stored)
    for number in sorted(lines):
        yield f", line {number}", "no row: the invoice has no such line", "a row"


def _head_fields(head: StoredInvoiceHead) -> JsonObject:
    return {
        "version": head.version,
        "predecessor": head.predecessor,
        "subscription": head.subscription,
        "sequence": head.sequence,
        "account_id": head.account_id,
        "plan": head.plan,
        "plan_version": head.plan_version,
        "period_start": head.period_start_us,
        "period_end": head.period_end_us,
        "time_zone": head.time_zone,
        "run_id": head.run_id,
        "checkpoint": head.checkpoint,
        "catalog_offset": head.catalog_offset,
        "as_of": head.as_of_us,
        "state": head.state,
        "currency": head.currency,
        "total": head.total,
    }


def _same(left: object, right: object) -> bool:
    """Equal, decimals by value: a column has its own number of zeros."""
    if left == right:
        return True
    try:
        return isinstance(left, str) and isinstance(right, str) and Decimal(left) == Decimal(right)
    except ArithmeticError:
        return False


def _check_prices(view: NamespaceView, invoice: Invoice, location: str, findings: Findings) -> None:
    """Each line's pinned price is that of its charge on the plan version, or of the subscription's override, as of the
    invoice's catalog. What the close itself adds to a price (schemas.prices.OF_LINES) is left aside."""
    for line in invoice.lines:
        if line.adjusts or line.kind not in ("usage", "flat"):
            continue  # an adjustment is priced as the line that it adjusts
        expected = prices_of(view, invoice.subscription, line.charge)
        pinned_prices = [line.price, *_earlier_prices(line.price)]
        if any(plan_price_text(price, invoice.currency) not in expected for price in pinned_prices):
            shown = " or ".join(sorted(expected)) or f"a charge {line.charge} on the plan"
            findings.add("pinned price", f"{location}, line {line.number}, price", shown, line.price, _PRICE_REMEDY)


def _earlier_prices(price: str) -> list[str]:
    """The prices that a line's charge had before its own, as JSON text."""
    if '"by_time"' not in price:
        return []
    return [json.dumps(part["price"]) for part in json.loads(price)["by_time"]["earlier"]]


def prices_of(view: NamespaceView, subscription: str, charge: str) -> set[str]:
    """Canonical prices of a charge under every version of the subscription, which may have moved within the period: the
    subscription's own where it overrides, else that of the plan version it was on."""
    prices: set[str] = set()
    for entry in view.history("subscription", subscription):
        model: Subscription = entry.model
        try:
            plan: Plan = pinned_plan(view, entry).model
        except PlanningError:
            continue
        overridden = [override.price for override in model.overrides if override.charge == charge]
        if overridden:
            prices |= {_of_plan(price_in(price, plan.currency)) for price in overridden}
        else:
            prices |= _PLAN_PRICES(plan).get(charge, set())
    return prices


def _prices_by_charge(plan: Plan) -> dict[str, set[str]]:
    prices: dict[str, set[str]] = {}
    for charge in plan.charges:
        prices.setdefault(charge.key, set()).add(_of_plan(price_in(charge.price, plan.currency)))
    return prices


_PLAN_PRICES: Final = IdentityCache(_prices_by_charge)


@lru_cache(maxsize=4096)  # most lines have one of few prices
def plan_price_text(price: str, currency: str) -> str:
    """The canonical text of a price as the plan has it, without what the close adds; the text itself where it is no
    price."""
    try:
        parsed = pinned_price(price, currency)
    except (PriceError, ValueError):
        return price
    return _of_plan(parsed)


def _of_plan(price: Price) -> str:
    return price_text(price.model_copy(update=OF_LINES))
