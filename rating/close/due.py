"""Which (subscription, period) are due: pure, from the catalog, the invoices that stand, and an instant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime

from pydantic import ValidationError

from rating.close.standing import Standing
from rating.close.terms import with_overrides
from rating.periods import first_period, local_midnight, next_period, parse_zone
from schemas.catalog.models import Plan, Subscription
from schemas.catalog.state import Entry, NamespaceView
from schemas.instants import SECOND, instant, micros, rfc3339
from schemas.invoices import invoice_id


@dataclass(frozen=True, slots=True)
class Due:
    """One invoice to write: the period [start_us, end_us) of a subscription, after ``predecessor`` ("" for none)."""

    namespace: str
    subscription: str
    account_id: str
    plan: Plan
    plan_version: int
    time_zone: str
    start_us: int
    end_us: int
    predecessor: str
    sequence: int = 0  # 1, 2, … for further invoices of the same period, which hold adjustments alone

    @property
    def ready_us(self) -> int:
        """The instant from which the period may be billed: its end and the plan's grace."""
        return self.end_us + self.plan.grace_seconds * SECOND

    @property
    def invoice_id(self) -> str:
        """The same for every process that plans this period."""
        return invoice_id(self.namespace, self.subscription, self.start_us, self.sequence)


class PlanningError(Exception):
    """A subscription cannot be billed as the catalog stands; the message names it and the remedy."""


def due_invoices(view: NamespaceView, standing: Standing, as_of_us: int) -> tuple[list[Due], list[str]]:
    """All due periods, a subscription's in order, and a sentence for each subscription that cannot be planned.

    The first period starts at the subscription's start, each further one where its predecessor's stored invoice ended.
    """
    found: list[Due] = []
    problems: list[str] = []
    for entry in billable(view):
        try:
            found.extend(_due_of(view, entry, standing, as_of_us))
        except PlanningError as error:
            problems.append(str(error))
    return found, problems


def billable(view: NamespaceView) -> Iterator[Entry]:
    """Every subscription that there is or was. A retired one ended when it was retired, if not before: what was used until
    then is billed."""
    for versions in view.histories("subscription"):
        last = versions[-1]
        if not last.retired:
            yield last
            continue
        subscription: Subscription = last.model
        zone = view.time_zone(subscription.account)
        ends_us = last.published_us
        if subscription.end is not None:
            ends_us = min(ends_us, boundary_us(subscription.end, zone))
        if boundary_us(subscription.start, zone) < ends_us:
            yield replace(last, body={**last.body, "end": rfc3339(ends_us)})


def _due_of(view: NamespaceView, entry: Entry, standing: Standing, as_of_us: int) -> Iterator[Due]:
    subscription: Subscription = entry.model
    zone = view.time_zone(subscription.account)
    plan_entry = pinned_plan(view, entry)
    plan: Plan = plan_entry.model
    head = standing.head(view.namespace, subscription.code)
    predecessor = head["invoice_id"] if head else ""
    for start, end in _periods(subscription, plan, zone, head["period_end"] if head else None):
        due = Due(
            view.namespace, subscription.code, subscription.account, plan, plan_entry.version, zone, start, end, predecessor
        )  # fmt: skip
        if due.ready_us > as_of_us:
            return
        yield due
        predecessor = due.invoice_id


def last_word(view: NamespaceView, entry: Entry, standing: Standing) -> Due | None:
    """A further invoice for the last period of a subscription that has ended and is billed to its end, for late usage
    that no next invoice can take; None where a next period will come, or nothing was billed yet. Raises PlanningError."""
    subscription: Subscription = entry.model
    head = standing.head(view.namespace, subscription.code)
    plan_entry = pinned_plan(view, entry)
    plan: Plan = plan_entry.model
    zone = view.time_zone(subscription.account)
    if head is None or next(_periods(subscription, plan, zone, head["period_end"]), None) is not None:
        return None
    return Due(
        view.namespace, subscription.code, subscription.account, plan, plan_entry.version, head["time_zone"],
        head["period_start"], head["period_end"], head["invoice_id"], head["sequence"] + 1,
    )  # fmt: skip


def current_period(
    view: NamespaceView, entry: Entry, billed_until_us: int | None, now_us: int
) -> tuple[int, int] | None:
    """The period of a subscription that ``now_us`` lies in; None before its start and after its end.

    ``billed_until_us``: end of its last invoice's period, None for no invoice; an instant before it is looked for from
    the subscription's start on. Raises PlanningError.
    """
    subscription: Subscription = entry.model
    zone = view.time_zone(subscription.account)
    plan: Plan = pinned_plan(view, entry).model
    after = billed_until_us if billed_until_us is not None and billed_until_us <= now_us else None
    for start, end in _periods(subscription, plan, zone, after):
        if now_us < end:
            return (start, end) if start <= now_us else None
    return None


def _periods(subscription: Subscription, plan: Plan, zone: str, after_us: int | None) -> Iterator[tuple[int, int]]:
    """The subscription's periods that follow one which ended at ``after_us`` (None: all of them), as instants."""
    known = parse_zone(zone)
    last = None if subscription.end is None else boundary_us(subscription.end, zone)
    start = boundary_us(subscription.start, zone) if after_us is None else after_us
    follow = first_period if after_us is None else next_period
    while last is None or start < last:
        end = micros(follow(instant(start), plan.interval, known, subscription.billing_anchor).end)
        yield start, end if last is None else min(end, last)
        start, follow = end, next_period


def pinned_plan(view: NamespaceView, entry: Entry) -> Entry:
    """The plan version that a subscription is on: the one it names, else the one current when it was published; with what the
    subscription has in place of it.

    Raises PlanningError.
    """
    subscription: Subscription = entry.model
    if subscription.plan_version is not None:
        found = view.version("plan", subscription.plan, subscription.plan_version)
    else:
        history = [version for version in view.history("plan", subscription.plan) if version.offset < entry.offset]
        found = history[-1] if history else None
    if found is None:
        which = subscription.plan_version or "(any)"
        raise PlanningError(
            f"subscription {subscription.code}: plan {subscription.plan} version {which} does not exist;"
            " publish the plan, then the subscription"
        )
    mine = with_overrides(found, subscription)
    try:
        _ = mine.model
    except ValidationError as error:
        raise PlanningError(
            f"subscription {subscription.code}: its overrides do not fit plan {found.code} version {found.version}: {error.errors()[0]['msg']}"
        ) from None
    return mine


def boundary_us(value: datetime | date, zone: str) -> int:
    """A subscription's start or end as an instant; a date is local midnight in ``zone``."""
    return micros(value if isinstance(value, datetime) else local_midnight(value, parse_zone(zone)))
