"""Whether an account may use a feature: each limit's use against what it grants. Pure.

Without a quantity a hard limit allows while something of it is left; with one, as long as the use would stay within
it. A soft limit allows always, and says by how much it is passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from rating.entitlements.granted import Grant
from rating.entitlements.grown_usage import grown_totals, with_quantity
from rating.entitlements.prepaid_floors import FlooredCredit
from rating.entitlements.questions import LimitQuestion
from rating.invoicing.charges import Totals
from rating.invoicing.rated_items import rate_items
from rating.pricing.exact import exact_sum, exactly
from rating.usage import Usage
from schemas.prices import plain
from schemas.values.instants import rfc3339
from schemas.values.record_copy import replace

RESERVABLE: Final = ("sum", "count", "count_unique")
"""Aggregations of which a quantity can be set apart: more use of them is at most so much more."""
DenialReason = Literal[
    "not_granted", "limit_reached", "unpaid", "floor_reached", "unknown_account", "unknown_feature", "undecided"
]
"""Why something is not allowed; unpaid: an interim invoice of the subscription is, and its grant, or a limit that is
passed, blocks until then; floor_reached: the account's prepaid balance is at the grant's ``credit_floor``, or below, or
would fall below it; undecided: its limits, or that balance, cannot be worked out."""
_ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class LimitUse:
    """A limit and its use now. ``granted`` None: unlimited; ``used`` None: no maximum, minimum or latest; ``unit``: the
    profile's, or the currency of a limit in money; ``within``: whether the use, with the quantity asked for, stays
    within it; ``reserved``: what reservations hold beside the use; ``foreseen``: False where that and the quantity
    could not be priced."""

    question: LimitQuestion
    granted: Decimal | None
    used: Decimal | None
    unit: str
    within: bool
    reserved: Decimal = _ZERO
    foreseen: bool = True

    @property
    def remaining(self) -> Decimal | None:
        """What is left; None: unlimited."""
        with exactly():
            return None if self.granted is None else max(self.granted - (self.used or _ZERO) - self.reserved, _ZERO)

    @property
    def overage(self) -> Decimal:
        """What was used beyond it."""
        with exactly():
            return _ZERO if self.granted is None else max((self.used or _ZERO) - self.granted, _ZERO)

    @property
    def refuses(self) -> bool:
        """Whether it is hard, and does not allow what is asked for."""
        return not self.within and self.question.limit is not None and self.question.limit.hard

    @property
    def blocks(self) -> bool:
        """Whether it does not allow what is asked for as long as something is to be paid."""
        return not self.within and self.question.limit is not None and self.question.limit.block


@dataclass(frozen=True, slots=True)
class EntitlementDecision:
    """Whether the feature may be used: ``reason`` and ``detail`` say why not. ``grant``: the one that decided, None
    where there is none; ``uses``: of its limits; ``decisive``: the first limit that refuses, else the hard one, or of
    soft ones any, of which least is left in proportion; ``credit``: the prepaid balance where the grant has a floor."""

    allowed: bool
    reason: DenialReason | None = None
    detail: str = ""
    grant: Grant | None = None
    uses: tuple[LimitUse, ...] = ()
    decisive: LimitUse | None = None
    credit: FlooredCredit | None = None


def decide(decisions: Sequence[EntitlementDecision]) -> EntitlementDecision:
    """Of several subscriptions' grants, those that started last first, one that allows suffices."""
    if not decisions:
        return EntitlementDecision(False, "not_granted", "no active subscription of the account grants it")
    return next((decision for decision in decisions if decision.allowed), decisions[0])


def decision_of(
    grant: Grant, uses: Sequence[LimitUse], quantity: Decimal | None, due: str | None = None
) -> EntitlementDecision:
    """The decision of one grant, given its limits' uses (none: it is not metered). ``due``: what its subscription has
    to pay, for limits that block until it has; None: nothing."""
    refusing = next((use for use in uses if use.refuses), None)
    if refusing is not None:
        return EntitlementDecision(False, "limit_reached", _sentence(refusing, quantity), grant, tuple(uses), refusing)
    blocked = next((use for use in uses if use.blocks), None) if due is not None else None
    if blocked is not None:
        detail = f"{_sentence(blocked, quantity)}; {due}"
        return EntitlementDecision(False, "unpaid", detail, grant, tuple(uses), blocked)
    return EntitlementDecision(True, None, "", grant, tuple(uses), min(uses, key=_tightness, default=None))


