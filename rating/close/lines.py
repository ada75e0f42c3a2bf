"""What a due invoice has to measure, and the invoice once it is measured: pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from rating.close.credits import Wallet
from rating.close.due import Due, PlanningError
from rating.close.reductions import paid, reduced
from rating.close.standing import Invoice, Line
from rating.close.terms import NO_TERMS, Terms
from rating.pricing import MatrixQuantity, PriceError, Rated, money_text, parse_price, rate
from rating.pricing.exact import exactly
from rating.usage import Measured, Usage, UsageRow, measured, no_usage, valid_versions
from schemas.catalog.models import Charge, Plan, Product
from schemas.catalog.profiles import ProfileVersion, profile_versions
from schemas.catalog.state import NamespaceView
from schemas.checkpoints import Run
from schemas.invoices import FINALIZED
from schemas.prices import MatrixPrice, Price, plain

NO_USAGE = "no usage in the period; priced as 0"


@dataclass(frozen=True, slots=True)
class Need:
    """One total that one query answers for many accounts: a profile over a period, split by ``dimensions``."""

    profile: Measured
    start_us: int
    end_us: int
    dimensions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """A charge of a due invoice, resolved: ``need`` and ``versions`` are None and () for a flat product."""

    charge: Charge
    product: Product
    price: Price
    need: Need | None = None
    versions: tuple[int, ...] = ()


Totals = Mapping[Need, Mapping[str, list[UsageRow]]]
"""Need → account → its rows (one, or one a combination of dimensions); an account without usage is absent."""


class ChargeBook:
    """Charges of plans resolved against one catalog view, each thing looked up once."""

    def __init__(self, view: NamespaceView) -> None:
        self._view = view
        self._profiles: dict[str, tuple[ProfileVersion, ...]] = {}
        for version in profile_versions(view):
            self._profiles[version.profile_id] = (*self._profiles.get(version.profile_id, ()), version)
        # By the charge itself, which is kept so that its id stays its own: an override shares plan, version and code.
        self._prices: dict[int, tuple[Charge, Price]] = {}

    def items(self, plan: Plan, plan_version: int, start_us: int, end_us: int) -> tuple[Item, ...]:
        """The plan's charges over a period, in the plan's order. Raises PlanningError that names the charge."""
        return tuple(self._item(plan, plan_version, charge, start_us, end_us) for charge in plan.charges)

    def _item(self, plan: Plan, plan_version: int, charge: Charge, start_us: int, end_us: int) -> Item:
        place = f"plan {plan.code} version {plan_version}, charge {charge.key}"
        price = self._price(plan, charge, place)
        entry = self._view.get("product", charge.product)
        if entry is None:
            raise PlanningError(f"{place}: there is no product {charge.product}; publish it")
        product: Product = entry.model
        if product.profile is None:
            return Item(charge, product, price)
        versions = self._versions(product.profile, place)
        need = self.need(versions[0].profile_id, price, start_us, end_us)
        valid = tuple(version.version for version in valid_versions(versions, start_us, end_us))
        return Item(charge, product, price, need, valid)

    def need(self, profile_id: str, price: Price, start_us: int, end_us: int) -> Need:
        """What re-rating a line of a stored invoice takes. Raises PlanningError."""
        versions = self._versions(profile_id, f"profile {profile_id} of an earlier invoice")
        dimensions = price.dimensions if isinstance(price, MatrixPrice) else ()
        return Need(measured(versions, start_us, end_us), start_us, end_us, dimensions)

    def _price(self, plan: Plan, charge: Charge, place: str) -> Price:
        if id(charge) not in self._prices:
            try:
                self._prices[id(charge)] = charge, parse_price(charge.price, plan.currency)
            except PriceError as error:
                raise PlanningError(f"{place}: {error}") from None
        return self._prices[id(charge)][1]

    def _versions(self, address: str, place: str) -> tuple[ProfileVersion, ...]:
        found = self._profiles.get(address)
        if found is None and "." not in address:
            of_meter = [versions for versions in self._profiles.values() if versions[0].meter == address]
            found = of_meter[0] if len(of_meter) == 1 else None
        if found is None:
            raise PlanningError(f"{place}: there is no profile {address}; publish its meter, or mend the product")
        return found


def rate_item(item: Item, rows: Iterable[UsageRow] | None, currency: str) -> tuple[Rated, Usage | None, str]:
    """(priced, the usage behind it or None for a flat product, note). ``rows``: the account's, None for no usage."""
    if item.need is None:
        return rate(item.price, Decimal(1), currency=currency), None, ""
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
    notes = [*priced.notes, *([NO_USAGE] if usage.quantity is None else [])]
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
    for item in items:
        rows = totals[item.need].get(due.account_id) if item.need else None
        try:
            priced, usage, note = rate_item(item, rows, currency)
        except PriceError as error:
            raise PlanningError(f"subscription {due.subscription}, charge {item.charge.key}: {error}") from None
        lines.append(_line(due, item, priced, usage, note))
    lines += reduced(lines, terms, currency, due.start_us, due.end_us)
    lines += further
    subtotal = exact_sum(Decimal(line["amount"]) for line in lines)
    balances = wallet.balances(due.account_id, due.subscription, currency, due.end_us - 1) if wallet else []
    lines += paid(subtotal, balances, currency, due.start_us, due.end_us)
    lines = [line | {"number": number} for number, line in enumerate(lines, 1)]
    total = exact_sum(Decimal(line["amount"]) for line in lines)
    body: dict[str, Any] = {"subtotal": money_text(subtotal, currency), "tax_amount": None}
    if terms != NO_TERMS:
        body["terms"] = terms.to_json()
    invoice = {
        "namespace": due.namespace, "invoice_id": due.invoice_id, "version": 1, "predecessor": due.predecessor,
        "subscription": due.subscription, "sequence": due.sequence, "account_id": due.account_id,
        "plan": due.plan.code, "plan_version": due.plan_version,
        "period_start": due.start_us, "period_end": due.end_us, "time_zone": due.time_zone,
        "run_id": run.run_id, "checkpoint": run.number, "catalog_offset": run.catalog_offset, "as_of": run.as_of_us,
        "state": FINALIZED, "currency": currency, "total": money_text(total, currency),
        "lines": lines, "body": json.dumps(body, ensure_ascii=False), "claim_id": claim_id(run.run_id, due.invoice_id),
    }  # fmt: skip
    if wallet:
        wallet.draw(invoice)
    return invoice


