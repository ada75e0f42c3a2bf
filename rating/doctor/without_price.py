"""What an account used of a profile that no price of its plans has an amount for, for the doctor. Blocking."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from rating.invoices.amounts.unpriced_values import completed, later_prices
from rating.invoicing.bounded_groups import bounded
from rating.invoicing.measure import query_for
from rating.invoicing.need import Need
from rating.invoicing.unpriced_usage import UnpricedQuantity, with_examples
from rating.pricing import MatrixQuantity, PriceError
from rating.pricing.price_models import cell_amounts
from rating.pricing.priced_line import ZERO
from rating.subscriptions.timeline import Segment, Timeline
from rating.usage import measured, stream_groups
from schemas.catalog.models import Charge
from schemas.catalog.profiles import ProfileVersion
from schemas.catalog.state import NamespaceView
from schemas.prices import MatrixPrice, price_in
from schemas.settings import LISTED_VALUES


@dataclass(frozen=True, slots=True)
class SubscribedCharge:
    """A charge of the plan that a subscription is on in a segment. ``billed_until_us``: up to where the subscription is
    billed, microseconds UTC; None: not at all yet."""

    line: Timeline
    segment: Segment
    charge: Charge
    billed_until_us: int | None


def without_price(
    client: Client,
    view: NamespaceView,
    subscribed: SubscribedCharge,
    versions: Sequence[ProfileVersion],
    span: tuple[int, int],
) -> list[UnpricedQuantity]:
    """Usage of the charge's profile that its price has no amount for, within ``span`` (microseconds UTC, half-open) and
    the time in which the segment holds. ``versions``: of the profile."""
    line, segment, charge = subscribed.line, subscribed.segment, subscribed.charge
    billed_until_us = subscribed.billed_until_us
    try:
        price = price_in(charge.price, segment.plan.currency)
    except PriceError:
        return []  # is told where it is billed
    if not isinstance(price, MatrixPrice) or price.default_unit_amount is not None:
        return []
    start, end = max(span[0], segment.start_us), min(span[1], segment.end_us)
    edge = min(max(billed_until_us if billed_until_us is not None else start, start), end)
    unpriced_usage: list[UnpricedQuantity] = []
    for start_us, end_us, billed in ((start, edge, True), (edge, end, False)):
        if start_us >= end_us:
            continue
        profile = measured(versions, start_us, end_us)
        need = Need(profile, start_us, end_us, price.dimensions)
        lacking = list(_lacking(client, view.namespace, need, line.account_id, price))
        if billed and lacking:  # the next invoice has it, or one has it already
            later = later_prices(line, charge.key, charge.product, start_us)
            priced = completed(price, lacking, later)[0]
            if isinstance(priced, MatrixPrice):
                named, default = cell_amounts(priced), priced.default_unit_amount
                lacking = [part for part in lacking if part.values not in named and default is None]
        unpriced = [
            UnpricedQuantity(
                line.account_id,
                line.subscription,
                charge.key,
                profile.profile_id,
                start_us,
                end_us,
                price.dimensions,
                part,
                segment.plan.code,
                segment.plan_version,
                billed=billed,
            )
            for part in lacking
        ]
        unpriced_usage += with_examples(client, view, unpriced, {profile.profile_id: profile}, None)
    return unpriced_usage


def _lacking(
    client: Client, namespace: str, need: Need, account_id: str, price: MatrixPrice
) -> Iterator[MatrixQuantity]:
    named = cell_amounts(price)
    rows = stream_groups(client, query_for(namespace, need, [account_id], None))
    for row in bounded(rows, named, LISTED_VALUES):
        values = tuple(value or "" for value in row.dimensions)
        if values not in named:
            quantity = row.usage.quantity or ZERO
            yield MatrixQuantity(values, quantity, row.usage.events, row.others, row.below_zero)
