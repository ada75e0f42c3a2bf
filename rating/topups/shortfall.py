"""The live balance of accounts with a floor, as a grant bought now would find it.

What running and ended periods leave to be paid in money, a grant would pay, and so it would be used before it is there.
So the balance is what is left of grants in force, less what an inexhaustible grant behind all others would pay: it is
one among them while the periods are rated, by the close's own code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeAlias

from rating.invoices.amounts.prepaid_credits import Owned, Wallet, grants_of_account
from rating.pricing.exact import exact_sum
from schemas.catalog.state import NamespaceView
from schemas.catalog.terms import CreditGrant

_INEXHAUSTIBLE: Final = Decimal(10) ** 15
_LAST: Final = 10_000_000
"""Priority behind all that the catalog takes."""
AccountCurrency: TypeAlias = tuple[str, str]
"""Account and currency of a balance."""


@dataclass(frozen=True, slots=True)
class Shortfalls:
    """The grants that show what is left to be paid in money, by (account, currency): to be among the account's grants
    while its periods are rated."""

    grants: Mapping[AccountCurrency, Owned]

    @classmethod
    def of(cls, view: NamespaceView, places: Iterable[AccountCurrency]) -> Shortfalls:
        """Those of the accounts and currencies, each once."""
        return cls({pair: _behind_all(view, *pair, number) for number, pair in enumerate(places)})

    def balances(
        self, view: NamespaceView, wallet: Wallet, now_us: int, unknown: Iterable[str]
    ) -> dict[AccountCurrency, Decimal]:
        """The balances, which may be below zero. ``wallet``: after all periods have drawn on it; ``unknown``: accounts
        of which something cannot be rated, which are left out."""
        without, used = frozenset(unknown), wallet.used
        balances: dict[AccountCurrency, Decimal] = {}
        for (account, currency), behind in self.grants.items():
            if account in without:
                continue
            owned = [grant for grant in grants_of_account(view, account) if grant.pays(currency, now_us)]
            left = exact_sum(wallet.left(grant, now_us) for grant in owned)
            missing = used.get(behind.grant.code, Decimal(0))
            balances[account, currency] = exact_sum((left, -missing))
        return balances


def _behind_all(view: NamespaceView, account_id: str, currency: str, number: int) -> Owned:
    """A grant that no catalog has: its code is no code, so that it is nobody's."""
    grant = CreditGrant(
        code="behind", account=account_id, amount=_INEXHAUSTIBLE, currency=currency, effective=None, expires=None
    ).model_copy(update={"code": f"~behind:{number}", "priority": _LAST})
    return Owned(grant, account_id, view.time_zone(account_id))
