"""Prepaid credits: grants from the catalog, and their balances derived from valid invoices. Pure.

A grant's balance is its amount minus the credit lines on invoices that are not void, plus what their credit notes
restored; there is no second ledger. So two processes of one run draw alike, and voiding an invoice restores what it
drew.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from rating.invoices.amounts.line_balances import returned
from rating.pricing import money_text
from rating.pricing.exact import exactly
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
    """A grant with the account whose time zone its dates use. ``retired``: nothing draws on it any more."""

    grant: CreditGrant
    account_id: str
    zone: str
    retired: bool = False

    @property
    def owner(self) -> tuple[str, str]:
        """The owner whose invoices draw on it: ("account", code) or ("subscription", code)."""
        if self.grant.account is not None:
            return "account", self.grant.account
        return "subscription", self.grant.subscription or ""

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
        _owned(view, versions[-1]) for versions in view.histories("credit_grant") if retired or not versions[-1].retired
    ]
    return _in_drawing_order(owned)


def grants_of_account(view: NamespaceView, account_id: str, *, retired: bool = False) -> tuple[Owned, ...]:
    """Those of ``owned_grants`` that the account or one of its subscriptions owns, without looking at others."""
    subscriptions = view.histories_referring("subscription", "account", account_id)
    owners = [("account", account_id), *(("subscription", history[0].code) for history in subscriptions)]
    newest = {
        history[0].code: history[-1]
        for kind, code in owners
        for history in view.histories_referring("credit_grant", kind, code)
    }
    owned = [_owned(view, entry) for entry in newest.values() if retired or not entry.retired]
    return _in_drawing_order(grant for grant in owned if grant.account_id == account_id)


def _in_drawing_order(grants: Iterable[Owned]) -> tuple[Owned, ...]:
    return tuple(sorted(grants, key=lambda owned: owned.grant.order(owned.zone)))


def _owned(view: NamespaceView, entry: Entry) -> Owned:
    grant: CreditGrant = entry.model
    account = grant.account
    if account is None:
        owners = view.history("subscription", grant.subscription or "")
        account = owners[-1].model.account if owners else ""
    return Owned(grant, account, view.time_zone(account), entry.retired)


def drawn(invoices: Iterable[Invoice]) -> dict[str, Decimal]:
    """Grant → amount drawn by invoices that are not void, minus what was restored."""
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


@dataclass(frozen=True, slots=True)
class DrawnOn:
    """What grants paid of an invoice's charges (``drawings.py``), minus what was restored since, by credit line
    charge in drawing order; ``left``: what it bills before credits, with all adjustments and credit notes so far."""

    invoice_id: str
    left: Decimal
    drawn: tuple[tuple[str, Decimal], ...]


def to_give_back(
    subtotal: Decimal, drawn: Iterable[DrawnOn], adjusting: Iterable[tuple[str, Decimal]]
) -> list[tuple[str, str, Decimal]]:
    """(adjusted invoice, charge of its credit line, amount) that a negative invoice restores to grants: what they
    would not have paid had the adjusted invoice billed its present amount from the beginning. The last drawn first."""
    given: list[tuple[str, str, Decimal]] = []
    with exactly():
        room = -subtotal
        changes: dict[str, Decimal] = {}
        for name, amount in adjusting:
            changes[name] = changes.get(name, Decimal(0)) + amount
        for draw in drawn:
            draw_total = sum((amount for _, amount in draw.drawn), Decimal(0))
            change = changes.get(draw.invoice_id, Decimal(0))
            left = max(draw.left + change, Decimal(0))
            # Limited to what this invoice credits of it, since earlier credits have reduced the drawings already.
            back = max(min(draw_total - left, room, -change), Decimal(0))
            for charge, amount in reversed(draw.drawn):
                part = min(back, amount)
                if part > 0:
                    given.append((draw.invoice_id, charge, part))
                    back, room = back - part, room - part
    return given


class Wallet:
    """Balances while the invoices of one run are built in sequence. ``used``: grant → amount drawn already."""

    def __init__(self, grants: Iterable[Owned] = (), used: Mapping[str, Decimal] | None = None) -> None:
        self._used: MutableMapping[str, Decimal] = dict(used or {})
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
        """Grant → amount drawn by now."""
        return dict(self._used)

    def balances(self, account_id: str, subscription: str, currency: str, moment_us: int) -> list[Balance]:
        """The balances that an invoice may draw on, in order."""
        owned_grants = [
            owned
            for owner in (("account", account_id), ("subscription", subscription))
            for owned in self._by_owner.get(owner, ())
            if owned.pays(currency, moment_us)
        ]
        owned_grants.sort(key=lambda owned: owned.grant.order(owned.zone))
        return [Balance(owned.grant.code, owned.grant.amount, self.left(owned)) for owned in owned_grants]

    def left(self, owned: Owned) -> Decimal:
        """What is left of a grant, whether or not it is in force."""
        with exactly():
            return max(owned.grant.amount - self._used.get(owned.grant.code, Decimal(0)), Decimal(0))

    def draw(self, invoice: Invoice) -> None:
        """Deduct what the invoice draws."""
        with exactly():
            for code, amount in drawn([invoice]).items():
                self._used[code] = self._used.get(code, Decimal(0)) + amount


@dataclass(frozen=True, slots=True)
class GrantBalance:
    """A grant at an instant: ``granted`` = ``used`` + ``left`` + ``expired``, unless more was drawn than a later
    version grants.

    ``state``: pending (not in force yet), active, used (nothing is left), expired, retired.
    """

    owned: Owned
    state: str
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
            "state": self.state, "granted": money_text(grant.amount, grant.currency),
            "used": money_text(self.used, grant.currency), "left": money_text(self.left, grant.currency),
            "expired": money_text(self.expired, grant.currency),
        }  # fmt: skip


def grant_balances(
    view: NamespaceView, account_id: str, used: Mapping[str, Decimal], now_us: int
) -> list[GrantBalance]:
    """The grants of the account and its subscriptions, in drawing order."""
    return [
        _balance(owned_grant, used.get(owned_grant.grant.code, Decimal(0)), now_us)
        for owned_grant in grants_of_account(view, account_id, retired=True)
    ]


def _balance(owned: Owned, used: Decimal, now_us: int) -> GrantBalance:
    zero = Decimal(0)
    with exactly():
        left = max(owned.grant.amount - used, zero)
    expires = boundary(owned.grant.expires, owned.zone)
    over = expires is not None and expires <= now_us
    if owned.retired or over:
        return GrantBalance(owned, "retired" if owned.retired else "expired", used, zero, left)
    effective = boundary(owned.grant.effective, owned.zone)
    state = "used" if not left else "pending" if effective is not None and now_us < effective else "active"
    return GrantBalance(owned, state, used, left, zero)
