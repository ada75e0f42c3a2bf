"""The timeline of a subscription: which plan version is in force when, from the versions of its entry. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct
from pydantic import ValidationError

from rating.periods import local_midnight, parse_zone
from rating.subscriptions.period_terms import with_overrides
from schemas.catalog.entitlements.features import FeatureGrant
from schemas.catalog.models import Plan, Subscription
from schemas.catalog.profiles import BEGINNING, FOREVER
from schemas.catalog.state import Entry, NamespaceView
from schemas.errors import WeirError
from schemas.values.instants import instant, micros
from schemas.values.record_copy import replace


class PlanningError(WeirError):
    """A subscription cannot be billed with the present catalog; the message names it and the remedy."""


class Segment(Struct, frozen=True):
    """[start_us, end_us) in which one version of a subscription is in force (end FOREVER if unknown): a plan
    version with the subscription's prices, discounts and commitment. ``anchor``: of periods that begin in it;
    ``trial_end``: as that version gives it; ``begins``: the subscription starts here, first or again after it was
    retired; ``features``: those that the subscription grants itself."""

    start_us: int
    end_us: int
    plan: Plan
    plan_version: int
    begins: bool = False
    anchor: date | None = None
    trial_end: datetime | date | None = None
    features: tuple[FeatureGrant, ...] = ()

    def same_charges(self, segment: Segment) -> bool:
        """Whether plan version and prices are equal; discounts and commitment may differ. Usage is not split
        between such segments."""
        same_plan = (self.plan.code, self.plan_version) == (segment.plan.code, segment.plan_version)
        return same_plan and self.plan.charges == segment.plan.charges

    def same_terms(self, segment: Segment) -> bool:
        """Whether everything is equal except the time."""
        terms = (self.plan, self.anchor, self.trial_end, self.features)
        same_terms = terms == (segment.plan, segment.anchor, segment.trial_end, segment.features)
        return self.plan_version == segment.plan_version and same_terms


class Timeline(Struct, frozen=True):
    """The segments, in order and without overlap; gaps are time without a subscription. ``trials``: [start, end)."""

    namespace: str
    subscription: str
    account_id: str
    time_zone: str
    segments: tuple[Segment, ...]
    trials: tuple[tuple[int, int], ...] = ()

    @property
    def start_us(self) -> int:
        return self.segments[0].start_us

    @property
    def end_us(self) -> int:
        """FOREVER if no end is known."""
        return self.segments[-1].end_us


def timeline(view: NamespaceView, code: str) -> Timeline | None:
    """The timeline of one subscription; None if it was never in force. Raises PlanningError."""
    return timeline_of(view, view.history("subscription", code))


def timeline_of(view: NamespaceView, versions: Sequence[Entry]) -> Timeline | None:
    """The timeline from all versions of one entry, oldest first. Raises PlanningError.

    A version applies from its ``change_at``, else from its publication, and replaces all earlier ones from then on:
    plan, prices, discounts, commitment, billing anchor and trial. A version equal to the previous one shares its
    instant, and moves it if it names another, but never postpones a change already in force. A version that only
    changes terms joins a pending change of plan or prices. Start and end are always those of the newest version,
    since they are instants themselves.
    """
    segments: list[Segment] = []
    trials: list[tuple[int, int]] = []
    for life, retired_us in _lives(versions):
        zone = view.time_zone(life[-1].model.account)
        segments_of_life = _segments(view, life, retired_us, zone)
        if not segments_of_life:
            continue
        begins = segments_of_life[0].start_us
        segments = [*_until(segments, begins), *segments_of_life]
        trials = [(start, min(end, begins)) for start, end in trials if start < begins]
        trials += _trials(segments_of_life, zone)
    if not segments:
        return None
    newest: Subscription = versions[-1].model
    for left, right in pairwise(segments):
        if left.plan.currency != right.plan.currency:
            raise PlanningError(
                f"subscription {newest.code}: plan {left.plan.code} is in {left.plan.currency}, plan "
                f"{right.plan.code} in"
                f" {right.plan.currency}; end it, and start another subscription on the new plan"
            )
    return Timeline(
        view.namespace,
        newest.code,
        newest.account,
        view.time_zone(newest.account),
        tuple(segments),
        tuple(trials),
    )


def _lives(versions: Sequence[Entry]) -> Iterator[tuple[list[Entry], int]]:
    """Groups of versions from a publication up to the following retirement, with its instant (FOREVER for none)."""
    life: list[Entry] = []
    for entry in versions:
        if not entry.retired:
            life.append(entry)
        elif life:
            yield life, entry.published_us
            life = []
    if life:
        yield life, FOREVER


def _segments(view: NamespaceView, life: Sequence[Entry], retired_us: int, zone: str) -> list[Segment]:
    changes: list[Segment] = []
    for entry in life:
        model: Subscription = entry.model
        plan = pinned_plan(view, entry)
        at_us = entry.published_us if model.change_at is None else boundary_us(model.change_at, zone)
        new = Segment(
            at_us if changes else BEGINNING,
            FOREVER,
            plan.model,
            plan.version,
            anchor=model.billing_anchor,
            trial_end=model.trial_end,
            features=model.features,
        )
        latest_change = changes[-1] if changes else None
        if latest_change is None or not new.same_charges(latest_change):
            changes.append(new)
        elif (
            len(changes) > 1
            and latest_change.start_us > entry.published_us
            and not latest_change.same_charges(changes[-2])
        ):
            changes[-1] = new if model.change_at is not None else replace(new, start_us=latest_change.start_us)
        elif not new.same_terms(latest_change):
            changes.append(new)
        elif (
            len(changes) > 1
            and model.change_at is not None
            and _moves(latest_change.start_us, at_us, entry.published_us)
        ):
            changes[-1] = new
    segments: list[Segment] = []
    for change in changes:
        segments = [*_until(segments, change.start_us), change]
    newest: Subscription = life[-1].model
    start = boundary_us(newest.start, zone)
    end = min(retired_us, FOREVER if newest.end is None else boundary_us(newest.end, zone))
    clipped: list[Segment] = []
    for segment in segments:
        begins, ends = max(segment.start_us, start), min(segment.end_us, end)
        if begins < ends:
            clipped.append(replace(segment, start_us=begins, end_us=ends, begins=not clipped))
    return clipped


def _moves(standing_us: int, wanted_us: int, published_us: int) -> bool:
    """Whether a change is moved: to an earlier instant, or while it is pending; one already in force is never
    postponed."""
    return wanted_us < standing_us or standing_us > published_us


def _until(segments: Sequence[Segment], at_us: int) -> list[Segment]:
    return [replace(segment, end_us=min(segment.end_us, at_us)) for segment in segments if segment.start_us < at_us]


def _trials(life: Sequence[Segment], zone: str) -> list[tuple[int, int]]:
    """The trial times [start, end) of the segments from one start on, with neighbours joined."""
    joined: list[tuple[int, int]] = []
    for version in life:
        end = min(_trial_end(version, life[0], zone), version.end_us)
        if end <= version.start_us:
            continue
        if joined and joined[-1][1] == version.start_us:
            joined[-1] = joined[-1][0], end
        else:
            joined.append((version.start_us, end))
    return joined


def _trial_end(segment: Segment, first_segment: Segment, zone: str) -> int:
    """The end of the trial according to ``segment``, at or before the start for none. Trial days are local: the
    same time of day, so many dates later."""
    if segment.trial_end is not None:
        return boundary_us(segment.trial_end, zone)
    if not first_segment.plan.trial_days:
        return first_segment.start_us
    local = instant(first_segment.start_us).astimezone(parse_zone(zone))
    day = local.date() + timedelta(days=first_segment.plan.trial_days)
    if local == local_midnight(local.date(), parse_zone(zone)):
        return boundary_us(day, zone)
    return micros(datetime.combine(day, local.timetz()))


def pinned_plan(view: NamespaceView, entry: Entry) -> Entry:
    """The plan version of a subscription's version (the one it names, else the one in force at its publication),
    with the subscription's overrides. Raises PlanningError."""
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
    plan_with_overrides = with_overrides(found, subscription)
    try:
        _ = plan_with_overrides.model
    except ValidationError as error:
        raise PlanningError(
            f"subscription {subscription.code}: its overrides do not fit plan {found.code} version {found.version}: "
            f"{error.errors()[0]['msg']}"
        ) from None
    return plan_with_overrides


@lru_cache(maxsize=4096)
def boundary_us(value: datetime | date, zone: str) -> int:
    """Microseconds UTC; a date means local midnight in ``zone``."""
    return micros(value if isinstance(value, datetime) else local_midnight(value, parse_zone(zone)))
