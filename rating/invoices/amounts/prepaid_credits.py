"""Prepaid credits: grants from the catalog, and their balances derived from valid invoices. Pure.

A grant's balance is its amount minus the credit lines on invoices that are not void, plus what their credit notes
restored; there is no second ledger. So two processes of one run draw alike, and voiding an invoice restores what it
drew.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from rating.invoices.amounts.line_balances import returned
from rating.invoices.amounts.recurrences import Pauses, code_at, grant_of, granted_by, left_at
from rating.pricing import money_text
from rating.pricing.exact import exact_sum, exactly
from rating.pricing.reduction_lines import Balance
from schemas.catalog.state import Entry, NamespaceView
from schemas.catalog.terms import CreditGrant, boundary, in_force
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import (
    Invoice,
)
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject

CREDIT: Final = "credit:"  # prefix of a credit line's charge, followed by the grant's code


@dataclass(frozen=True, slots=True)
class Owned:
    """A grant with the account whose time zone its dates use. ``retired``: nothing draws on it any more; ``pauses``:
    when it was, if it recurs."""

    grant: CreditGrant
    account_id: str
    zone: str
    retired: bool = False
    pauses: Pauses = ()

    @property
    def owner(self) -> tuple[str, str]:
        """The owner whose invoices draw on it: ("account", code) or ("subscription", code)."""
        if self.grant.account is not None:
            return "account", self.grant.account
        return "subscription", self.grant.subscription or ""

    def left(self, used: Mapping[str, Decimal], at_us: int) -> Decimal:
        """What an invoice whose last moment that is could draw; ``used``: what was drawn on it, by the codes of its
        recurrences."""
        return left_at(self.grant, used, at_us, self.zone, self.pauses)

    def pays(self, currency: str, moment_us: int) -> bool:
        """Whether an invoice of its owner may draw on it, given the last moment of the invoice's period."""
        return (
            not self.retired
            and self.grant.currency == currency
            and in_force(self.grant.effective, self.grant.expires, moment_us, self.zone)
        )


def owned_grants(view: NamespaceView, *, retired: bool = False) -> tuple[Owned, ...]:
    """All grants in drawing order; ``retired``: also retired ones, as they last were."""
    owned = [
        _owned(view, versions) for versions in view.histories("credit_grant") if retired or not versions[-1].retired
    ]
    return _in_drawing_order(owned)


def grants_of_account(view: NamespaceView, account_id: str, *, retired: bool = False) -> tuple[Owned, ...]:
    """Those of ``owned_grants`` that the account or one of its subscriptions owns, without looking at others."""
    subscriptions = view.histories_referring("subscription", "account", account_id)
    owners = [("account", account_id), *(("subscription", history[0].code) for history in subscriptions)]
    newest = {
        history[0].code: history
        for kind, code in owners
        for history in view.histories_referring("credit_grant", kind, code)
    }
    owned = [_owned(view, versions) for versions in newest.values() if retired or not versions[-1].retired]
    return _in_drawing_order(grant for grant in owned if grant.account_id == account_id)


def _in_drawing_order(grants: Iterable[Owned]) -> tuple[Owned, ...]:
    return tuple(sorted(grants, key=lambda owned: owned.grant.order(owned.zone)))


def _owned(view: NamespaceView, versions: Sequence[Entry]) -> Owned:
    entry = versions[-1]
    grant: CreditGrant = entry.model
    account = grant.account
    if account is None:
        owners = view.history("subscription", grant.subscription or "")
        account = owners[-1].model.account if owners else ""
    pauses = pauses_of(versions) if grant.recurrence is not None else ()
    return Owned(grant, account, view.time_zone(account), entry.retired, pauses)


def pauses_of(versions: Iterable[Entry]) -> Pauses:
    """When a grant was retired, by its versions."""
    pauses: list[tuple[int, int | None]] = []
    for version in versions:
        is_open = bool(pauses) and pauses[-1][1] is None
        if version.retired and not is_open:
            pauses.append((version.published_us, None))
        elif is_open and not version.retired:
            pauses[-1] = pauses[-1][0], version.published_us
    return tuple(pauses)


def drawn(invoices: Iterable[Invoice]) -> dict[str, Decimal]:
    """Code of a grant or of its recurrence → amount drawn by invoices that are not void, minus what was restored."""
    used: dict[str, Decimal] = {}
    with exactly():
        for invoice in invoices:
            if invoice.state != VOID:
                for line in invoice.lines:
                    if line.kind == "credit":
                        code = line.charge.removeprefix(CREDIT)
                        used[code] = used.get(code, Decimal(0)) - Decimal(line.amount)
                for code, amount in returned(invoice).items():
                    used[code] = used.get(code, Decimal(0)) - amount
    return used


def by_grant(used: Mapping[str, Decimal]) -> dict[str, dict[str, Decimal]]:
    """Grant → (its code, or those of its recurrences → amount drawn)."""
    grouped: dict[str, dict[str, Decimal]] = {}
    for code, amount in used.items():
        grouped.setdefault(grant_of(code), {})[code] = amount
    return grouped


