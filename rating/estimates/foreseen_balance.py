"""An account's prepaid balance if more were used now: its running periods rated once more, from memory. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from rating.entitlements.grown_usage import grown_totals
from rating.estimates.account_state import PERMANENT
from rating.invoices.amounts.prepaid_credits import Wallet
from rating.invoicing.charges import Totals
from rating.invoicing.expected_invoice import Expected
from rating.invoicing.measure import needs_of
from rating.topups.shortfall import AccountCurrency, Shortfalls
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Run
from schemas.values.record_copy import replace


@dataclass(frozen=True, slots=True)
class ForeseenBalance:
    """One account in one currency at ``now_us`` (microseconds UTC). ``periods``: its running ones in the order of
    billing, with totals of it alone; ``wallet``: what they draw on, before they do, which nobody else changes;
    ``shortfalls``: of this account and currency."""

    view: NamespaceView
    account_currency: AccountCurrency
    periods: tuple[Expected, ...]
    run: Run
    wallet: Wallet
    shortfalls: Shortfalls
    now_us: int

    def balance(self, more: Mapping[str, Decimal]) -> Decimal | None:
        """With ``more`` (profile's id → quantity) in each running period; None where a price of these needs values that
        are not known before, or cannot be applied."""
        account_id, _ = self.account_currency
        wallet = self.wallet.apart()
        for expected in self.periods:
            needs = needs_of([expected.billing])
            totals = grown_totals(needs, expected.totals, account_id, self.now_us, more)
            if totals is None:
                return None
            try:
                expected.invoice(totals, self.run, wallet)
            except PERMANENT:  # so much could not be billed
                return None
        return self.shortfalls.balances(self.view, wallet, self.now_us, ())[self.account_currency]


def periods_of(account_id: str, periods: Iterable[Expected]) -> tuple[Expected, ...]:
    """Those of one account, without the totals of others."""
    return tuple(
        replace(expected, totals=_own_totals(account_id, expected))
        for expected in periods
        if expected.billing.account_id == account_id
    )


def _own_totals(account_id: str, expected: Expected) -> Totals:
    of_needs = ((need, expected.totals.get(need, {})) for need in needs_of([expected.billing]))
    return {need: {account_id: rows[account_id]} if account_id in rows else {} for need, rows in of_needs}