def floored(decision: EntitlementDecision, account_id: str, credit: FlooredCredit) -> EntitlementDecision:
    """The decision of one grant with its floor: what is refused already stays so, for the same reason."""
    if not decision.allowed or not credit.floor.block or credit.within:
        return replace(decision, credit=credit)
    reason: DenialReason = "undecided" if credit.within is None else "floor_reached"
    detail = f"account {account_id}: {credit.sentence}"
    return replace(decision, allowed=False, reason=reason, detail=detail, credit=credit)


def use_in_quantity(
    question: LimitQuestion, usage: Usage, quantity: Decimal | None, reserved: Decimal = _ZERO
) -> LimitUse:
    """The use of a limit in quantity, or of none. ``reserved``: held by reservations of what adds up."""
    granted = None if question.limit is None else question.limit.quantity
    if question.profile.aggregation not in RESERVABLE:
        reserved = _ZERO
    with exactly():
        used = usage.quantity if not reserved else (usage.quantity or _ZERO) + reserved
    within = granted is None or _within(used, with_quantity(question.profile, used, quantity), granted)
    return LimitUse(question, granted, usage.quantity, question.profile.unit, within, reserved)


def use_in_money(
    question: LimitQuestion,
    totals: Totals,
    account_id: str,
    currency: str,
    now_us: int,
    quantity: Decimal | None,
    reserved: Decimal = _ZERO,
) -> LimitUse:
    """The use of a limit in money: what the lines of the charges that it is about come to, before discounts. A
    quantity, and what reservations hold, is priced as if it were used now, but for a matrix, whose price depends on
    values that are not known. Raises PlanningError where a price cannot be applied."""
    granted = question.limit.amount if question.limit is not None else None
    assert granted is not None, "its limit is in money"
    used = _cost(question, totals, account_id, currency)

    def cost_with(more: Decimal) -> Decimal | None:
        of_profiles = {question.profile.profile_id: more}
        grown = grown_totals(question.needs, totals, account_id, now_us, of_profiles)
        return None if grown is None else _cost(question, grown, account_id, currency)

    then: Decimal | None = None
    held, foreseen = used, True
    if reserved:
        priced = cost_with(reserved)
        held, foreseen = used if priced is None else priced, priced is not None
    with exactly():
        in_money, more = held - used, None if quantity is None else reserved + quantity
    if more is not None:
        priced = cost_with(more)
        then, foreseen = used if priced is None else priced, priced is not None
    within = _within(held, then, granted)
    return LimitUse(question, granted, used, currency, within, in_money, foreseen)


def _cost(question: LimitQuestion, totals: Totals, account_id: str, currency: str) -> Decimal:
    return exact_sum(rated.priced.amount for rated in rate_items(question.items, totals, account_id, currency))


def _within(used: Decimal | None, then: Decimal | None, granted: Decimal) -> bool:
    return (used or _ZERO) < granted if then is None else then <= granted


def _tightness(use: LimitUse) -> tuple[bool, bool, Decimal]:
    """Sort key: limits before none, hard ones before soft ones, then what is left in proportion to what is granted."""
    limit, remaining = use.question.limit, use.remaining
    if limit is None or remaining is None or use.granted is None:
        return True, True, _ZERO
    return False, not limit.hard, remaining / use.granted if use.granted else _ZERO


def _sentence(use: LimitUse, quantity: Decimal | None) -> str:
    interval, limit, granted = use.question.interval, use.question.limit, use.granted or _ZERO
    over = ""
    if limit is not None and (limit.rolling or limit.reset):
        over = f" in {limit.rolling}" if limit.rolling else f" in the {str(limit.reset).replace('_', ' ')}"
    until = f"; it restarts at {rfc3339(interval.resets_us)}" if interval.resets_us is not None else ""
    more = "" if quantity is None else f", and {plain(quantity)} more is asked for"
    if use.reserved:
        more = f", {plain(use.reserved)} is reserved{more}"
    unit = f" {use.unit}" if use.unit else ""
    return f"{plain(use.used or _ZERO)} of {plain(granted)}{unit} is used{over}{more}{until}"
