"""From an account's floor, its balance and the top-ups so far to the next record of usage.topups. Pure.

One request at a time: it closes the whole gap up to the target, and the next one is made only once it is answered and
the balance has what was paid. No more is requested in 24 hours than the limit, and none soon after a refusal. A request
of which nothing is needed any more is withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final, Protocol

from rating.pricing.exact import exact_sum, exactly, round_money
from rating.topups.topup_grants import ungranted
from schemas.catalog.prepaid.top_ups import TopUp
from schemas.catalog.prepaid.topup_record import TopupRecord, Topups, ValidTopups
from schemas.catalog.prepaid.units import ExchangeRate
from schemas.catalog.state import NamespaceView
from schemas.ledgers.generations import Offsets
from schemas.prices.decimals import plain


class MeasuredAt(Protocol):
    """When balances were measured: an instant (microseconds UTC), the last checkpoint (0: none), and the positions
    below which the catalog was known and all events were counted."""

    @property
    def instant_us(self) -> int: ...
    @property
    def checkpoint(self) -> int: ...
    @property
    def catalog_offset(self) -> int: ...
    @property
    def offsets(self) -> Offsets: ...


HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
MOST_A_DAY: Final = 100
"""Requests of an account and currency in 24 hours, however little each is over."""


def back_off_us(refusals: int) -> int:
    """How long nothing is requested after so many refusals in a row: an hour, twice as long each time, at most a
    day."""
    return min(HOUR_US << min(refusals - 1, 5), DAY_US) if refusals > 0 else 0


def next_topups(
    view: NamespaceView, balances: Iterable[tuple[str, TopUp, Decimal]], valid: ValidTopups, as_of: MeasuredAt
) -> Iterator[TopupRecord]:
    """Those of (account, floor, balance). ``valid``: as it was before ``view`` and the balances were read. An account
    is passed over while the view lacks the grant of a payment, which is on its way."""
    for account_id, floor, balance in balances:
        topups = valid.of(view.namespace, account_id, floor.currency)
        if any(ungranted(view, topup.record) for topup in topups.by_number.values()):
            continue
        if (record := next_topup(view.namespace, account_id, floor, balance, topups, as_of)) is not None:
            yield record


def next_topup(
    namespace: str, account_id: str, floor: TopUp, balance: Decimal, topups: Topups, as_of: MeasuredAt
) -> TopupRecord | None:
    """The record that follows, None: none does. ``balance``: what ``shortfall`` says; ``topups``: as they were read
    before it was."""
    waits = topups.open
    if waits is not None:
        needless = balance >= floor.target
        return waits.record.followed_by(topups.version + 1, "withdrawn") if needless else None
    if balance > floor.floor or as_of.instant_us < topups.refused_us + back_off_us(topups.refusals):
        return None
    amount = min(exact_sum((floor.target, -balance)), floor.daily_limit)
    of_day = list(topups.since(as_of.instant_us - DAY_US))
    due = exact_sum(Decimal(topup.record.amount) for topup in of_day if topup.state in ("requested", "paid"))
    if exact_sum((due, amount)) > floor.daily_limit or len(of_day) >= MOST_A_DAY:
        return None
    return TopupRecord(
        namespace=namespace,
        account_id=account_id,
        currency=floor.currency,
        version=topups.version + 1,
        number=topups.last_number + 1,
        state="requested",
        amount=plain(amount),
        cost=plain(amount if floor.cost is None else _cost(amount, floor.cost)),
        cost_currency=floor.currency if floor.cost is None else floor.cost.currency,
        floor=plain(floor.floor),
        target=plain(floor.target),
        balance=plain(balance),
        as_of=as_of.instant_us,
        checkpoint=as_of.checkpoint,
        catalog_offset=as_of.catalog_offset,
        offsets=as_of.offsets,
    )


def _cost(units: Decimal, cost: ExchangeRate) -> Decimal:
    """What the units are bought for, rounded once to the money's digits."""
    with exactly():
        return round_money(units * cost.rate, cost.currency)
