"""What entitlements an account has used of its limits, by the numbers of a check (``rating.entitlements``)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from rating.alerts.crossings import Observation
from rating.alerts.watched import ActiveRule
from rating.entitlements.decision import LimitUse, use_in_money, use_in_quantity
from rating.entitlements.granted import Grant, billed_ends_matter, granted_to
from rating.entitlements.questions import LimitQuestion, questions_of
from rating.estimates.account_state import AccountState
from rating.invoicing.charges import ChargeBook, Totals
from rating.invoicing.expected_invoice import MeasureUsage
from rating.invoicing.need import Need
from rating.subscriptions.timeline import PlanningError
from rating.usage import no_usage
from schemas.catalog.profiles import resolve
from schemas.prices import PriceError

_TOO_SHORT: Final = frozenset({"minute"})


@dataclass(frozen=True, slots=True)
class WatchedGrant:
    """A grant of an account, with the limits of it that a rule watches."""

    account_id: str
    grant: Grant
    questions: tuple[LimitQuestion, ...]


@dataclass
class EntitlementShares:
    """``observed``: the use of each grant; ``resets``: account → the instant (microseconds UTC) at which the first of
    its limits restarts that has passed a threshold; ``problems``: subscription → why its limits cannot be told."""

    observed: list[Observation] = field(default_factory=list)
    resets: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)


def shares_of(
    active: ActiveRule, state: AccountState, subscriptions: Collection[str], measure: MeasureUsage, book: ChargeBook
) -> EntitlementShares:
    """The use of these subscriptions' grants of the rule's feature, each of what the limit grants of which the greatest
    share is used. What is unlimited, granted as 0, or has no maximum, minimum or latest is passed over. Raises
    LookupError for a profile that is not there, and what ``measure`` raises."""
    shares = EntitlementShares()
    grants = list(_grants(active, state, subscriptions, book, shares.problems))
    needs: dict[Need, set[str]] = {}
    for watched in grants:
        for question in watched.questions:
            for need in needs_of_limit(question):
                needs.setdefault(need, set()).add(watched.account_id)
    totals = measure(needs) if needs else {}
    lowest = min(Decimal(threshold.removesuffix("%")) for threshold in active.rule.thresholds) / 100
    for watched in grants:
        account_id, subscription = watched.account_id, watched.grant.line.subscription
        try:
            uses = [use_of(watched, question, totals, state.now_us) for question in watched.questions]
        except (PlanningError, PriceError) as error:
            shares.problems[f"subscription {subscription}"] = str(error)
            continue
        counted = [
            (used / granted, used, granted, use.question.interval.resets_us)
            for use in uses
            if (granted := use.granted) and (used := use.used) is not None
        ]
        if not counted:
            continue
        _, used, granted, _ = max(counted, key=lambda each: each[:3])
        feature = watched.grant.feature.code
        shares.observed.append(Observation(account_id, subscription, feature, 0, 0, used, granted))
        for share, _, _, resets_us in counted:
            if resets_us is not None and share >= lowest:
                shares.resets[account_id] = min(resets_us, shares.resets.get(account_id, resets_us))
    return shares


def _grants(
    active: ActiveRule,
    state: AccountState,
    subscriptions: Collection[str],
    book: ChargeBook,
    problems: dict[str, str],
) -> Iterator[WatchedGrant]:
    billed_until: dict[str, int] = {}
    for head in (invoice.head for invoice in state.billed if invoice.head.period_end_us <= state.now_us):
        billed_until[head.subscription] = max(billed_until.get(head.subscription, 0), head.period_end_us)
    for account_id in state.accounts:
        changed = billed_ends_matter(state.view, account_id)
        granted = granted_to(state.view, account_id, state.now_us, billed_until if changed else None)
        for grant in granted.grants.get(active.rule.feature or "", ()):
            if grant.line.subscription not in subscriptions or grant.feature.profile is None:
                continue
            versions = resolve(state.view, grant.feature.profile)
            try:
                questions = questions_of(book, versions, grant, granted.time_zone, state.now_us)
            except PlanningError as error:
                problems[f"subscription {grant.line.subscription}"] = str(error)
                continue
            watched = tuple(question for question in questions if is_watched(active, question))
            yield WatchedGrant(account_id, grant, watched)


def is_watched(active: ActiveRule, question: LimitQuestion) -> bool:
    """Whether the rule watches the limit: none by minute or rolling window, which pass before anybody is told."""
    limit = question.limit
    if limit is None or limit.rolling is not None or limit.reset in _TOO_SHORT:
        return False
    return active.rule.interval in (None, limit.reset)


def needs_of_limit(question: LimitQuestion) -> Sequence[Need]:
    """What is measured for its use, each over the whole of its interval."""
    if question.limit is not None and question.limit.amount is not None:
        return question.needs
    return (Need(question.profile, question.interval.start_us, question.interval.end_us),)


def use_of(watched: WatchedGrant, question: LimitQuestion, totals: Totals, now_us: int) -> LimitUse:
    """The limit's use, as a check without a quantity tells it. Raises PlanningError, PriceError."""
    account_id = watched.account_id
    if question.limit is not None and question.limit.amount is not None:
        currency = watched.grant.span.plan.currency
        return use_in_money(question, totals, account_id, currency, now_us, None)
    (need,) = needs_of_limit(question)
    rows = totals[need].get(account_id, [])
    usage = rows[0].usage if rows else no_usage(question.profile.aggregation)
    return use_in_quantity(question, usage, None)
