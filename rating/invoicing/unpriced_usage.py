"""Describes usage that has no price: its owner, an example event, and the remedy."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any, Final

from rating.invoices.amounts.line_plans import plan_in
from rating.invoices.amounts.unpriced_values import unpriced_of
from rating.invoicing.measure import query_for
from rating.invoicing.need import Need
from rating.invoicing.rated_items import RatedItem
from rating.pricing import plain
from rating.pricing.price_models import cell_amounts, others_label
from rating.pricing.priced_line import MatrixQuantity
from rating.usage import Measured
from rating.usage.usage_conditions import record_conditions
from schemas.catalog.models import Plan
from schemas.catalog.state import NamespaceView
from schemas.clickhouse.binder import Binder
from schemas.ledgers.checkpoints import Cut
from schemas.ledgers.invoice_record import (
    Invoice,
    Line,
)
from schemas.prices import MatrixPrice, PriceError, price_in
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject, canonical, exact
from schemas.values.record_copy import replace

MAX_LOOKED_UP: Final = 50
"""Limit on entries shown with an example event, which takes a query each."""


@dataclass(frozen=True, slots=True)
class EarliestEvent:
    """The earliest event with some dimension values, and their number. ``us``: its timestamp, microseconds UTC."""

    idempotency_key: str
    us: int
    events: int
    source: str = ""

    @property
    def void(self) -> str:
        """The command that voids it."""
        source = f" --source {quote(self.source)}" if self.source else ""
        return f"`weir void {quote(self.idempotency_key)}{source} --reason …`"


@dataclass(frozen=True, slots=True)
class UnpricedQuantity:
    """A quantity with a combination of dimension values that is not billed. ``invoice_id``: invoice of its line, if
    known; ``billed``: whether its period is billed. ``plan`` and ``plan_version``: where its price would be;
    ``remedy``: what to do."""

    account_id: str
    subscription: str
    charge: str
    profile_id: str
    start_us: int
    end_us: int
    dimensions: tuple[str, ...]
    part: MatrixQuantity
    plan: str
    plan_version: int
    invoice_id: str = ""
    billed: bool = False
    first: EarliestEvent | None = None
    remedy: str = ""

    @property
    def label(self) -> str:
        """The values as text: ``model=a``."""
        if self.part.others:
            return others_label(self.part.others)
        return ", ".join(f"{name}={value}" for name, value in zip(self.dimensions, self.part.values, strict=True))

    def sentence(self) -> str:
        """The description as one sentence."""
        event = ""
        if self.first is not None:
            count = self.first.events
            event = (
                f", {count} event{'' if count == 1 else 's'}, the first {self.first.idempotency_key} of "
                f"{rfc3339(self.first.us)}"
            )
        have = "have" if self.part.others > 1 else "has"
        return (
            f"account {self.account_id}, charge {self.charge}: {self.label} {have} no price in plan {self.plan} version"
            f" {self.plan_version}, so {plain(self.part.quantity)} is not billed{event}; {self.remedy}"
        )

    def to_json(self) -> JsonObject:
        first_event = self.first
        return {
            "account_id": self.account_id, "subscription": self.subscription, "invoice_id": self.invoice_id or None,
            "charge": self.charge, "profile_id": self.profile_id,
            "period_start": rfc3339(self.start_us), "period_end": rfc3339(self.end_us),
            "dimensions": {} if self.part.others else dict(zip(self.dimensions, self.part.values, strict=True)),
            "quantity": plain(self.part.quantity),
            "events": first_event.events if first_event is not None else self.part.events,
            "first_event": None
            if first_event is None
            else {"idempotency_key": first_event.idempotency_key, "source": first_event.source,
            "timestamp": rfc3339(first_event.us)},
            "plan": self.plan, "plan_version": self.plan_version, "remedy": self.remedy, "text": self.sentence(),
        }  # fmt: skip


def unpriced_on_invoices(invoices: Iterable[Invoice]) -> Iterator[UnpricedQuantity]:
    """The quantities without a price on the lines of invoices or drafts."""
    for invoice in invoices:
        for line in invoice.lines:
            for part in unpriced_of(line):
                yield unpriced_on_line(invoice, line, part, line.adjusts)


def unpriced_on_line(invoice: Invoice, line: Line, part: MatrixQuantity, billed_by: str) -> UnpricedQuantity:
    """A part of a line's usage; ``billed_by``: the invoice with the line, "" if it is not valid yet."""
    plan = plan_in(invoice, line)
    dimensions = tuple(json.loads(line.price).get("dimensions", ()))
    return UnpricedQuantity(
        invoice.account_id, invoice.subscription, line.charge, line.profile_id, line.period_start, line.period_end,
        dimensions, part, plan.code, plan.version, billed_by, bool(billed_by),
    )  # fmt: skip


def unpriced_on_item(account_id: str, subscription: str, rated: RatedItem) -> Iterator[UnpricedQuantity]:
    """The quantities without a price of a charge not billed yet."""
    item = rated.item
    if item.need is None or item.plan is None:
        return
    for part in rated.priced.unpriced:
        yield UnpricedQuantity(
            account_id,
            subscription,
            item.charge.key,
            item.need.profile.profile_id,
            item.start_us,
            item.end_us,
            item.need.dimensions,
            part,
            item.plan.code,
            item.plan.version,
        )


