"""ClickHouse's invoices against the topic usage.invoices, which alone decides what stands, and the prices pinned on
their lines against the catalog that they were billed from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.invoices.ledger import StandingInvoices, invoices_reader, read_standing
from rating.invoices.lists import list_invoices
from rating.invoices.read import with_lines
from rating.invoices.stored_invoice import StoredInvoiceHead, WholeInvoice
from rating.invoicing.build_invoice import price_text
from rating.pricing import PriceError, plain
from rating.subscriptions.timeline import PlanningError, pinned_plan
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.invoices.pinned_terms import check_terms
from rating.verify.scope import Scope
from schemas.catalog.models import Plan, Subscription
from schemas.catalog.state import NamespaceView
from schemas.ledgers.invoice_claims import DRAFT
from schemas.ledgers.invoice_record import Invoice
from schemas.prices import OF_LINES, Price, pinned_price, price_in
from schemas.values.json_text import JsonObject

NAME: Final = "invoices from the topic"
_PAGE: Final = 500
_REMEDY: Final = "the topic decides: `weir copies rebuild invoices` writes ClickHouse's copy again"
_AHEAD_REMEDY: Final = (
    "usage.invoices has lost what ClickHouse has: record it again (`weir invoice pay`, `approve` or `void`, by what the"
    " version says), and only then `weir copies rebuild invoices`"
)
_PRICE_REMEDY: Final = "the line was not billed by its plan; compare `weir explain` with the plan's versions"


def check_against_topic(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Each invoice that stands on the topic is in ClickHouse as it was written, newest version, line by line; and no
    other. So are drafts, in tables of their own."""
    on_progress(NAME, 0, 1)
    with invoices_reader(scope.settings) as reader:
        standing = read_standing(reader, StandingInvoices(scope.namespace))
        namespaces = [scope.namespace] if scope.namespace is not None else standing.namespaces()
        copies = [_copies(scope.client, namespaces, state) for state in (None, DRAFT)]
        # What was copied while we read is on the topic by now; what was not yet copied then may still be under way.
        versions_before = [
            {key: invoice.version for key, invoice in topic_invoices.items()}
            for topic_invoices in _originals(standing, namespaces)
        ]
        read_standing(reader, standing)
    originals, drafts = _originals(standing, namespaces)
    for key in copies[1].keys() & originals.keys():
        del copies[1][key]  # it was finalised meanwhile
    for done, (key, original) in enumerate(sorted(originals.items())):
        if done % 1000 == 0:
            on_progress(NAME, done, len(originals))
        location = f"invoice {key[1]} of {key[0]}"
        _check_copy(scope, location, original, copies[0].pop(key, None), versions_before[0].get(key), findings)
        view = scope.catalog.view(original.namespace, original.catalog_offset)
        chain = standing.chain(original.namespace, original.subscription)
        check_terms(view, chain, original, location, findings)
    for key, original in sorted(drafts.items()):
        location = f"draft {key[1]} of {key[0]}"
        _check_copy(scope, location, original, copies[1].pop(key, None), versions_before[1].get(key), findings)
    for kind, left in zip(("invoice", "draft"), copies, strict=True):
        for name, invoice in sorted(left):
            expected = f"no row: usage.invoices has no such {kind}"
            findings.add("invoice copy", f"{kind} {invoice} of {name}", expected, "a row", _REMEDY)
    on_progress(NAME, 1, 1)


_Key = tuple[str, str]


def _originals(standing: StandingInvoices, namespaces: Sequence[str]) -> list[dict[_Key, Invoice]]:
    """Invoices and drafts as the topic has them."""
    originals = [{(name, invoice.invoice_id): invoice for name in namespaces for invoice in standing.invoices(name)}]
    originals.append({(name, invoice.invoice_id): invoice for name in namespaces for invoice in standing.drafts(name)})
    return originals


def _copies(client: Client, namespaces: Sequence[str], state: str | None) -> dict[_Key, WholeInvoice]:
    return {
        (name, invoice.head.invoice_id): invoice
        for name in namespaces
        for invoice in _all_invoices(client, name, state)
    }


def _check_copy(
    scope: Scope,
    location: str,
    original: Invoice,
    copy: WholeInvoice | None,
    version_before: int | None,
    findings: Findings,
) -> None:
    """``version_before``: the version that the topic had when the copies were read."""
    if copy is None or copy.head.version < original.version:
        if version_before == original.version:
            found_text = "no row" if copy is None else f"version {copy.head.version}"
            findings.add(
                "invoice copy", location, f"version {original.version}, as on usage.invoices", found_text, _REMEDY
            )
        return
    if copy.head.version > original.version:
        found_text = f"version {copy.head.version} ({copy.head.state})"
        findings.add(
            "invoice copy", location, f"version {original.version}, as on usage.invoices", found_text, _AHEAD_REMEDY
        )
        return
    for where, expected, found_text in _differences(original, copy):
        findings.add("invoice copy", f"{location}{where}", expected, found_text, _REMEDY)
    _check_prices(scope, original, location, findings)


def _all_invoices(client: Client, namespace: str, state: str | None) -> Iterator[WholeInvoice]:
    cursor: str | None = None
    while True:
        page = list_invoices(client, namespace, state=state, cursor=cursor, limit=_PAGE)
        yield from with_lines(client, namespace, page.invoices)
        cursor = page.next_cursor
        if cursor is None:
            return


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


def _check_prices(scope: Scope, invoice: Invoice, location: str, findings: Findings) -> None:
    """Each line's pinned price is that of its charge on the plan version, or of the subscription's override, as of the
    invoice's catalog. What the close itself adds to a price (schemas.prices.OF_LINES) is left aside."""
    view = scope.catalog.view(invoice.namespace, invoice.catalog_offset)
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
        of_plan = [override.price for override in plan.charges if override.key == charge]
        prices |= {_of_plan(price_in(price, plan.currency)) for price in overridden or of_plan}
    return prices


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
