"""What a due invoice has to measure, and the invoice once it is measured: pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

from rating.close.credits import Wallet
from rating.close.due import Due
from rating.close.kept import Kept
from rating.close.reductions import paid, reduced
from rating.close.spans import Part
from rating.close.standing import Invoice, Line
from rating.close.terms import NO_TERMS, Terms
from rating.close.timeline import PlanningError
from rating.periods import parse_zone
from rating.pricing import MatrixQuantity, PriceError, Rated, money_text, parse_price, rate
from rating.pricing.exact import exactly
from rating.usage import Measured, Usage, UsageRow, measured, no_usage, valid_versions
from schemas.catalog.models import Charge, Plan, Product
from schemas.catalog.profiles import ProfileVersion, profile_versions
from schemas.catalog.state import NamespaceView
from schemas.checkpoints import Run
from schemas.instants import SECOND, instant, rfc3339
from schemas.invoices import FINALIZED
from schemas.prices import FlatPrice, MatrixPrice, Price, Proration, plain

_MAX_ITEMS: Final = 1000
_encode: Final = json.JSONEncoder(ensure_ascii=False).encode  # json.dumps makes an encoder each time

NO_USAGE = "no usage in the period; priced as 0"
CARRIED = "no event in the period; the last value before it is carried over"


@dataclass(frozen=True, slots=True)
class Need:
    """One total that one query answers for many accounts: a profile over a period, split by ``dimensions``."""

    profile: Measured
    start_us: int
    end_us: int
    dimensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A charge over a part of a period, resolved: ``need`` and ``versions`` are None and () for a flat product.

    ``price`` is what its line pins: the charge's, with the proration and the trial of the part.
    """

    charge: Charge
    product: Product
    price: Price
    need: Need | None = None
    versions: tuple[int, ...] = ()
    start_us: int = 0
    end_us: int = 0
    note: str = ""


Totals = Mapping[Need, Mapping[str, list[UsageRow]]]
"""Need → account → its rows (one, or one a combination of dimensions); an account without usage is absent."""


class ChargeBook:
    """Charges of plans resolved against one catalog view, each thing looked up once."""

    def __init__(self, view: NamespaceView) -> None:
        self._view = view
        self._profiles: dict[str, tuple[ProfileVersion, ...]] = {}
        for version in profile_versions(view):
            self._profiles[version.profile_id] = (*self._profiles.get(version.profile_id, ()), version)
        # By the charge itself: an override shares plan, version and code.
        self._prices: dict[str, Kept[Charge, Price]] = {}
        # Most subscriptions share their plan and their period. By the plans themselves, which are kept so that their ids stay theirs.
        self._items: dict[Any, tuple[tuple[Part, ...], tuple[Item, ...]]] = {}
        self._waiting = {
            name: min(starts)
            for name, versions in self._profiles.items()
            if (
                starts := [one.backfill_from_us for one in versions if one.backfill_from_us is not None and one.waits()]
            )
        }

    def items(self, parts: tuple[Part, ...], in_advance: bool = False) -> tuple[Item, ...]:
        """The charges over a period's parts, part by part in the plan's order: those in arrears, or the fees in advance.

        A flat fee is none in a trial; one that is not prorated is billed once, with the first part that has it. Raises
        PlanningError that names the charge.
        """
        key = (
            in_advance,
            *[(id(one.plan), one.plan_version, one.start_us, one.end_us, one.whole_us, one.trial) for one in parts],
        )
        known = self._items.get(key)
        if known is None:
            if len(self._items) >= _MAX_ITEMS:
                self._items.clear()
            known = self._items[key] = parts, self._resolved(parts, in_advance)
        return known[1]

    def _resolved(self, parts: tuple[Part, ...], in_advance: bool) -> tuple[Item, ...]:
        found: list[Item] = []
        whole: set[str] = set()
        several = len({(part.plan.code, part.plan_version) for part in parts}) > 1
        for part in parts:
            for charge in part.plan.charges:
                if charge.in_advance != in_advance:
                    continue
                item = self._item(part, charge, f"plan {part.plan.code} version {part.plan_version}" if several else "")
                fee = item.need is None or isinstance(item.price, FlatPrice)
                if fee and (charge.key in whole or (part.trial and item.need is None)):
                    continue
                if fee and not charge.prorated and not part.trial:
                    whole.add(charge.key)
                found.append(item)
        return tuple(found)

    def _item(self, part: Part, charge: Charge, note: str) -> Item:
        place = f"plan {part.plan.code} version {part.plan_version}, charge {charge.key}"
        price = _of_part(self._price(part.plan, charge, place), part, charge)
        entry = self._view.get("product", charge.product)
        if entry is None:
            raise PlanningError(f"{place}: there is no product {charge.product}; publish it")
        product: Product = entry.model
        if product.profile is None:
            return Item(charge, product, price, None, (), part.start_us, part.end_us, note)
        versions = self._versions(product.profile, place)
        need = self.need(versions[0].profile_id, price, part.start_us, part.end_us)
        valid = tuple(version.version for version in valid_versions(versions, part.start_us, part.end_us))
        return Item(charge, product, price, need, valid, part.start_us, part.end_us, note)

    def need(self, profile_id: str, price: Price, start_us: int, end_us: int) -> Need:
        """What re-rating a line of a stored invoice takes. Raises PlanningError."""
        versions = self._versions(profile_id, f"profile {profile_id} of an earlier invoice")
        dimensions = price.dimensions if isinstance(price, MatrixPrice) else ()
        return Need(measured(versions, start_us, end_us), start_us, end_us, dimensions)

    def wait_for_backfills(self, items: Iterable[Item]) -> None:
        """Raises PlanningError where a profile of ``items`` is yet to count events that came before it was published."""
        for item in items if self._waiting else ():
            profile_id = item.need.profile.profile_id if item.need else ""
            start_us = self._waiting.get(profile_id)
            if start_us is not None and start_us < item.end_us:
                raise PlanningError(
                    f"profile {profile_id} is being backfilled from {rfc3339(start_us)} on; what it measures is billed"
                    " once that is done (`weir backfill list`)"
                )

    def _price(self, plan: Plan, charge: Charge, place: str) -> Price:
        currency = plan.currency
        if currency not in self._prices:
            self._prices[currency] = Kept(lambda one: parse_price(one.price, currency))
        try:
            return self._prices[currency](charge)
        except PriceError as error:
            raise PlanningError(f"{place}: {error}") from None

    def _versions(self, address: str, place: str) -> tuple[ProfileVersion, ...]:
        found = self._profiles.get(address)
        if found is None and "." not in address:
            of_meter = [versions for versions in self._profiles.values() if versions[0].meter == address]
            found = of_meter[0] if len(of_meter) == 1 else None
        if found is None:
            raise PlanningError(f"{place}: there is no profile {address}; publish its meter, or mend the product")
        return found


