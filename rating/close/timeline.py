"""A subscription over time: which version of which plan holds when, from the versions of its entry. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from pydantic import ValidationError

from rating.close.terms import with_overrides
from rating.periods import local_midnight, parse_zone
from schemas.catalog.models import Plan, Subscription
from schemas.catalog.profiles import BEGINNING, FOREVER
from schemas.catalog.state import Entry, NamespaceView
from schemas.instants import instant, micros


class PlanningError(Exception):
    """A subscription cannot be billed as the catalog stands; the message names it and the remedy."""


@dataclass(frozen=True, slots=True)
class Segment:
    """[start_us, end_us) on one version of a plan, to FOREVER where no end is known. ``begins``: the subscription starts
    here, for the first time or anew after it was retired."""

    start_us: int
    end_us: int
    plan: Plan
    plan_version: int
    begins: bool = False

    def charges_like(self, other: Segment) -> bool:
        """The same plan version with the same prices; its discounts may be others."""
        same_plan = (self.plan.code, self.plan_version) == (other.plan.code, other.plan_version)
        return same_plan and self.plan.charges == other.plan.charges


@dataclass(frozen=True, slots=True)
class Timeline:
    """``segments`` ascend and never overlap; between them lies time without a subscription. ``trials``: [start, end)."""

    namespace: str
    subscription: str
    account_id: str
    time_zone: str
    billing_anchor: date | None
    segments: tuple[Segment, ...]
    trials: tuple[tuple[int, int], ...] = ()

    @property
    def start_us(self) -> int:
        return self.segments[0].start_us

    @property
    def end_us(self) -> int:
        """FOREVER where no end is known."""
        return self.segments[-1].end_us


def timelines(view: NamespaceView, problems: list[str]) -> tuple[Timeline, ...]:
    """Of every subscription that there is or was, for any time at all; a sentence for each that cannot be planned."""
    found, said = _all(view)
    problems += said
    return found


@lru_cache(maxsize=1)  # a close plans several times by one view, which never changes
def _all(view: NamespaceView) -> tuple[tuple[Timeline, ...], tuple[str, ...]]:
    problems: list[str] = []
    return tuple(_each(view, problems)), tuple(problems)


def _each(view: NamespaceView, problems: list[str]) -> Iterator[Timeline]:
    for versions in view.histories("subscription"):
        try:
            found = timeline_of(view, versions)
        except PlanningError as error:
            problems.append(str(error))
        except (
            ValueError
        ) as error:  # a body or an instant that nobody would take today: it holds back its own subscription alone
            problems.append(f"subscription {versions[-1].code}: {error}")
        else:
            if found is not None:
                yield found


def timeline(view: NamespaceView, code: str) -> Timeline | None:
    """Of one subscription; None where it never was in force. Raises PlanningError."""
    return timeline_of(view, view.history("subscription", code))


def timeline_of(view: NamespaceView, versions: Sequence[Entry]) -> Timeline | None:
    """From all versions of one entry, oldest first.

    A version with another plan, plan version or price overrides holds from its ``change_at``, else from its publication; from
    there on no version before it does. One with the same ones moves that instant where it names one, but does not put off
    what holds already. The newest version alone tells start, end and anchor, and what else is agreed beside the prices.
    Retiring ends a subscription; published again, it starts anew. Raises PlanningError.
    """
    segments: list[Segment] = []
    trials: list[tuple[int, int]] = []
    for life, retired_us in _lives(versions):
        zone = view.time_zone(life[-1].model.account)
        found = _segments(view, life, retired_us, zone)
        if not found:
            continue
        begins = found[0].start_us
        segments = [*_until(segments, begins), *found]
        trials = [(start, min(end, begins)) for start, end in trials if start < begins]
        if (trial_end := _trial_end(life[-1].model, found[0], zone)) > begins:
            trials.append((begins, trial_end))
    if not segments:
        return None
    newest: Subscription = versions[-1].model
    for one, other in pairwise(segments):
        if one.plan.currency != other.plan.currency:
            raise PlanningError(
                f"subscription {newest.code}: plan {one.plan.code} is in {one.plan.currency}, plan {other.plan.code} in"
                f" {other.plan.currency}; end it, and start another subscription on the new plan"
            )
    return Timeline(
        view.namespace, newest.code, newest.account, view.time_zone(newest.account), newest.billing_anchor,
        tuple(segments), tuple(trials),
    )  # fmt: skip


def _lives(versions: Sequence[Entry]) -> Iterator[tuple[list[Entry], int]]:
    """Versions from one publication up to the retirement that follows (its instant), FOREVER for none."""
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
        new = Segment(at_us if changes else BEGINNING, FOREVER, plan.model, plan.version)
        if not changes or not new.charges_like(changes[-1]):
            changes.append(new)
        elif (
            len(changes) > 1 and model.change_at is not None and _moves(changes[-1].start_us, at_us, entry.published_us)
        ):
            changes[-1] = new
        else:
            changes[-1] = replace(changes[-1], plan=new.plan)
    found: list[Segment] = []
    for change in changes:
        found = [*_until(found, change.start_us), change]
    last: Subscription = life[-1].model
    start = boundary_us(last.start, zone)
    end = min(retired_us, FOREVER if last.end is None else boundary_us(last.end, zone))
    clipped: list[Segment] = []
    for one in found:
        begins, ends = max(one.start_us, start), min(one.end_us, end)
        if begins < ends:
            clipped.append(Segment(begins, ends, one.plan, one.plan_version, not clipped))
    return clipped


def _moves(standing_us: int, wanted_us: int, published_us: int) -> bool:
    """Whether a change is moved: to an earlier instant, or while it lies ahead. One that holds already is never put off."""
    return wanted_us < standing_us or standing_us > published_us


def _until(segments: Sequence[Segment], at_us: int) -> list[Segment]:
    return [replace(one, end_us=min(one.end_us, at_us)) for one in segments if one.start_us < at_us]


def _trial_end(subscription: Subscription, first: Segment, zone: str) -> int:
    """Where the trial ends; at or before the start for none. Days are local: the same time of day, so many dates later."""
    if subscription.trial_end is not None:
        return boundary_us(subscription.trial_end, zone)
    if not first.plan.trial_days:
        return first.start_us
    local = instant(first.start_us).astimezone(parse_zone(zone))
    day = local.date() + timedelta(days=first.plan.trial_days)
    if local == local_midnight(local.date(), parse_zone(zone)):
        return boundary_us(day, zone)
    return micros(datetime.combine(day, local.timetz()))


def pinned_plan(view: NamespaceView, entry: Entry) -> Entry:
    """The plan version that a version of a subscription is on: the one it names, else the one current when it was
    published; with what the subscription has in place of it. Raises PlanningError.
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


@lru_cache(maxsize=4096)
def boundary_us(value: datetime | date, zone: str) -> int:
    """A subscription's instant; a date is local midnight in ``zone``."""
    return micros(value if isinstance(value, datetime) else local_midnight(value, parse_zone(zone)))
