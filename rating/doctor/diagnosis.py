"""The diagnosis of one account's usage of one metric: how many events arrived, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from rating.periods import Interval


@dataclass(frozen=True, slots=True)
class ExampleEvent:
    """A counted event. ``value``: what stands at the property in question, as JSON text; empty where none is."""

    idempotency_key: str
    timestamp: str
    value: str


@dataclass(frozen=True, slots=True)
class Group:
    """Events with one fate. ``why``: the filter, the reason, the span."""

    why: str
    events: int
    examples: tuple[ExampleEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class RefusedEvents:
    """Events of the account that were refused, at any time: by ``gateway``, ``admit`` or ``meter`` (conflicts)."""

    stage: str
    reason: str
    events: int
    detail: str


@dataclass(frozen=True, slots=True)
class Outside:
    """Counted events of the metric's names beyond the interval, and the nearest to it (RFC 3339, empty for none)."""

    before: int
    nearest_before: str
    after: int
    nearest_after: str


@dataclass(frozen=True, slots=True)
class BillingStatus:
    """Whether the usage is billed: ``subscriptions`` are those that overlap the interval; ``charges`` of theirs bill
    the profile."""

    account_known: bool
    subscriptions: tuple[str, ...]
    charges: tuple[str, ...]
    unpriced: tuple[str, ...] = ()
    """A sentence for each combination of dimension values that a charge has no amount for: it is metered, and not
    billed."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that is known. ``received`` events of the metric's names in the interval counted once; of these ``matched``
    have records and are not voided, the others stand in ``voided`` (taken back, by reason and author), ``filtered``,
    ``unmeterable``, ``not_valid``, ``too_early`` (they arrived before the metric was published) or were not looked at
    (``unexamined``). ``waiting``: packed batches that are in the log, not yet metered."""

    namespace: str
    account_id: str
    profile_id: str
    event_names: tuple[str, ...]
    interval: Interval
    aggregation: str
    quantity: Decimal | None
    received: int
    matched: int
    filtered: tuple[Group, ...]
    unmeterable: tuple[Group, ...]
    not_valid: tuple[Group, ...]
    too_early: tuple[Group, ...]
    unexamined: int
    duplicates: int
    rejections: tuple[RefusedEvents, ...]
    outside: Outside
    other_names: tuple[tuple[str, int], ...]
    similar_names: tuple[str, ...]
    similar_accounts: tuple[str, ...]
    billing: BillingStatus
    waiting: int
    voided: tuple[Group, ...] = ()
    rounded: tuple[Group, ...] = ()
    """Of the matched events those whose value had more than 12 decimals; the newest of the interval that were looked
    at."""
    backfilling: str = ""
    """A sentence, where a version of the metric is still to count events that came before it."""