def _of_part(price: Price, part: Part, charge: Charge) -> Price:
    """The price as the line of a part pins it: with which part of a whole period it is, where that changes its amount."""
    length = part.end_us - part.start_us
    changes: dict[str, Any] = {"trial": True} if part.trial else {}
    if charge.prorated and length < part.whole_us and (isinstance(price, FlatPrice) or price.minimum_amount):
        changes["proration"] = proration(length, part.whole_us)
    return price.model_copy(update=changes) if changes else price


def proration(part_us: int, whole_us: int) -> Proration:
    """Of lengths in microseconds."""
    return Proration(part_seconds=Decimal(part_us) / SECOND, whole_seconds=Decimal(whole_us) / SECOND)


def rate_item(item: Item, rows: Iterable[UsageRow] | None, currency: str) -> tuple[Rated, Usage | None, str]:
    """(priced, the usage behind it or None for a flat product, note). ``rows``: the account's, None for no usage."""
    if item.need is None:
        priced = rate(item.price, Decimal(1), currency=currency)
        return priced, None, "; ".join(priced.notes)
    return rate_rows(item.price, item.need, rows, currency)


def rate_rows(price: Price, need: Need, rows: Iterable[UsageRow] | None, currency: str) -> tuple[Rated, Usage, str]:
    """(priced, the usage behind it, note). Raises PriceError."""
    found = list(rows or ())
    if not found:
        usage = no_usage(need.profile.aggregation)
    elif len(found) == 1:
        usage = found[0].usage
    else:
        usage = Usage(
            exact_sum(row.usage.quantity or Decimal(0) for row in found), sum(row.usage.events for row in found)
        )
    quantity = usage.quantity if usage.quantity is not None else Decimal(0)
    cells = [
        MatrixQuantity(tuple(value or "" for value in row.dimensions), row.usage.quantity or Decimal(0))
        for row in found
    ]
    priced = rate(
        price,
        quantity,
        currency=currency,
        events=Decimal(usage.events),
        quantities=cells if isinstance(price, MatrixPrice) else None,
    )
    empty = NO_USAGE if usage.quantity is None else CARRIED if found and not usage.events else ""
    notes = [*priced.notes, *([empty] if empty else [])]
    return priced, usage, "; ".join(notes)


def exact_sum(numbers: Iterable[Decimal]) -> Decimal:
    """The sum, also beyond the 28 digits to which Python's decimals round by default."""
    with exactly():
        return sum(numbers, Decimal(0))


