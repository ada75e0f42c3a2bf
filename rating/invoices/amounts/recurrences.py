"""Grants that are given again and again: which recurrence an instant belongs to, and what is left of it. Pure.

What is drawn is kept by recurrence, under the code ``monthly@2026-02-01`` (grant, local date). A recurrence has its
amount and what rolled over: what was left of the one before, up to the cap. So a late draw on an earlier recurrence
takes of what rolled over, at most what later draws have left of it. A grant without recurrence has one, under its
own code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import Final

from rating.periods import BillingInterval, boundary_count, boundary_date, local_midnight, parse_zone
from rating.pricing.exact import exact_sum, exactly
from rating.pricing.priced_line import ZERO
from schemas.catalog.terms import CreditGrant, boundary
from schemas.values.instants import instant, micros

_UTC: Final = parse_zone("UTC")
Pauses = Sequence[tuple[int, int | None]]
"""[from, until) in which a grant was retired, microseconds UTC; None: it still is."""
AT: Final = "@"
"""Stands between a grant's code, which cannot have it, and the recurrence's date."""


def grant_of(code: str) -> str:
    """The grant's code, of the code that a draw has."""
    return code.partition(AT)[0]


def date_of(code: str) -> str:
    """The local date of the recurrence (ISO 8601), of the code that a draw has; "" of a grant that is given once."""
    return code.partition(AT)[2]


def recurrence_at(grant: CreditGrant, at_us: int, zone: str) -> int:
    """0, 1, … : the last recurrence that has begun by the instant; the first before it begins, the last after the
    grant's expiry."""
    anchor = _anchor(grant, zone)
    if grant.recurrence is None or anchor is None:
        return 0
    expires = boundary(grant.expires, zone)
    last_us = at_us if expires is None else min(at_us, expires - 1)
    return max(boundary_count(instant(last_us), grant.recurrence.every, parse_zone(zone), anchor), 0)


def recurrence_start(grant: CreditGrant, number: int, zone: str) -> int:
    """When a recurrence after the first begins, microseconds UTC."""
    assert grant.recurrence is not None
    day = boundary_date(grant.recurrence.every, _anchor(grant, zone), number)
    return micros(local_midnight(day, parse_zone(zone)))


def code_at(grant: CreditGrant, at_us: int, zone: str) -> str:
    """The code under which an invoice draws whose last moment that is."""
    if grant.recurrence is None:
        return grant.code
    number = recurrence_at(grant, at_us, zone)
    return f"{grant.code}{AT}{boundary_date(grant.recurrence.every, _anchor(grant, zone), number)}"


def skipped(grant: CreditGrant, pauses: Pauses, until_us: int, zone: str) -> frozenset[int]:
    """The recurrences by ``until_us`` that would have begun while the grant was retired, and never did."""
    if grant.recurrence is None:
        return frozenset()
    numbers: set[int] = set()
    for start_us, end_us in pauses:
        last_us = until_us if end_us is None else min(end_us - 1, until_us)
        numbers |= set(range(recurrence_at(grant, start_us, zone) + 1, recurrence_at(grant, last_us, zone) + 1))
    return frozenset(numbers)


def granted_by(grant: CreditGrant, at_us: int, zone: str, pauses: Pauses = ()) -> Decimal:
    """What has been granted in all by the instant."""
    with exactly():
        return grant.amount * (recurrence_at(grant, at_us, zone) + 1 - len(skipped(grant, pauses, at_us, zone)))


def left_at(grant: CreditGrant, used: Mapping[str, Decimal], at_us: int, zone: str, pauses: Pauses = ()) -> Decimal:
    """What can be drawn by an invoice whose last moment that is. ``used``: code → what was drawn. Whether the grant is
    in force is not looked at."""
    if grant.recurrence is None:
        return max(exact_sum((grant.amount, *(-amount for amount in used.values()))), ZERO)
    drawn: dict[int, Decimal] = {}
    every, anchor = grant.recurrence.every, _anchor(grant, zone)
    with exactly():
        for code, amount in used.items():
            number = _number(every, anchor, date_of(code))
            drawn[number] = drawn.get(number, ZERO) + amount
    number = recurrence_at(grant, at_us, zone)
    void: frozenset[int] = frozenset()
    if pauses:
        last = max(drawn, default=0)
        until_us = at_us if last <= number else recurrence_start(grant, last, zone)
        void = skipped(grant, pauses, until_us, zone)
    return _left(grant.amount, grant.recurrence.rollover, drawn, number, void)