def with_examples(
    client: Any,
    view: NamespaceView,
    usages: Sequence[UnpricedQuantity],
    profiles: Mapping[str, Measured],
    as_of: Cut | None,
) -> list[UnpricedQuantity]:
    """The usages, each with an example event (for the first MAX_LOOKED_UP) and the remedy. ``profiles``: known profiles
    by id. Blocking."""
    result: list[UnpricedQuantity] = []
    known: dict[Any, dict[tuple[str, ...], EarliestEvent]] = {}
    values_of: dict[Any, set[tuple[str, ...]]] = {}
    for usage in usages:
        values_of.setdefault(_total_of(usage), set()).add(usage.part.values)
    for usage in usages:
        key = _total_of(usage)
        profile = profiles.get(usage.profile_id)
        if key not in known and profile is not None and len(known) < MAX_LOOKED_UP:
            need = Need(profile, usage.start_us, usage.end_us, usage.dimensions)
            known[key] = first_events(client, view.namespace, need, usage.account_id, as_of, values_of[key])
        first_event = known.get(key, {}).get(usage.part.values)
        result.append(replace(usage, first=first_event, remedy=remedy(view, usage, first_event)))
    return result


def _total_of(usage: UnpricedQuantity) -> tuple[str, str, int, int, tuple[str, ...]]:
    """Equal for quantities of one total."""
    return usage.account_id, usage.profile_id, usage.start_us, usage.end_us, usage.dimensions


def first_events(
    client: Any,
    namespace: str,
    need: Need,
    account_id: str,
    as_of: Cut | None,
    values_shown: Collection[tuple[str, ...]],
) -> dict[tuple[str, ...], EarliestEvent]:
    """The first event of each of some combinations of values of an account. Blocking."""
    query = query_for(namespace, need, [account_id], as_of)
    bind = Binder()
    names = [bind(f"dimension_name_{number}", "String", name) for number, name in enumerate(need.dimensions)]
    keys = [f"JSONExtractRaw(dimensions, {name})" for name in names]
    columns = ", ".join(f"{key} AS dimension_{number}" for number, key in enumerate(keys))
    group = ", ".join(f"dimension_{number}" for number in range(len(keys)))
    position = "generation, partition, offset, `index`"
    conditions = " AND ".join(record_conditions(query, bind))
    sql = (
        f"SELECT {group}, idempotency_key, us, events, source FROM ("
        f"SELECT {columns}, argMin(({position}), (timestamp, {position})) AS place, "
        "toUnixTimestamp64Micro(min(timestamp)) AS us,"
        f" count() AS events FROM usage_records FINAL WHERE {conditions} GROUP BY {group}) AS firsts"
        f" INNER JOIN (SELECT ({position}) AS place, idempotency_key, source FROM usage_events FINAL"
        " WHERE namespace = {namespace:String} AND account_id IN {accounts:Array(String)}"
        f" AND timestamp >= {bind.instant('start', need.start_us)} AND timestamp < "
        f"{bind.instant('end', need.end_us)}) AS events USING (place)"
    )
    firsts: dict[tuple[str, ...], EarliestEvent] = {}
    with client.query_row_block_stream(sql, parameters=bind.parameters) as blocks:  # anybody can make up values
        for block in blocks:
            for *raw, key, us, events, source in block:
                if (values := tuple(_text(value) for value in raw)) in values_shown:
                    firsts[values] = EarliestEvent(str(key), int(us), int(events), str(source))
    return firsts


def remedy(view: NamespaceView, usage: UnpricedQuantity, first_event: EarliestEvent | None) -> str:
    """The possible remedies: adding a price for the values, or voiding the events."""
    overridden = any(
        override.charge == usage.charge
        for entry in view.history("subscription", usage.subscription)[-1:]
        for override in entry.model.overrides
    )
    at = "" if usage.billed else f" and `change_at` {rfc3339(usage.start_us)} or earlier"
    if overridden:
        step = (
            f"publish subscription {usage.subscription} with a cell for it, or default_unit_amount, in its "
            f"override of {usage.charge}"
        )
        step += at.replace(" and", " with", 1)
    else:
        history = view.history("plan", usage.plan)
        newest = history[-1] if history else None
        number = newest.version if newest is not None else usage.plan_version
        if newest is not None and number > usage.plan_version and _prices(newest.model, usage):
            step = (
                f"plan {usage.plan} version {number} has one: publish subscription {usage.subscription} with "
                f"plan_version {number}{at}"
            )
        else:
            step = (
                f"publish plan {usage.plan} with a cell for it or default_unit_amount, which makes it version "
                f"{number + 1}, and then"
                f" subscription {usage.subscription} with plan_version {number + 1}{at}"
            )
    if usage.billed:
        step += ": the next close bills it by adjustment"
    event = first_event.void if first_event is not None else "`weir void KEY --reason …`"
    return f"{step}; or take back what was sent by mistake with {event}"


def _prices(plan: Plan, usage: UnpricedQuantity) -> bool:
    for charge in plan.charges:
        if charge.key != usage.charge:
            continue
        try:
            price = price_in(charge.price, plan.currency)
        except PriceError:
            return False
        if isinstance(price, MatrixPrice) and price.dimensions == usage.dimensions:
            return price.default_unit_amount is not None or usage.part.values in cell_amounts(price)
    return False


def _text(raw: str) -> str:
    """A dimension value as prices name it; empty if the event had none."""
    if not raw:
        return ""
    value = exact(raw)
    return value if isinstance(value, str) else canonical(value)