def build_invoice(
    due: Due,
    items: Iterable[Item],
    totals: Totals,
    run: Run,
    further: Iterable[Line] = (),
    terms: Terms = NO_TERMS,
    wallet: Wallet | None = None,
) -> Invoice:
    """The Invoice record: charges, what ``terms`` add, ``further`` lines, and credits of ``wallet``, which is drawn on. The same bytes
    in every process that builds it for ``run``. Raises PlanningError."""
    lines: list[Line] = []
    currency = due.plan.currency
    flat = _flat_lines(currency)
    for item in items:
        try:
            if item.need is None:
                lines.append(flat(item))
                continue
            priced, usage, note = rate_rows(item.price, item.need, totals[item.need].get(due.account_id), currency)
        except PriceError as error:
            raise PlanningError(f"subscription {due.subscription}, charge {item.charge.key}: {error}") from None
        lines.append(line_of(item, priced, usage, note))
    lines += reduced(lines, terms, currency, due.start_us, due.end_us)
    lines += further
    subtotal = exact_sum(Decimal(line["amount"]) for line in lines)
    balances = wallet.balances(due.account_id, due.subscription, currency, due.moment_us) if wallet else []
    lines += paid(subtotal, balances, currency, due.start_us, due.end_us)
    lines = [line | {"number": number} for number, line in enumerate(lines, 1)]
    total = exact_sum(Decimal(line["amount"]) for line in lines)
    body: dict[str, Any] = {
        "subtotal": money_text(subtotal, currency), "tax_amount": None,
        "due_date": due_date(run.as_of_us, due.time_zone, due.plan.payment_terms_days),
    }  # fmt: skip
    if terms != NO_TERMS:
        body["terms"] = terms.to_json()
    if due.voids:
        body["voids"] = list(due.voids)
    if due.reissues:
        body["reissues"] = due.reissues
    if due.predecessor:
        body["after"] = due.after or run.run_id
    if due.holds:
        body["holds"] = due.holds
    invoice = {
        "namespace": due.namespace, "invoice_id": due.invoice_id, "version": 1, "predecessor": due.predecessor,
        "subscription": due.subscription, "sequence": due.sequence, "account_id": due.account_id,
        "plan": due.plan.code, "plan_version": due.plan_version,
        "period_start": due.start_us, "period_end": due.end_us, "time_zone": due.time_zone,
        "run_id": run.run_id, "checkpoint": run.number, "catalog_offset": run.catalog_offset, "as_of": run.as_of_us,
        "state": FINALIZED, "currency": currency, "total": money_text(total, currency),
        "lines": lines, "body": _encode(body), "claim_id": claim_id(run.run_id, due.invoice_id),
    }  # fmt: skip
    if wallet:
        wallet.draw(invoice)
    return invoice


def due_date(finalised_us: int, zone: str, terms_days: int) -> str:
    """The local date, as ISO 8601, so many days after the local date of the instant at which an invoice was finalised."""
    local = instant(finalised_us).astimezone(parse_zone(zone)).date()
    return (local + timedelta(days=min(terms_days, (date.max - local).days))).isoformat()


def claim_id(run_id: str, invoice: str) -> str:
    """A claim's name, derived so that a second process of the same run writes the same bytes."""
    return blake2b(f"{len(run_id)}:{run_id}{invoice}:1".encode(), digest_size=12).hexdigest()


def line_of(item: Item, priced: Rated, usage: Usage | None, note: str) -> Line:
    """The line of an item as it was rated; ``note``: what the rating said."""
    return {
        "kind": "flat" if usage is None else "usage", "charge": item.charge.key,
        "product": item.product.code, "description": item.product.name or item.product.code,
        "profile_id": item.need.profile.profile_id if item.need else "", "profile_versions": list(item.versions),
        "period_start": item.start_us, "period_end": item.end_us,
        "quantity": "" if usage is None else plain(usage.quantity or Decimal(0)),
        "events": "" if usage is None else str(usage.events),
        "unit": item.product.unit or (item.need.profile.unit if item.need else ""),
        "price": price_text(item.price),
        "amount": money_text(priced.amount, priced.currency), "unrounded": plain(priced.unrounded),
        "steps": steps_text(priced),
        "note": "; ".join(part for part in (item.note, note) if part), "adjusts": "",
    }  # fmt: skip


@lru_cache(maxsize=100)
def _flat_lines(currency: str) -> Kept[Item, Line]:
    """The lines of flat fees in a currency: the same for every account."""

    def made(item: Item) -> Line:
        priced, usage, note = rate_item(item, None, currency)
        return line_of(item, priced, usage, note)

    return Kept(made)


def same_line(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both are for one charge over one part of a period: a line and its adjustment."""
    return all(one[name] == other[name] for name in ("charge", "product", "period_start", "period_end"))


def steps_text(priced: Rated) -> str:
    """How an amount came about, as JSON text."""
    return _encode([step.as_json() for step in priced.steps])


def price_text(price: Price) -> str:
    """The price as pinned on a line: canonical JSON. Lines of one charge share their price."""
    return _texts(price)


def _text(price: Price) -> str:
    return json.dumps(price.model_dump(mode="json"), ensure_ascii=False, sort_keys=True)


_texts: Final = Kept(_text)