def _left(amount: Decimal, cap: Decimal, drawn: Mapping[int, Decimal], number: int, void: frozenset[int]) -> Decimal:
    """What is left of a recurrence, less what later ones have drawn of what rolls over. ``void``: those without an
    amount."""
    with exactly():
        level, position = amount, 0
        for touched in sorted(item for item in {*drawn, *void} if item <= number):
            if touched > position:
                level = min(max(_rolled(level, touched - position - 1, amount, cap), ZERO), cap)
                level += ZERO if touched in void else amount
            level -= drawn.get(touched, ZERO)
            position = touched
        level = _rolled(level, number - position, amount, cap)
        later = sorted({item for item in {*drawn, *void} if item > number}, reverse=True)
        needed, position = ZERO, later[0] + 1 if later else number + 1
        for touched in later:
            needed = max(needed - amount * (position - touched - 1), ZERO)
            needed = max(drawn.get(touched, ZERO) + needed - (ZERO if touched in void else amount), ZERO)
            position = touched
        needed = max(needed - amount * (position - number - 1), ZERO)
        return max(level - needed, ZERO)


def _rolled(level: Decimal, steps: int, amount: Decimal, cap: Decimal) -> Decimal:
    """What a recurrence begins with, ``steps`` after one that ended with ``level`` if nothing was drawn between. Call
    it where arithmetic is exact."""
    return min(max(level, ZERO) + amount * steps, cap + amount) if steps else level


class RecurrenceFold:
    """``left_at`` of one grant while its draws come one by one, mostly on its newest recurrences: what is left of those
    before them is kept. ``used``: code → drawn already."""

    def __init__(self, grant: CreditGrant, zone: str, pauses: Pauses, used: Mapping[str, Decimal]) -> None:
        self._grant, self._zone, self._pauses = grant, zone, pauses
        self._used = dict(used)
        self._drawn: dict[int, Decimal] = {}
        self._levels: list[Decimal] = []  # what the recurrences 0, 1, … end with
        for code, amount in used.items():
            self._count(code, amount)

    def draw(self, code: str, amount: Decimal) -> None:
        """Count a further draw; below zero: given back."""
        self._used[code] = exact_sum((self._used.get(code, ZERO), amount))
        self._count(code, amount)

    def _count(self, code: str, amount: Decimal) -> None:
        if self._grant.recurrence is not None:
            number = _number(self._grant.recurrence.every, _anchor(self._grant, self._zone), date_of(code))
            self._drawn[number] = exact_sum((self._drawn.get(number, ZERO), amount))
            del self._levels[number:]

    def left(self, at_us: int) -> Decimal:
        """As ``left_at``."""
        recurrence, amount = self._grant.recurrence, self._grant.amount
        number = recurrence_at(self._grant, at_us, self._zone)
        if recurrence is None or any(later > number for later in self._drawn):
            return left_at(self._grant, self._used, at_us, self._zone, self._pauses)
        void = skipped(self._grant, self._pauses, at_us, self._zone)
        with exactly():
            for position in range(len(self._levels), number + 1):
                carried = min(max(self._levels[-1], ZERO), recurrence.rollover) if self._levels else ZERO
                given = ZERO if position in void else amount
                self._levels.append(carried + given - self._drawn.get(position, ZERO))
        return max(self._levels[number], ZERO)


@lru_cache(maxsize=50_000)  # a grant's codes are looked at by each of its invoices
def _number(every: BillingInterval, anchor: date | None, day: str) -> int:
    """The recurrence that begins on a local date (ISO 8601), or the last before it; "": drawn before it recurred."""
    try:
        drawn_on = date.fromisoformat(day)
    except ValueError:
        return 0
    return max(boundary_count(datetime.combine(drawn_on, time(), UTC), every, _UTC, anchor), 0)


def _anchor(grant: CreditGrant, zone: str) -> date | None:
    """The local date from which recurrences are counted."""
    if isinstance(grant.effective, datetime):
        return grant.effective.astimezone(UTC).astimezone(parse_zone(zone)).date()
    return grant.effective
