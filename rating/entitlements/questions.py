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
from rating.subscriptions.billing_periods import PeriodPart
from rating.subscriptions.timeline import PlanningError
from rating.usage import Measured, measured
from schemas.catalog.entitlements.features import FeatureLimit
from schemas.catalog.profiles import ProfileVersion
from schemas.values.instants import SECOND
from schemas.values.record_copy import replace


@dataclass(frozen=True, slots=True)
class RollingNeed:
    """The usage of a profile in steps of ``step_us`` (since 1970), of which a window has ``window_us`` and the step
    that runs; microseconds. ``resets``: a window is the running multiple of ``window_us`` instead, so that what is held
    of one goes on to the next."""

    profile: Measured
    window_us: int
    step_us: int
    resets: bool = False

    def window(self, now_us: int) -> tuple[int, int]:
        """[start, end) of the window at an instant."""
        if self.resets:
            start_us = now_us // self.window_us * self.window_us
            return start_us, start_us + self.window_us
        end_us = now_us // self.step_us * self.step_us + self.step_us
        return end_us - self.step_us - self.window_us, end_us


Asked: TypeAlias = Need | RollingNeed
"""What is measured for one account: over an interval, or in steps of a rolling window."""


@dataclass(frozen=True, slots=True)
class LimitQuestion:
    """A limit (None: nothing limits the use) with its interval at the instant, and what it takes to know its use: in
    quantity one measurement, in money one for each of the ``needs`` of the ``items`` that charge for it."""

    limit: FeatureLimit | None
    interval: LimitInterval
    profile: Measured
    asked: tuple[Asked, ...]
    items: tuple[ResolvedCharge, ...] = ()
    needs: tuple[Need, ...] = ()


KnownQuestions: TypeAlias = dict[tuple[int, int, int], LimitQuestion]
"""Questions of limits in quantity by the limit's identity (the question holds it) and the interval's ends: accounts of
one plan have the same, so that what is held of many accounts has one key."""
MOST_KNOWN: Final = 5_000
_STEPS: Final = {60 * SECOND: SECOND, 3600 * SECOND: 60 * SECOND}
"""The steps of a minute and of an hour that begins with one of UTC."""
SOON_US: Final = 120 * SECOND
"""Before a turn: as long as it takes to ask for some ten thousand accounts one after another."""


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


def turn_soon(questions: Sequence[LimitQuestion], now_us: int) -> int | None:
    """The first instant within SOON_US at which one of the limits restarts, but for those of a minute, which are held
    in steps or measured anew each time; None: none does."""
    turns = [
        question.interval.resets_us
        for question in questions
        if question.interval.resets_us is not None
        and question.interval.resets_us - now_us <= SOON_US
        and (question.limit is None or question.limit.reset != "minute")
    ]
    return min(turns, default=None)


def asked_soon(
    book: ChargeBook,
    versions: Sequence[ProfileVersion],
    grant: Grant,
    time_zone: str,
    turn_us: int,
    known: KnownQuestions,
) -> list[Asked]:
    """What the limits that restart at ``turn_us`` will ask for from then on, as a midnight is the turn of many accounts
    at once; what is held in steps goes on by itself. ``grant``: as of the turn, whose span may have begun with it; else
    as ``questions_of``, and nothing where that raises."""
    try:
        questions = questions_of(book, versions, grant, time_zone, turn_us, known)
    except PlanningError:  # the check says so, once it is its turn
        return []
    begun = (question for question in questions if question.interval.start_us == turn_us)
    return [asked for question in begun for asked in question.asked if isinstance(asked, Need)]


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
        return _of_quantity(versions, limit, interval, known)
    profile_id = versions[-1].profile_id
    parts = grant.span.parts if limit.reset == "billing_period" else (_window_part(grant, interval, now_us),)
    items = tuple(item for item in book.items(parts) if item.need and item.need.profile.profile_id == profile_id)
    needs = tuple(dict.fromkeys(item.need for item in items if item.need is not None))
    interval_needs = tuple(_asked(need, interval) for need in needs)
    profile = measured(versions, interval.start_us, interval.end_us)
    return LimitQuestion(limit, interval, profile, interval_needs, items, needs)


def _of_quantity(
    versions: Sequence[ProfileVersion], limit: FeatureLimit, interval: LimitInterval, known: KnownQuestions
) -> LimitQuestion:
    limit_key = id(limit), interval.start_us, interval.end_us
    question = known.get(limit_key)
    if question is None:
        if len(known) >= MOST_KNOWN:
            known.clear()
        question = known[limit_key] = _in_quantity(versions, limit, interval)
    return question


def _window_part(grant: Grant, interval: LimitInterval, now_us: int) -> PeriodPart:
    """The interval as if it were a whole billing period, by the plan that prices at ``now_us``."""
    running = next(part for part in reversed(grant.span.parts) if part.start_us <= now_us)
    whole_us = interval.end_us - interval.start_us
    return replace(running, start_us=interval.start_us, end_us=interval.end_us, whole_us=whole_us)


def _in_quantity(
    versions: Sequence[ProfileVersion], limit: FeatureLimit | None, interval: LimitInterval
) -> LimitQuestion:
    profile = measured(versions, interval.start_us, interval.end_us)
    interval_need = _asked(Need(profile, interval.start_us, interval.end_us), interval)
    return LimitQuestion(limit, interval, profile, (interval_need,))


def _asked(need: Need, interval: LimitInterval) -> Asked:
    """The measurement of a limit's interval: in steps where that goes on from one interval to the next without being
    measured again, which a minute would have to be at each turn."""
    if need.dimensions or not merges(need.profile):
        return need
    length_us = interval.end_us - interval.start_us
    if interval.step_us:
        return RollingNeed(need.profile, length_us - interval.step_us, interval.step_us)
    if length_us in _STEPS and interval.start_us % length_us == 0:
        return RollingNeed(need.profile, length_us, _STEPS[length_us], resets=True)
    return need
