"""What alert rules measure, for many accounts at once: by the usage query, and by the close's own code for money. So an
alert says what an invoice of that moment would say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial

from clickhouse_connect.driver.client import Client

from rating.alerts.crossings import Observation
from rating.alerts.watched import ActiveRule, watched_periods
from rating.estimates.account_state import AccountEstimate, AccountState, read_accounts
from rating.invoices.amounts.prepaid_credits import Owned, Wallet
from rating.invoicing.charges import Totals
from rating.invoicing.expected_invoice import MeasureUsage, Running
from rating.invoicing.measure import measure
from rating.invoicing.need import Need
from rating.pricing.exact import exact_sum
from rating.subscriptions.timeline import PlanningError
from rating.usage import measured, no_usage
from schemas.catalog.profiles import resolve
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Checkpoints
from schemas.ledgers.invoice_record import body_of
from schemas.prices import PriceError

PERMANENT = (PlanningError, PriceError, LookupError, ValueError, ArithmeticError)
"""What only another catalog mends: looking again does not help."""


@dataclass
class Look:
    """What was measured by rule, and what could not be: ``problems``: rule or subscription → why, where only another
    catalog helps; ``failures``: rule → what was raised, where another look may help."""

    observed: list[tuple[ActiveRule, Observation]] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)


def observe(
    client: Client,
    view: NamespaceView,
    checkpoints: Checkpoints,
    rules: Sequence[ActiveRule],
    accounts: Sequence[str],
    now_us: int,
) -> Look:
    """What the rules measure of the accounts at an instant. Blocking; raises what reading the accounts raises. What
    concerns one rule alone is in the answer, and leaves the others be."""
    look = Look()
    state = read_accounts(client, view, accounts, now_us)
    unplanned = dict(state.unplanned)
    running = list(state.unbilled(unplanned))
    look.problems |= {f"subscription {name}": why for name, why in unplanned.items()}

    def measure_live(needs: Mapping[Need, Set[str]]) -> Totals:
        return measure(client, view.namespace, needs, None, lambda *_: None)

    for active in rules:
        if active.rule.measure == "usage":
            _collect(look, active, partial(usage_of, view, active, state, running, measure_live))
    if money := [active for active in rules if active.rule.measure != "usage"]:
        try:
            estimated = state.estimate(client, checkpoints)
        except Exception as error:
            look.failures["estimate"] = error
        else:
            _of_money(look, view, money, state, running, estimated)
    return look


def _collect(look: Look, active: ActiveRule, observations: Callable[[], Iterator[Observation]]) -> None:
    try:
        look.observed += [(active, observation) for observation in observations()]
    except LookupError as error:
        look.problems[f"rule {active.rule.code}"] = str(error)
    except Exception as error:  # the other rules' questions are answered nevertheless
        look.failures[f"rule {active.rule.code}"] = error


def usage_of(
    view: NamespaceView, active: ActiveRule, state: AccountState, running: Sequence[Running], measure: MeasureUsage
) -> Iterator[Observation]:
    """The usage of each watched period. A profile without a value (max, min, latest without events) is passed over.
    Raises LookupError for a profile that is not there, and what ``measure`` raises."""
    rule = active.rule
    versions = resolve(view, rule.profile or "")
    periods = list(watched_periods(view, rule, state.accounts, running, state.now_us))
    needs: dict[Need, set[str]] = {}
    need_of: dict[tuple[int, int], Need] = {}
    for period in periods:
        span = period.start_us, period.end_us
        if span not in need_of:
            need_of[span] = Need(measured(versions, *span), *span)
        needs.setdefault(need_of[span], set()).add(period.account_id)
    totals = measure(needs) if needs else {}
    for period in periods:
        need = need_of[period.start_us, period.end_us]
        rows = totals[need].get(period.account_id, [])
        usage = rows[0].usage if rows else no_usage(need.profile.aggregation)
        if usage.quantity is not None:
            yield Observation(
                period.account_id,
                period.subscription,
                need.profile.profile_id,
                period.start_us,
                period.end_us,
                usage.quantity,
                rule.budget,
            )


def _of_money(
    look: Look,
    view: NamespaceView,
    rules: Sequence[ActiveRule],
    state: AccountState,
    running: Sequence[Running],
    estimated: AccountEstimate,
) -> None:
    """Spend and balances, which one estimate of the accounts answers."""
    look.problems |= {f"subscription {name}": why for name, why in estimated.problems.items()}
    wallet = estimated.inputs.wallet()
    spend: dict[str, Decimal] = {}
    for expected in estimated.periods:
        name = expected.running.line.subscription
        try:
            invoice = expected.invoice(expected.totals, estimated.run, wallet)
            spend[name] = Decimal(body_of(invoice).subtotal or invoice.total)
        except PERMANENT as error:
            look.problems[f"subscription {name}"] = str(error)
    for active in rules:
        if active.rule.measure == "spend":
            _collect(look, active, partial(spend_of, view, active, state, running, spend))
        else:
            _collect(look, active, partial(balance_of, view, active, state, estimated.inputs.grants, wallet))


def spend_of(
    view: NamespaceView,
    active: ActiveRule,
    state: AccountState,
    running: Sequence[Running],
    spend: Mapping[str, Decimal],
) -> Iterator[Observation]:
    """The running invoice of each watched subscription, before prepaid credits. ``spend``: by subscription."""
    for period in watched_periods(view, active.rule, state.accounts, running, state.now_us):
        assert period.running is not None, "spend is watched by subscription"
        plan = period.running.span.plan
        if period.subscription in spend:
            yield Observation(
                period.account_id,
                period.subscription,
                plan.currency,
                period.start_us,
                period.end_us,
                spend[period.subscription],
                active.rule.budget or plan.minimum_commitment or None,
            )


def balance_of(
    view: NamespaceView, active: ActiveRule, state: AccountState, grants: Sequence[Owned], wallet: Wallet
) -> Iterator[Observation]:
    """What is left of each watched account's grants in the rule's currency that are in force; accounts without such are
    passed over. ``wallet``: after the running invoices have drawn on it."""
    rule = active.rule
    by_account: dict[str, list[Owned]] = {}
    for owned in grants:
        if owned.pays(rule.currency or "", state.now_us):
            by_account.setdefault(owned.account_id, []).append(owned)
    for period in watched_periods(view, rule, state.accounts, (), state.now_us):
        if in_force := by_account.get(period.account_id):
            left = exact_sum(wallet.left(owned, state.now_us) for owned in in_force)
            granted = exact_sum(owned.grant.amount for owned in in_force)
            yield Observation(period.account_id, "", rule.currency or "", 0, 0, left, rule.budget or granted)
