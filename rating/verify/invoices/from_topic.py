"""ClickHouse's invoices against the topic usage.invoices, which alone decides what stands, and the prices pinned on
their lines against the catalog that they were billed from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Final

from rating.invoices.snapshot.invoice_store import InvoiceStore
from rating.invoicing.rated_items import price_text
from rating.pricing import PriceError
from rating.subscriptions.timeline import PlanningError, pinned_plan
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.invoices.copied_rows import LINE, InvoiceValues, copied, differing, written
from rating.verify.invoices.pinned_terms import check_terms, may_pin_terms
from rating.verify.invoices.side_by_side import aligned
from rating.verify.invoices.topic_fold import TopicFold, Written
from rating.verify.scope import Scope
from schemas.catalog.models import Plan, Subscription
from schemas.catalog.state import NamespaceView
from schemas.ledgers.invoice_record import Invoice
from schemas.prices import OF_LINES, Price, pinned_price, price_in
from schemas.values.caches.identity_cache import IdentityCache

NAME: Final = "invoices from the topic"
_LOOKED_AT_AGAIN: Final = 5_000
_KIND, _CHARGE, _PRICE, _ADJUSTS = (LINE.index(name) for name in ("kind", "charge", "price", "adjusts"))
_REMEDY: Final = "the topic decides: `weir copies rebuild invoices` writes ClickHouse's copy again"
_AHEAD_REMEDY: Final = (
    "usage.invoices has lost what ClickHouse has: record it again (`weir invoice pay`, `approve` or `void`, by what the"
    " version says), and only then `weir copies rebuild invoices`"
)
_PRICE_REMEDY: Final = "the line was not billed by its plan; compare `weir explain` with the plan's versions"


def check_against_topic(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Each invoice that stands on the topic is in ClickHouse as it was written, newest version, line by line; and no
    other. So are drafts, in tables of their own. Both are read side by side, in the order of ids; what has one digest
    is not decoded again."""
    on_progress(NAME, 0, 1)
    topic = TopicFold.of(scope)
    topic.follow()
    names = [scope.namespace] if scope.namespace is not None else topic.store.namespaces()
    total, done = sum(topic.store.count(name) for name in names), 0
    unsettled: list[_Unsettled] = []
    pinned = _PinnedPrices(scope)
    for name, drafts in product(names, (False, True)):
        originals = topic.in_order(name, drafts=drafts, since_us=scope.since_us)
        for original, copy in aligned(originals, copied(scope, name, drafts=drafts), _key, _key):
            if done % 1000 == 0:
                on_progress(NAME, done, total)
            done += not drafts and original is not None
            if original is None or copy is None or copy.version != original.version:
                known = original.version if original is not None else None
                unsettled.append(_Unsettled(name, _id_of(original, copy), drafts, known, copy))
            else:
                _check_copy(topic.store, name, drafts, original, copy, pinned, findings)
    topic.follow()
    for unsettled_copy in unsettled[:_LOOKED_AT_AGAIN]:
        _look_again(unsettled_copy, topic.store, findings)
    findings.add_more(len(unsettled[_LOOKED_AT_AGAIN:]))
    on_progress(NAME, 1, 1)


@dataclass(frozen=True, slots=True)
class _Unsettled:
    """An id of which the topic (``original``: the version that it had) and ClickHouse had no version in common, perhaps
    because one was just written."""

    namespace: str
    invoice_id: str
    drafts: bool
    original: int | None
    copy: InvoiceValues | None


def _look_again(unsettled_copy: _Unsettled, topic: InvoiceStore, findings: Findings) -> None:
    """By what the topic has by now: what was copied while we read is there, and what had not been copied by then may
    still be under way."""
    copy, kind = unsettled_copy.copy, "draft" if unsettled_copy.drafts else "invoice"
    original = topic.newest(unsettled_copy.namespace, unsettled_copy.invoice_id, draft=unsettled_copy.drafts)
    location = f"{kind} {unsettled_copy.invoice_id} of {unsettled_copy.namespace}"
    if original is None:
        if copy is not None and (
            not unsettled_copy.drafts
            or topic.newest(unsettled_copy.namespace, unsettled_copy.invoice_id, draft=False) is None
        ):
            expected = f"no row: usage.invoices has no such {kind}"
            findings.add("invoice copy", location, expected, "a row", _REMEDY)
        return
    expected = f"version {original.version}, as on usage.invoices"
    if copy is None or copy.version < original.version:
        if unsettled_copy.original == original.version:
            found_text = "no row" if copy is None else f"version {copy.version}"
            findings.add("invoice copy", location, expected, found_text, _REMEDY)
    elif copy.version > original.version:
        found_text = f"version {copy.version} ({copy.of('state')})"
        findings.add("invoice copy", location, expected, found_text, _AHEAD_REMEDY)


