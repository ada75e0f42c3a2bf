"""What is left of prepaid credit in some currencies of some accounts: the balance that top-ups and floors go by."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from clickhouse_connect.driver.client import Client

from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.prepaid_floors import PrepaidLeft
from rating.estimates.account_state import PERMANENT, read_accounts
from rating.estimates.foreseen_balance import ForeseenBalance, periods_of
from rating.topups.shortfall import AccountCurrency, Shortfalls
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Checkpoints


def prepaid_left(
    client: Client,
    view: NamespaceView,
    places: Collection[AccountCurrency],
    checkpoints: Checkpoints,
    as_of: MeasuredAsOf,
) -> Mapping[AccountCurrency, PrepaidLeft]:
    """The balance of each account in each currency, as of the namespace's present; ``as_of``: that, and a cut of
    usage.events that ClickHouse has. Blocking; raises what reading the accounts raises, and UnknownCheckpoint."""
    now_us = as_of.now_us
    accounts = list(dict.fromkeys(account for account, _ in places))
    state = read_accounts(client, view, accounts, now_us)
    shortfalls = Shortfalls.of(view, places)
    estimated = state.estimate(client, checkpoints, shortfalls.grants.values())
    undrawn = estimated.inputs.wallet()
    wallet = undrawn.apart()
    unrated = {**estimated.unbilled, **estimated.problems}
    for expected in estimated.periods:
        try:
            expected.invoice(expected.totals, estimated.run, wallet)
        except PERMANENT as error:
            unrated[expected.running.line.subscription] = str(error)
    # What cannot be rated draws on nothing: the balance would be too high.
    problems = {state.account_of(name): f"subscription {name}: {why}" for name, why in unrated.items()}
    balances = shortfalls.balances(view, wallet, now_us, problems)
    periods = {account_id: periods_of(account_id, estimated.periods) for account_id in accounts}

    def left(account_currency: AccountCurrency) -> PrepaidLeft:
        account_id, _ = account_currency
        balance = balances.get(account_currency)
        if balance is None:
            return PrepaidLeft(None, now_us, problems.get(account_id, ""))
        own = Shortfalls({account_currency: shortfalls.grants[account_currency]})
        foreseen = ForeseenBalance(view, account_currency, periods[account_id], estimated.run, undrawn, own, now_us)
        return PrepaidLeft(balance, now_us, as_of=as_of, with_more=foreseen.balance)

    return {account_currency: left(account_currency) for account_currency in dict.fromkeys(places)}