def claim_id(run_id: str, invoice: str) -> str:
    """A claim's name, derived so that a second process of the same run writes the same bytes."""
    return blake2b(f"{len(run_id)}:{run_id}{invoice}:1".encode(), digest_size=12).hexdigest()


def _line(due: Due, item: Item, priced: Rated, usage: Usage | None, note: str) -> Line:
    return {
        "kind": "flat" if usage is None else "usage", "charge": item.charge.key,
        "product": item.product.code, "description": item.product.name or item.product.code,
        "profile_id": item.need.profile.profile_id if item.need else "", "profile_versions": list(item.versions),
        "period_start": due.start_us, "period_end": due.end_us,
        "quantity": "" if usage is None else plain(usage.quantity or Decimal(0)),
        "events": "" if usage is None else str(usage.events),
        "unit": item.product.unit or (item.need.profile.unit if item.need else ""),
        "price": price_text(item.price),
        "amount": money_text(priced.amount, due.plan.currency), "unrounded": plain(priced.unrounded),
        "steps": steps_text(priced),
        "note": note, "adjusts": "",
    }  # fmt: skip


def steps_text(priced: Rated) -> str:
    """How an amount came about, as JSON text."""
    return json.dumps([step.as_json() for step in priced.steps], ensure_ascii=False)


def price_text(price: Price) -> str:
    """The price as pinned on a line: canonical JSON."""
    return json.dumps(price.model_dump(mode="json"), ensure_ascii=False, sort_keys=True)