class Wallet:
    """Balances while the invoices of one run are built in sequence. ``used``: code → amount drawn already."""

    def __init__(self, grants: Iterable[Owned] = (), used: Mapping[str, Decimal] | None = None) -> None:
        self._used: MutableMapping[str, dict[str, Decimal]] = by_grant(used or {})
        self._by_owner: dict[tuple[str, str], list[Owned]] = {}
        for grant in grants:
            self._by_owner.setdefault(grant.owner, []).append(grant)

    def apart(self) -> Wallet:
        """An independent copy, whose drawings do not affect this one."""
        copy = Wallet()
        copy._by_owner, copy._used = self._by_owner, ChainMap({}, self._used)
        return copy

    @property
    def used(self) -> dict[str, Decimal]:
        """Code → amount drawn by now."""
        return {code: amount for of_grant in self._used.values() for code, amount in of_grant.items()}

    def balances(self, account_id: str, subscription: str, currency: str, moment_us: int) -> list[Balance]:
        """The balances that an invoice may draw on, in order."""
        owned_grants = [
            owned
            for owner in (("account", account_id), ("subscription", subscription))
            for owned in self._by_owner.get(owner, ())
            if owned.pays(currency, moment_us)
        ]
        owned_grants.sort(key=lambda owned: owned.grant.order(owned.zone))
        return [
            Balance(
                code_at(owned.grant, moment_us, owned.zone),
                owned.grant.amount,
                self.left(owned, moment_us),
                owned.grant.products,
            )
            for owned in owned_grants
        ]

    def left(self, owned: Owned, at_us: int) -> Decimal:
        """What is left of a grant, whether or not it is in force; of its recurrence of that instant, if it recurs."""
        return owned.left(self._used.get(owned.grant.code, {}), at_us)

    def draw(self, invoice: Invoice) -> None:
        """Deduct what the invoice draws."""
        with exactly():
            for code, amount in drawn([invoice]).items():
                of_grant = self._used.get(grant_of(code), {})
                # Another one, since a wallet apart may have the first, too.
                self._used[grant_of(code)] = of_grant | {code: of_grant.get(code, Decimal(0)) + amount}


@dataclass(frozen=True, slots=True)
class GrantBalance:
    """A grant at an instant: ``granted`` (by then, if it recurs) = ``used`` + ``left`` + ``expired``, unless more was
    drawn than a later version grants.

    ``state``: pending (not in force yet), active, used (nothing is left), expired, retired.
    """

    owned: Owned
    state: str
    granted: Decimal
    used: Decimal
    left: Decimal
    expired: Decimal

    def to_json(self) -> JsonObject:
        """Ready for json.dumps: amounts in the grant's currency, instants in RFC 3339."""
        grant, zone = self.owned.grant, self.owned.zone
        effective, expires = boundary(grant.effective, zone), boundary(grant.expires, zone)
        return {
            "code": grant.code, "name": grant.name, "account_id": self.owned.account_id,
            "subscription": grant.subscription,
            "currency": grant.currency, "priority": grant.priority,
            "effective": None if effective is None else rfc3339(effective),
            "expires": None if expires is None else rfc3339(expires),
            "state": self.state, "granted": money_text(self.granted, grant.currency),
            "used": money_text(self.used, grant.currency), "left": money_text(self.left, grant.currency),
            "expired": money_text(self.expired, grant.currency),
            "products": list(grant.products),
            "source": grant.source,
            "cost_basis": None if grant.cost_basis is None else money_text(grant.cost_basis, grant.paid_in),
            "cost_currency": None if grant.cost_basis is None else grant.paid_in,
            "recurrence": None if grant.recurrence is None else grant.recurrence.model_dump(mode="json"),
        }  # fmt: skip


def grant_balances(
    view: NamespaceView, account_id: str, used: Mapping[str, Decimal], now_us: int
) -> list[GrantBalance]:
    """The grants of the account and its subscriptions, in drawing order."""
    of_grants = by_grant(used)
    return [
        _balance(owned_grant, of_grants.get(owned_grant.grant.code, {}), now_us)
        for owned_grant in grants_of_account(view, account_id, retired=True)
    ]


def _balance(owned: Owned, drawn_on: Mapping[str, Decimal], now_us: int) -> GrantBalance:
    zero = Decimal(0)
    granted = granted_by(owned.grant, now_us, owned.zone, owned.pauses)
    used = exact_sum(drawn_on.values())
    expires = boundary(owned.grant.expires, owned.zone)
    over = expires is not None and expires <= now_us
    left = zero if owned.retired or over else owned.left(drawn_on, now_us)
    expired = max(exact_sum((granted, -used, -left)), zero)
    if owned.retired or over:
        return GrantBalance(owned, "retired" if owned.retired else "expired", granted, used, left, expired)
    effective = boundary(owned.grant.effective, owned.zone)
    state = "used" if not left else "pending" if effective is not None and now_us < effective else "active"
    return GrantBalance(owned, state, granted, used, left, expired)
