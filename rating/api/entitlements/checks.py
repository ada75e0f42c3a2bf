"""Answers checks of entitlements: what each account is granted, from memory where nothing changed, what it used, and
the decision, all as of one instant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from rating.api.entitlements.check_charges import CheckCharges
from rating.api.entitlements.unpaid_invoices import PaymentDue
from rating.api.entitlements.usage_keeper import UsageKeeper
from rating.api.rating_problems import unavailable
from rating.entitlements.decision import (
    DenialReason,
    EntitlementDecision,
    LimitUse,
    decide,
    decision_of,
    floored,
    use_in_money,
    use_in_quantity,
)
from rating.entitlements.granted import Grant, Granted
from rating.entitlements.held_entries import UsageKey
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.prepaid_floors import FlooredCredit
from rating.entitlements.questions import LimitQuestion
from rating.entitlements.reservations.reservation_requests import HeldBeside
from rating.pricing import PriceError
from rating.pricing.exact import exactly
from rating.subscriptions.timeline import PlanningError
from rating.topups.shortfall import AccountCurrency
from rating.usage import Measured, UsageGroup, no_usage
from schemas.catalog.state import NamespaceView

MOST_GRANTS: Final = 10
"""Subscriptions that are looked at of those that grant an account one feature: the ones that started last."""
_NOTHING: Final = Decimal(0)
_DECIDED_AT_ONCE: Final = 10


@dataclass(frozen=True, slots=True)
class FeatureCheck:
    """May the account use the feature? ``quantity``: so much of it; None: anything at all."""

    account_id: str
    feature: str
    quantity: Decimal | None = None


@dataclass(frozen=True, slots=True)
class CheckedDecisions:
    """The decisions on several checks, in their order. ``as_of`` None: nothing had to be measured."""

    decisions: tuple[EntitlementDecision, ...]
    as_of: MeasuredAsOf | None


HeldQuantity = Callable[[str, str, str, MeasuredAsOf, int], Decimal]
"""From namespace, account, feature, cut and instant to what reservations hold beside the usage as of the cut."""


@dataclass(frozen=True, slots=True)
class ReservedBeside:
    """What reservations hold beside what a check rests on. ``own``: of its feature, beside the usage; ``drawing``: by
    currency, profile's id → quantity of all features of the account, beside the prepaid balance."""

    own: Decimal = _NOTHING
    drawing: Mapping[str, Mapping[str, Decimal]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AskedGrant:
    """A grant with its limits as questions, () where it is not metered, or why they cannot be told; ``credit``: the
    prepaid balance, where it has a floor; ``due``: what its subscription has to pay, where that matters."""

    grant: Grant
    asked: tuple[LimitQuestion, ...] | str
    credit: FlooredCredit | None = None
    due: PaymentDue | None = None


@dataclass(frozen=True, slots=True)
class MeasuredCheck:
    """A check with all that its decision rests on, but what reservations hold. ``problems``: of what is granted;
    ``as_of``: of the usage, None where none is measured; ``reservable``: (feature, profile's id) of the account where
    a grant has a floor, since reservations of each draw on its credit."""

    check: FeatureCheck
    of_grants: tuple[AskedGrant, ...]
    usage: Mapping[UsageKey, tuple[UsageGroup, ...]]
    problems: tuple[str, ...]
    now_us: int
    as_of: MeasuredAsOf | None
    reservable: tuple[tuple[str, str], ...] = ()

    @property
    def profiles(self) -> tuple[Measured, ...]:
        """How the feature is measured, by its grants and their limits."""
        questions = (of_grant.asked for of_grant in self.of_grants)
        return tuple(question.profile for limits in questions if not isinstance(limits, str) for question in limits)

    @property
    def balances(self) -> dict[str, MeasuredAsOf]:
        """By currency, what the prepaid balances that it rests on are as of, but those that cannot be told."""
        credits = (of_grant.credit for of_grant in self.of_grants if of_grant.credit is not None)
        return {credit.floor.currency: credit.prepaid.as_of for credit in credits if credit.prepaid.as_of is not None}

    def reserved(self, held: HeldBeside) -> ReservedBeside:
        """What reservations hold beside all that it rests on."""
        own = held(self.check.feature, self.as_of) if self.as_of is not None and self.profiles else _NOTHING
        drawing: dict[str, dict[str, Decimal]] = {}
        for currency, as_of in self.balances.items():
            of_profiles = drawing.setdefault(currency, {})
            for feature, profile_id in self.reservable:
                if quantity := held(feature, as_of):
                    with exactly():
                        of_profiles[profile_id] = of_profiles.get(profile_id, _NOTHING) + quantity
        return ReservedBeside(own, drawing)

    def decision(self, reserved: ReservedBeside) -> EntitlementDecision:
        """The decision where reservations hold so much."""
        of_grants = [_decision(self.check, of_grant, self.usage, self.now_us, reserved) for of_grant in self.of_grants]
        if not of_grants and self.problems:  # one of them may have granted it
            return EntitlementDecision(False, "undecided", self.problems[0])
        return decide(of_grants)


async def answered(
    keeper: UsageKeeper,
    held: HeldQuantity,
    view: NamespaceView,
    checks: Sequence[FeatureCheck],
    granted: Mapping[str, Granted],
    now_us: int,
) -> CheckedDecisions:
    """The decisions; ``granted``: of each account; ``now_us``: by the namespace's clock. Raises Problem (503) where
    usage cannot be told."""
    measured, as_of = await measured_checks(keeper, view, checks, granted, now_us)

    def beside(account_id: str) -> HeldBeside:
        return lambda feature, cut: held(view.namespace, account_id, feature, cut, now_us)

    reserved = [each.reserved(beside(each.check.account_id)) for each in measured]  # all as of one instant
    decisions = []
    for number, (measured_check, quantities) in enumerate(zip(measured, reserved, strict=True), 1):
        decisions.append(measured_check.decision(quantities))
        if number % _DECIDED_AT_ONCE == 0:
            await asyncio.sleep(0)  # so that others' checks do not wait for all of these
    return CheckedDecisions(tuple(decisions), as_of)


async def measured_checks(
    keeper: UsageKeeper,
    view: NamespaceView,
    checks: Sequence[FeatureCheck],
    granted: Mapping[str, Granted],
    now_us: int,
) -> tuple[list[MeasuredCheck], MeasuredAsOf | None]:
    """The checks measured, all as of one cut (None: nothing had to be). Raises as ``answered``; also where of none of
    them it can be told for the moment what prepaid credit is left that it needs."""
    charges = CheckCharges(view, keeper.turns)
    questions: dict[tuple[str, str], list[AskedGrant]] = {}
    reservable: dict[str, tuple[tuple[str, str], ...]] = {}
    keys: dict[UsageKey, None] = {}
    soon: list[UsageKey] = []
    names = blocking(checks, granted)
    unpaid = await keeper.unpaid.of(view.namespace, names) if names else {}
    places = floor_places(checks, granted)
    left = await keeper.credit.of(view, places) if places and keeper.credit is not None else {}
    for check in checks:
        account_feature = check.account_id, check.feature
        if account_feature in questions:
            continue
        grants, zone = granted[check.account_id].grants, granted[check.account_id].time_zone
        of_feature = questions[account_feature] = []
        for grant in grants.get(check.feature, ())[:MOST_GRANTS]:
            due = unpaid.get(grant.line.subscription) if grant.asks_for_payment else None
            refused = due if grant.block else None
            limits = charges.limits(grant, zone, now_us) if refused is None else refused
            floor = grant.credit_floor
            credit = FlooredCredit(floor, left[check.account_id, floor.currency]) if floor is not None else None
            of_feature.append(AskedGrant(grant, limits, credit, due))
            if credit is not None and check.account_id not in reservable:
                reservable[check.account_id] = charges.reservable(granted[check.account_id])
            if not isinstance(limits, str):
                keys |= dict.fromkeys((check.account_id, need) for question in limits for need in question.asked)
                soon += (
                    (check.account_id, need) for need in charges.soon(granted[check.account_id], grant, limits, now_us)
                )
    if places and all(_in_vain(of_grants) for of_grants in questions.values()):
        problem = next(balance.problem for balance in left.values() if balance.asked_in_vain)
        raise unavailable(f"the prepaid balance cannot be told: {problem}")
    as_of, usage = (
        await keeper.usage(view.namespace, tuple(keys), now_us, view.settings.ahead_us) if keys else (None, {})
    )
    if soon:
        keeper.expect(view.namespace, soon)
    measured = [
        MeasuredCheck(
            check,
            tuple(questions[check.account_id, check.feature]),
            usage,
            granted[check.account_id].problems,
            now_us,
            as_of,
            reservable.get(check.account_id, ()),
        )
        for check in checks
    ]
    return measured, as_of


def _in_vain(of_grants: Sequence[AskedGrant]) -> bool:
    """Whether nothing can be said of a check, since for the moment no balance that its grants need can be had."""
    credits = [of_grant.credit for of_grant in of_grants]
    return bool(credits) and all(
        credit is not None and credit.floor.block and credit.prepaid.asked_in_vain for credit in credits
    )


def blocking(checks: Sequence[FeatureCheck], granted: Mapping[str, Granted]) -> set[str]:
    """The subscriptions that grant what is checked, or use beyond a limit, as long as interim invoices are paid."""
    return {
        grant.line.subscription
        for check in checks
        for grant in granted[check.account_id].grants.get(check.feature, ())[:MOST_GRANTS]
        if grant.asks_for_payment
    }


def floor_places(checks: Sequence[FeatureCheck], granted: Mapping[str, Granted]) -> set[AccountCurrency]:
    """The accounts and currencies whose prepaid balance what is checked depends on."""
    return {
        (check.account_id, grant.credit_floor.currency)
        for check in checks
        for grant in granted[check.account_id].grants.get(check.feature, ())[:MOST_GRANTS]
        if grant.credit_floor is not None
    }


def _decision(
    check: FeatureCheck,
    of_grant: AskedGrant,
    usage: Mapping[UsageKey, tuple[UsageGroup, ...]],
    now_us: int,
    reserved: ReservedBeside,
) -> EntitlementDecision:
    decision, credit = _of_limits(check, of_grant, usage, now_us, reserved.own), of_grant.credit
    if credit is None:
        return decision
    questions = of_grant.asked
    asked = None
    if check.quantity is not None and questions and not isinstance(questions, str):
        asked = questions[0].profile.profile_id, check.quantity
    drawing = reserved.drawing.get(credit.floor.currency, {})
    return floored(decision, check.account_id, credit.foreseeing(drawing, asked))


def _of_limits(
    check: FeatureCheck,
    of_grant: AskedGrant,
    usage: Mapping[UsageKey, tuple[UsageGroup, ...]],
    now_us: int,
    held: Decimal,
) -> EntitlementDecision:
    grant, questions = of_grant.grant, of_grant.asked
    if isinstance(questions, str):
        reason: DenialReason = "unpaid" if isinstance(questions, PaymentDue) else "undecided"
        return EntitlementDecision(False, reason, str(questions), grant)
    try:
        uses = [_use(check, grant, question, usage, now_us, held) for question in questions]
    except (PlanningError, PriceError) as error:
        return EntitlementDecision(False, "undecided", str(error), grant)
    return decision_of(grant, uses, check.quantity, None if of_grant.due is None else str(of_grant.due))


def _use(
    check: FeatureCheck,
    grant: Grant,
    question: LimitQuestion,
    usage: Mapping[UsageKey, tuple[UsageGroup, ...]],
    now_us: int,
    held: Decimal,
) -> LimitUse:
    if question.limit is not None and question.limit.amount is not None:
        totals = {
            need: {check.account_id: list(usage[check.account_id, measured_need])}
            for need, measured_need in zip(question.needs, question.asked, strict=True)
        }
        currency = grant.span.plan.currency
        return use_in_money(question, totals, check.account_id, currency, now_us, check.quantity, held)
    (measured_need,) = question.asked
    groups = usage[check.account_id, measured_need]
    measured = groups[0].usage if groups else no_usage(question.profile.aggregation)
    return use_in_quantity(question, measured, check.quantity, held)
