"""What has to be measured for the limits of a grant at an instant. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from rating.entitlements.granted import Grant
from rating.entitlements.limit_intervals import LimitInterval, interval_of
from rating.entitlements.merging import merges
from rating.invoicing.charges import ChargeBook, ResolvedCharge
from rating.invoicing.need import Need
from rating.usage import Measured, measured
from schemas.catalog.entitlements.features import FeatureLimit
from schemas.catalog.profiles import ProfileVersion


@dataclass(frozen=True, slots=True)
class RollingNeed:
    """The usage of a profile in steps of ``step_us`` (since 1970), of which a window has ``window_us`` and the step
    that runs; microseconds."""

    profile: Measured
    window_us: int
    step_us: int


Asked: TypeAlias = Need | RollingNeed
"""What is measured for one account: over an interval, or in steps of a rolling window."""


@dataclass(frozen=True, slots=True)
class LimitQuestion:
    """A limit (None: nothing limits the use) with its interval at the instant, and what it takes to know its use: in
    quantity one measurement, in money those of the ``items`` that charge for it."""

    limit: FeatureLimit | None
    interval: LimitInterval
    profile: Measured
    asked: tuple[Asked, ...]
    items: tuple[ResolvedCharge, ...] = ()


KnownQuestions: TypeAlias = dict[tuple[int, int, int], LimitQuestion]
"""Questions of limits in quantity by the limit's identity (the question holds it) and the interval's ends: accounts of
one plan have the same, so that what is held of many accounts has one key."""
_MOST_KNOWN: Final = 5_000


def questions_of(
    book: ChargeBook,
    versions: Sequence[ProfileVersion],
    grant: Grant,
    time_zone: str,
    now_us: int,
    known: KnownQuestions | None = None,
) -> tuple[LimitQuestion, ...]:
    """One for each limit of a metered grant, or one without a limit; ``versions``: of its profile; ``known``: of the
    same versions, and is added to. Raises PlanningError where a limit in money needs charges that cannot be
    resolved."""
    if not grant.limits:
        unlimited = FeatureLimit.model_construct(reset=grant.feature.reset or "billing_period")
        interval = interval_of(unlimited, grant.span, time_zone, now_us)
        return (_in_quantity(versions, None, interval),)
    known = {} if known is None else known
    return tuple(_question(book, versions, grant, limit, time_zone, now_us, known) for limit in grant.limits)


def _question(
    book: ChargeBook,
    versions: Sequence[ProfileVersion],
    grant: Grant,
    limit: FeatureLimit,
    time_zone: str,
    now_us: int,
    known: KnownQuestions,
) -> LimitQuestion:
    interval = interval_of(limit, grant.span, time_zone, now_us)
    if limit.amount is None:
        place = id(limit), interval.start_us, interval.end_us
        question = known.get(place)
        if question is None:
            if len(known) >= _MOST_KNOWN:
                known.clear()
            question = known[place] = _in_quantity(versions, limit, interval)
        return question
    profile_id = versions[-1].profile_id
    items = tuple(
        item for item in book.items(grant.span.parts) if item.need and item.need.profile.profile_id == profile_id
    )
    asked = tuple(dict.fromkeys(item.need for item in items if item.need is not None))
    return LimitQuestion(limit, interval, measured(versions, interval.start_us, interval.end_us), asked, items)


def _in_quantity(
    versions: Sequence[ProfileVersion], limit: FeatureLimit | None, interval: LimitInterval
) -> LimitQuestion:
    profile = measured(versions, interval.start_us, interval.end_us)
    if interval.step_us and merges(profile):
        window_us = interval.end_us - interval.start_us - interval.step_us
        return LimitQuestion(limit, interval, profile, (RollingNeed(profile, window_us, interval.step_us),))
    return LimitQuestion(limit, interval, profile, (Need(profile, interval.start_us, interval.end_us),))
