"""Whether a day's usage is odd by the eight weeks before it, with the numbers that say why. Pure and exact: every
process judges the same.

By weekday, since usage has the shape of a week. The middle is the median of the same weekday's totals, the spread a
robust one: their median absolute deviation over 0.6745, which is a standard deviation where they are normal (B.
Iglewicz, D. Hoaglin, How to Detect and Handle Outliers, 1993, "modified z-score"). Eight values say little of a
spread, so it is never less than

    - what nine of ten days of all weekdays lie within, over 1.645 (the normal one's 90 % within): for usage in bursts,
    - a tenth of the middle, and a fiftieth of a day with events,
    - half of what chance makes of n events: middle / √n; and half of an event: for accounts with few of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Final, Literal

from rating.pricing.exact import exact_sum

AnomalyKind = Literal["spike", "drop", "silence"]
KINDS: Final[tuple[AnomalyKind, ...]] = ("spike", "drop", "silence")
WEEKS: Final = 8
HISTORY_DAYS: Final = 7 * WEEKS
"""Days before a day by which it is judged."""
READ_DAYS: Final = HISTORY_DAYS + 7
"""Days before it that are looked at: of a silent day, also those by which the week before was judged."""
_FEWEST_WEEKS: Final = 4
_FEWEST_DAYS: Final = 5
_SPREADS: Final = 5
_BUSY: Final = 10
_ROUNDED: Final = Context(prec=12)


@dataclass(frozen=True, slots=True)
class DayUsage:
    """Total and number of events of one local day."""

    quantity: Decimal
    events: int


NO_EVENTS: Final = DayUsage(Decimal(0), 0)


@dataclass(frozen=True, slots=True)
class DayVerdict:
    """``kind``: None: as usual. From ``high`` on a day is a spike, up to ``low`` a drop. ``score``: how many spreads
    the quantity lies from ``expected``."""

    kind: AnomalyKind | None
    expected: Decimal
    low: Decimal
    high: Decimal
    score: Decimal


def judge(history: Sequence[DayUsage], day: DayUsage, ended: bool = True) -> DayVerdict | None:
    """``history``: the days before it in order of time, up to READ_DAYS of them; those before the first with events do
    not count. None: they are too few to judge by (four of its weekday, five with events).

    spike: at least 5 spreads above the middle, half as much again as that, and a quarter more than any day of its
    weekday. drop, of a day that has ended: the like below it, down to half. silence, of such a day: no event, where the
    weekday always has some, and every day does or the weekday's have ten; only the first day of a silence.
    """
    verdict = _judged(history, day, ended)
    if verdict is not None and verdict.kind == "silence":
        for back in range(1, min(7, len(history)) + 1):
            if history[-back].events:
                break
            before = _judged(history[:-back], history[-back], ended=True)
            if before is not None and before.kind == "silence":
                return DayVerdict(None, verdict.expected, verdict.low, verdict.high, verdict.score)
    return verdict


def _judged(history: Sequence[DayUsage], day: DayUsage, ended: bool) -> DayVerdict | None:
    days = list(history[-HISTORY_DAYS:])
    first = next((number for number, earlier in enumerate(days) if earlier.events), len(days))
    days = days[first:]
    weekdays = [days[-lag::-7] for lag in range(1, 8) if lag <= len(days)]
    same = weekdays[-1] if len(weekdays) == 7 else []
    active = [earlier for earlier in days if earlier.events]
    if len(same) < _FEWEST_WEEKS or len(active) < _FEWEST_DAYS:
        return None
    middles = [_median([earlier.quantity for earlier in weekday]) for weekday in weekdays]
    expected = middles[-1]
    spread = _spread(weekdays, middles, active)
    if not spread:
        return None
    quantities = [earlier.quantity for earlier in same]
    high = max(expected + _SPREADS * spread, expected * Decimal("1.5"), max(quantities) * Decimal("1.25"))
    low = min(expected - _SPREADS * spread, expected / 2, min(quantities) * Decimal("0.8"))
    score = _ROUNDED.divide(day.quantity - expected, spread).quantize(Decimal("0.1"))
    kind: AnomalyKind | None = None
    if day.quantity >= high:
        kind = "spike"
    elif ended and not day.events:
        always = all(earlier.events for earlier in same)
        busy = _median([Decimal(earlier.events) for earlier in same]) >= _BUSY
        kind = "silence" if always and (busy or len(active) == len(days)) else None
    elif ended and day.quantity <= low:
        kind = "drop"
    return DayVerdict(kind, expected, low, high, score)


def _spread(weekdays: Sequence[Sequence[DayUsage]], middles: Sequence[Decimal], active: Sequence[DayUsage]) -> Decimal:
    """See the module; ``middles``: by weekday, of which the last is judged."""
    expected, same = middles[-1], weekdays[-1]
    deviations = [
        sorted(abs(earlier.quantity - middle) for earlier in weekday)
        for weekday, middle in zip(weekdays, middles, strict=True)
    ]
    pooled = sorted(deviation for of_weekday in deviations for deviation in of_weekday)
    events = max(_median([Decimal(earlier.events) for earlier in same]), Decimal(1))
    in_all = exact_sum(earlier.quantity.copy_abs() for earlier in active)
    of_event = _ROUNDED.divide(in_all, Decimal(sum(earlier.events for earlier in active)))
    by_chance = _ROUNDED.divide(abs(expected), _ROUNDED.sqrt(events))
    return max(
        _ROUNDED.divide(_median(deviations[-1]), Decimal("0.6745")),
        _ROUNDED.divide(pooled[len(pooled) * 9 // 10], Decimal("1.645")),
        abs(expected) / 10,
        _median([abs(earlier.quantity) for earlier in active]) / 50,
        max(by_chance, of_event) / 2,
    )


def _median(values: Sequence[Decimal]) -> Decimal:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
