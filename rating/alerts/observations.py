"""What alert rules measure, for many accounts at once: by the usage query, and by the close's own code for money. So an
alert says what an invoice of that moment would say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.alerts.crossings import Observation
from rating.alerts.shares.entitlement_shares import shares_of
from rating.alerts.watched import ActiveRule, Subjects, WatchedPeriod, watched_periods
from rating.estimates.account_state import PERMANENT, AccountEstimate, AccountState, read_accounts
from rating.estimates.reached_thresholds import reached_thresholds
from rating.invoices.amounts.prepaid_credits import Owned, Wallet, grants_of_account
from rating.invoices.chain import interims_of
from rating.invoicing.charges import ChargeBook, Totals
from rating.invoicing.expected_invoice import MeasureUsage
from rating.invoicing.measure import measure
from rating.invoicing.need import Need
from rating.pricing.exact import exact_sum
from rating.topups.floors import floors_of
from rating.topups.shortfall import AccountCurrency, Shortfalls
from rating.usage import measured, no_usage
from schemas.catalog.prepaid.top_ups import TopUp
from schemas.catalog.profiles import FOREVER, resolve
from schemas.catalog.state import NamespaceView
from schemas.catalog.terms import boundary
from schemas.ledgers.checkpoints import Checkpoints
from schemas.ledgers.invoice_record import body_of

_NO_BASE: Final = "its percentages are passed over where there is no minimum commitment for them to be of; write budget"


@dataclass
class Look:
    """What was measured by rule of ``state``; ``starts``: account → starts of its periods that some rule watches;
    ``resets``: account → the first instant at which a limit restarts that has passed a threshold. What could not be
    measured: ``problems``: rule or subscription → why, where only another catalog helps; ``failures``: rule → what was
    raised, where another look may help; ``balances``: (account, its floor, its balance) of those that top up;
    ``reached``: subscriptions that have reached their ``invoice_threshold``."""

    state: AccountState | None = None
    observed: list[tuple[ActiveRule, Observation]] = field(default_factory=list)
    starts: dict[str, set[int]] = field(default_factory=dict)
    resets: dict[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Exception] = field(default_factory=dict)
    balances: list[tuple[str, TopUp, Decimal]] = field(default_factory=list)
    reached: frozenset[str] = frozenset()


def observe(
    client: Client,
    view: NamespaceView,
    checkpoints: Checkpoints,
    rules: Sequence[ActiveRule],
    accounts: Sequence[str],
    now_us: int,
    top_up: bool = False,
    thresholds: bool = False,
) -> Look:
    """What the rules measure of the accounts at an instant; ``top_up``: and the balances of those that top up;
    ``thresholds``: and which subscriptions have reached their ``invoice_threshold``. Blocking; raises what reading the
    accounts raises. What concerns one rule alone is in the answer, and leaves the others be."""
    state = read_accounts(client, view, accounts, now_us)
    look = observe_state(client, checkpoints, rules, state, top_up)
    if thresholds:
        try:
            over = reached_thresholds(client, checkpoints, state)
        except Exception as error:  # what the rules measured is said nevertheless
            look.failures["invoice_threshold"] = error
        else:
            look.reached = over.subscriptions
            look.problems |= {f"invoice_threshold: {why}": why for why in over.problems}
    return look


def observe_state(
    client: Client, checkpoints: Checkpoints, rules: Sequence[ActiveRule], state: AccountState, top_up: bool = False
) -> Look:
    """The same of accounts that are read already, at the instant of ``state``."""
    look, view = Look(state), state.view
    unplanned = dict(state.unplanned)
    running = list(state.unbilled(unplanned))
    look.problems |= {f"subscription {name}": why for name, why in unplanned.items()}
    floors = floors_of(view, state.accounts, running) if top_up else {}
    places = [(account, currency) for account, of_account in floors.items() for currency in of_account]
    shortfalls = Shortfalls.of(view, places)
    watched: list[tuple[ActiveRule, list[WatchedPeriod]]] = []
    subjects = Subjects(state.accounts, running)
    for active in rules:
        try:
            periods = list(watched_periods(view, active.rule, *subjects.of(active.rule), state.now_us))
        except ValueError as error:
            look.problems[f"rule {active.rule.code}"] = str(error)
            continue
        watched.append((active, periods))
        for period in periods:
            if period.end_us and active.rule.measure != "entitlement":
                look.starts.setdefault(period.account_id, set()).add(period.start_us)

    def measure_live(needs: Mapping[Need, Set[str]]) -> Totals:
        return measure(client, view.namespace, needs, None, lambda *_: None, checkpoints=checkpoints)

    for active, periods in watched:
        if active.rule.measure == "usage":
            _collect(look, active, partial(usage_of, view, active, periods, measure_live))
        elif active.rule.measure == "entitlement":
            _collect(look, active, partial(_entitlements, look, active, periods, state, measure_live))
    money = [(active, periods) for active, periods in watched if active.rule.measure in ("spend", "balance")]
    if money or shortfalls.grants:
        try:
            estimated = state.estimate(client, checkpoints, shortfalls.grants.values())
        except Exception as error:
            look.failures["estimate"] = error
        else:
            balances = _of_money(look, money, state, estimated, shortfalls)
            look.balances = [(code, floors[code][currency], left) for (code, currency), left in balances.items()]
    return look


def _entitlements(
    look: Look, active: ActiveRule, periods: Sequence[WatchedPeriod], state: AccountState, measure: MeasureUsage
) -> Iterator[Observation]:
    subscriptions = {period.subscription for period in periods}
    shares = shares_of(active, state, subscriptions, measure, ChargeBook(state.view))
    look.problems |= shares.problems
    for account_id, resets_us in shares.resets.items():
        look.resets[account_id] = min(resets_us, look.resets.get(account_id, resets_us))
    yield from shares.observed


def _collect(look: Look, active: ActiveRule, observations: Callable[[], Iterator[Observation]]) -> None:
    try:
        look.observed += [(active, observation) for observation in observations()]
    except LookupError as error:
        look.problems[f"rule {active.rule.code}"] = str(error)
    except Exception as error:  # the other rules' questions are answered nevertheless
        look.failures[f"rule {active.rule.code}"] = error


def usage_of(
    view: NamespaceView, active: ActiveRule, periods: Sequence[WatchedPeriod], measure: MeasureUsage
) -> Iterator[Observation]:
    """The usage of each watched period; None where a profile has no value (max, min, latest without events).
    Raises LookupError for a profile that is not there, and what ``measure`` raises."""
    rule = active.rule
    versions = resolve(view, rule.profile or "")
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
        yield Observation(
            period.account_id,
            period.subscription,
            need.profile.profile_id,
            period.start_us,
            period.end_us,
            usage.quantity,
            rule.budget,
        )


@dataclass(frozen=True, slots=True)
class Spend:
    """A running invoice before prepaid credits, with what interim invoices billed of its period, and what of it raises
    charges to the minimum commitment."""

    subtotal: Decimal
    true_up: Decimal


def _of_money(
    look: Look,
    rules: Sequence[tuple[ActiveRule, Sequence[WatchedPeriod]]],
    state: AccountState,
    estimated: AccountEstimate,
    shortfalls: Shortfalls,
) -> dict[AccountCurrency, Decimal]:
    """Spend and balances, which one estimate of the accounts answers; the balances of ``shortfalls``."""
    look.problems |= {f"subscription {name}": why for name, why in estimated.problems.items()}
    wallet = estimated.inputs.wallet()
    spend: dict[str, Spend] = {}
    unrated = {*estimated.problems, *estimated.unbilled}
    for expected in estimated.periods:
        name = expected.running.line.subscription
        try:
            invoice = expected.invoice(expected.totals, estimated.run, wallet)
            true_up = exact_sum(Decimal(line.amount) for line in invoice.lines if line.kind == "commitment")
            chain = estimated.inputs.standing.chain(state.view.namespace, name)
            in_all = [invoice, *interims_of(chain, expected.running.span.start_us)]
            subtotal = exact_sum(Decimal(body_of(billed).subtotal or billed.total) for billed in in_all)
            spend[name] = Spend(subtotal, true_up)
        except PERMANENT as error:
            look.problems[f"subscription {name}"] = str(error)
            unrated.add(name)
    # What cannot be rated draws on no credits: the balance would be too high.
    unknown = {state.account_of(name) for name in unrated}
    for active, periods in rules:
        if active.rule.measure == "spend":
            before = len(look.observed)
            _collect(look, active, partial(spend_of, active, periods, spend))
            if has_no_base(active, (observation for _, observation in look.observed[before:])):
                look.problems[f"rule {active.rule.code}"] = _NO_BASE
        else:
            known = [period for period in periods if period.account_id not in unknown]
            _collect(look, active, partial(balance_of, state.view, active, known, wallet, state.now_us))
    return shortfalls.balances(state.view, wallet, state.now_us, unknown)


def spend_of(active: ActiveRule, periods: Sequence[WatchedPeriod], spend: Mapping[str, Spend]) -> Iterator[Observation]:
    """The running invoice of each watched subscription, before prepaid credits; where percentages are of the minimum
    commitment, without what raises it to that. ``spend``: by subscription."""
    of_commitment = active.rule.by_percentage and active.rule.budget is None
    for period in periods:
        assert period.running is not None, "spend is watched by subscription"
        plan = period.running.span.plan
        if (amount := spend.get(period.subscription)) is None:
            continue
        yield Observation(
            period.account_id,
            period.subscription,
            plan.currency,
            period.start_us,
            period.end_us,
            exact_sum((amount.subtotal, -amount.true_up)) if of_commitment else amount.subtotal,
            active.rule.budget or plan.minimum_commitment or None,
        )


def has_no_base(active: ActiveRule, observations: Iterable[Observation]) -> bool:
    """Whether the rule has percentages, and some of what was measured by it has nothing for them to be of."""
    return active.rule.by_percentage and any(observation.base is None for observation in observations)


def balance_of(
    view: NamespaceView, active: ActiveRule, periods: Sequence[WatchedPeriod], wallet: Wallet, now_us: int
) -> Iterator[Observation]:
    """What is left of each watched account's grants in the rule's currency that are in force; 0 where there were such
    and none is any more, of what was granted last. Accounts that never had one are passed over. ``wallet``: after the
    running invoices have drawn on it."""
    rule, currency = active.rule, active.rule.currency or ""
    for period in periods:
        granted = [
            owned
            for owned in grants_of_account(view, period.account_id, retired=True)
            if owned.grant.currency == currency and _begun(owned, now_us)
        ]
        if not granted:
            continue
        in_force = [owned for owned in granted if owned.pays(currency, now_us)]
        left = exact_sum(wallet.left(owned, now_us) for owned in in_force)
        base = exact_sum(owned.grant.amount for owned in in_force or [max(granted, key=_ended)])
        yield Observation(period.account_id, "", currency, 0, 0, left, rule.budget or base)


def _begun(owned: Owned, now_us: int) -> bool:
    effective = boundary(owned.grant.effective, owned.zone)
    return effective is None or effective <= now_us


def _ended(owned: Owned) -> int:
    expires = boundary(owned.grant.expires, owned.zone)
    return FOREVER if expires is None else expires