def _key(entry: Written | InvoiceValues) -> bytes:
    return entry.invoice_id.encode()


def _id_of(*entries: Written | InvoiceValues | None) -> str:
    return next(entry.invoice_id for entry in entries if entry is not None)


def _check_copy(
    topic: InvoiceStore,
    namespace: str,
    draft: bool,
    original: Written,
    copy: InvoiceValues,
    pinned: _PinnedPrices,
    findings: Findings,
) -> None:
    """``copy``: the same version; ``draft``: by its table, since its state may be damaged. What the topic has is
    decoded where the copy is not equal, or terms may be pinned."""
    location = f"{'draft' if draft else 'invoice'} {copy.invoice_id} of {namespace}"
    values, invoice = copy, None
    if copy.digest() != original.digest:
        invoice = _decoded(topic, namespace, copy.invoice_id, draft)
        values = written(invoice)
        for where, expected, found_text in differing(values, copy):
            findings.add("invoice copy", f"{location}{where}", expected, found_text, _REMEDY)
    view = pinned.view(namespace, values.of("catalog_offset"))
    _check_prices(pinned, view, values, location, findings)
    if not draft and may_pin_terms(view, values.of("subscription"), values.body):
        invoice = invoice or _decoded(topic, namespace, copy.invoice_id, draft)
        # Only a further invoice of a period depends on those before it.
        chain = topic.chain(namespace, invoice.subscription) if invoice.sequence else []
        check_terms(view, chain, invoice, location, findings)


def _decoded(topic: InvoiceStore, namespace: str, name: str, draft: bool) -> Invoice:
    invoice = topic.newest(namespace, name, draft=draft)
    assert invoice is not None, "it has a digest"
    return invoice


class _PinnedPrices:
    """The prices that charges of subscriptions may have been billed at, by the catalogs of invoices: those of one run
    have one catalog, and most subscriptions one history of plans."""

    def __init__(self, scope: Scope) -> None:
        self._catalog = scope.catalog
        self.view = lru_cache(maxsize=16)(self._catalog.view)

    def of(self, view: NamespaceView, subscription: str) -> Callable[[str], set[str]]:
        """Charge → its canonical prices."""
        versions = list(_plans_of(view, subscription))

        def prices(charge: str) -> set[str]:
            if len(versions) == 1 and not versions[0][0].overrides:
                return _PLAN_PRICES(versions[0][1]).get(charge, set())
            return _prices(versions, charge)

        return prices


def _check_prices(
    pinned: _PinnedPrices, view: NamespaceView, invoice: InvoiceValues, location: str, findings: Findings
) -> None:
    """Each line's pinned price is that of its charge on the plan version, or of the subscription's override, as of the
    invoice's catalog. What the close itself adds to a price (schemas.prices.OF_LINES) is left aside."""
    currency = invoice.of("currency")
    prices = pinned.of(view, invoice.of("subscription"))
    for line in invoice.lines:
        if line[_ADJUSTS] or line[_KIND] not in ("usage", "flat"):
            continue  # an adjustment is priced as the line that it adjusts
        expected, price = prices(line[_CHARGE]), line[_PRICE]
        if any(plan_price_text(text, currency) not in expected for text in (price, *_earlier_prices(price))):
            shown = " or ".join(sorted(expected)) or f"a charge {line[_CHARGE]} on the plan"
            findings.add("pinned price", f"{location}, line {line[0]}, price", shown, price, _PRICE_REMEDY)


def _earlier_prices(price: str) -> list[str]:
    """The prices that a line's charge had before its own, as JSON text."""
    if '"by_time"' not in price:
        return []
    return [json.dumps(part["price"]) for part in json.loads(price)["by_time"]["earlier"]]


def prices_of(view: NamespaceView, subscription: str, charge: str) -> set[str]:
    """Canonical prices of a charge under every version of the subscription, which may have moved within the period: the
    subscription's own where it overrides, else that of the plan version it was on."""
    return _prices(_plans_of(view, subscription), charge)


def _plans_of(view: NamespaceView, subscription: str) -> Iterator[tuple[Subscription, Plan]]:
    """Each version of the subscription, with its plan."""
    for entry in view.history("subscription", subscription):
        with suppress(PlanningError):
            yield entry.model, pinned_plan(view, entry).model


def _prices(versions: Iterable[tuple[Subscription, Plan]], charge: str) -> set[str]:
    prices: set[str] = set()
    for model, plan in versions:
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
