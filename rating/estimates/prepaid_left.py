"""What is left of prepaid credit in some currencies of some accounts: the balance that top-ups and floors go by."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from clickhouse_connect.driver.client import Client

from rating.entitlements.prepaid_floors import PrepaidLeft
from rating.estimates.account_state import PERMANENT, read_accounts
from rating.topups.shortfall import AccountCurrency, Shortfalls
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Checkpoints


def prepaid_left(
    client: Client, view: NamespaceView, places: Collection[AccountCurrency], checkpoints: Checkpoints, now_us: int
) -> Mapping[AccountCurrency, PrepaidLeft]:
    """The balance of each account in each currency, as of now. Blocking; raises what reading the accounts raises, and
    UnknownCheckpoint."""
    accounts = list(dict.fromkeys(account for account, _ in places))
    state = read_accounts(client, view, accounts, now_us)
    shortfalls = Shortfalls.of(view, places)
    estimated = state.estimate(client, checkpoints, shortfalls.grants.values())
    wallet = estimated.inputs.wallet()
    unrated = {**estimated.unbilled, **estimated.problems}
    for expected in estimated.periods:
        try:
            expected.invoice(expected.totals, estimated.run, wallet)
        except PERMANENT as error:
            unrated[expected.running.line.subscription] = str(error)
    # What cannot be rated draws on nothing: the balance would be too high.
    problems = {state.account_of(name): f"subscription {name}: {why}" for name, why in unrated.items()}
    balances = shortfalls.balances(view, wallet, now_us, problems)
    return {
        account_currency: PrepaidLeft(balances.get(account_currency), now_us, problems.get(account_currency[0], ""))
        for account_currency in dict.fromkeys(places)
    }
