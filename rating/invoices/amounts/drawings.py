"""How much of each invoice's charges prepaid credits have paid, according to all valid invoices of a chain. Pure.

A charge belongs to the invoice that billed it first, whichever invoice adjusts it. A drawing pays the charges of
its own invoice first, then what that invoice adds to earlier ones. If an invoice lowers an earlier one that prepaid
credits paid, without restoring them, that part has paid the later invoice's own charges first, then what it adds to
others. A discount that is off fees in advance belongs to the invoice that billed them, whichever invoice states it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from rating.invoices.amounts.credited_in_all import off_fees
from rating.invoices.amounts.line_balances import credited_by_line
from rating.invoices.amounts.prepaid_credits import CREDIT, DrawnOn
from rating.pricing.exact import exactly
from rating.pricing.priced_line import ZERO
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import (
    Invoice,
    body_of,
)


@dataclass(slots=True, eq=False)
class _Account:
    """The charges of one invoice: the amount billed and not credited, and what grants paid of it, by the charge of
    their lines."""

    left: Decimal = ZERO
    drawn: dict[str, Decimal] = field(default_factory=dict)

    @property
    def paid(self) -> Decimal:
        return sum(self.drawn.values(), ZERO)

    def add(self, charge: str, amount: Decimal) -> None:
        self.drawn[charge] = self.drawn.get(charge, ZERO) + amount

    def even(self, account: _Account) -> None:
        """A credit beyond these charges lowers other charges on the same invoice."""
        beyond = min(max(-self.left, ZERO), max(account.left, ZERO))
        self.left, account.left = self.left + beyond, account.left - beyond

    def move(self, amount: Decimal, to: _Account) -> None:
        """Move an amount, last drawing first."""
        for charge, drawn in reversed(list(self.drawn.items())):
            part = min(amount, drawn)
            if part > 0:
                self.add(charge, -part)
                to.add(charge, part)
                amount -= part


def drawn_on(chain: Iterable[Invoice], names: Collection[str]) -> tuple[DrawnOn, ...]:
    """Drawings on the valid invoices among ``names``, in the chain's order; none at all where no grant has paid any of
    the chain."""
    standing = [invoice for invoice in chain if invoice.state != VOID]
    if all(line.kind != "credit" for invoice in standing for line in invoice.lines):
        return ()
    accounts = {invoice.invoice_id: _Account() for invoice in standing}
    overdrawn: list[_Account] = []
    has_discounts = any('"discounts"' in invoice.body for invoice in standing)
    with exactly():
        for position, invoice in enumerate(standing):
            before = standing[:position] if has_discounts else ()
            touched = _book(invoice, accounts, off_fees(before, invoice) if before else ())
            overdrawn = _passed_on([*overdrawn, *touched], touched)
        return tuple(
            DrawnOn(name, of.left, tuple(of.drawn.items()) if of.paid else ())
            for name, of in accounts.items()
            if name in names
        )


def credited_of_void(chain: Iterable[Invoice], names: Collection[str]) -> dict[str, Decimal]:
    """Invoice among ``names`` → what valid invoices credit in money of what one added that was voided since. Where
    that is billed again, so much of it is paid by this credit, and not by grants."""
    added: dict[str, Decimal] = {}
    after: dict[str, Decimal] = {}
    with exactly():
        for invoice in chain if names else ():
            for line in invoice.lines:
                name, amount = line.adjusts, Decimal(line.amount)
                if name not in names:
                    continue
                if invoice.state != VOID:
                    if name in added:
                        after[name] = after.get(name, ZERO) + amount  # with what came back to grants
                elif line.kind != "credit":
                    added[name] = added.get(name, ZERO) + amount
        return {name: part for name, amount in after.items() if (part := min(added[name], -amount)) > 0}


def _passed_on(overdrawn: Iterable[_Account], touched: Iterable[_Account]) -> list[_Account]:
    """Those of which grants have paid more than they came to, after that has paid what others of an invoice leave open.
    A credit note says at once what it restored of later invoices' drawings, so what it credits may have been paid by
    what is moved only once these are booked."""
    left: list[_Account] = []
    for account in dict.fromkeys(overdrawn):
        for payee in touched:
            over = min(account.paid - max(account.left, ZERO), payee.left - payee.paid)
            if payee is not account and over > 0:
                account.move(over, payee)
        if account.paid > max(account.left, ZERO):
            left.append(account)
    return left


def _book(invoice: Invoice, accounts: Mapping[str, _Account], moved: Iterable[tuple[str, Decimal]]) -> list[_Account]:
    """The accounts that the invoice changes, its own first."""
    own_account = accounts[invoice.invoice_id]
    changes: dict[str, Decimal] = {}
    draws: list[tuple[str, Decimal]] = []
    for line in invoice.lines:
        name, amount = line.adjusts or invoice.invoice_id, Decimal(line.amount)
        if line.kind != "credit":
            changes[name] = changes.get(name, ZERO) + amount
        elif line.adjusts:
            accounts.get(name, own_account).add(line.charge, -amount)
        else:
            draws.append((line.charge, -amount))
    for carrier, amount in moved:
        changes[carrier] = changes.get(carrier, ZERO) + amount
        changes[invoice.invoice_id] = changes.get(invoice.invoice_id, ZERO) - amount
    for name, amount in changes.items():
        accounts.get(name, own_account).left += amount
    earlier = [
        (accounts[name], amount)
        for name, amount in changes.items()
        if accounts.get(name, own_account) is not own_account
    ]
    _pay(own_account, earlier, sum(changes.values(), ZERO), draws)
    if '"credit_notes"' in invoice.body:
        _note(invoice, own_account, accounts)
        for account, _ in earlier:
            # A line was credited by more than its discounts had left, which lowers other charges of the invoice.
            own_account.even(account)
    for account, amount in earlier:
        lowered = -amount
        for payee, most in [(own_account, lowered), *((other, added) for other, added in earlier if added > 0)]:
            over = min(account.paid - max(account.left, ZERO), lowered, most, payee.left - payee.paid)
            if over > 0:
                account.move(over, payee)
                lowered -= over
        account.even(own_account)
    return [own_account, *(account for account, _ in earlier)]


def _pay(
    own_account: _Account,
    earlier: Iterable[tuple[_Account, Decimal]],
    subtotal: Decimal,
    draws: Iterable[tuple[str, Decimal]],
) -> None:
    added = [(account, amount) for account, amount in earlier if amount > 0]
    room = [(own_account, subtotal - sum((amount for _, amount in added), ZERO)), *added]
    for charge, amount in draws:
        for number, (account, open_part) in enumerate(room):
            part = min(amount, open_part) if number + 1 < len(room) else amount
            if part > 0:
                account.add(charge, part)
                amount -= part
                room[number] = account, open_part - part


def _note(invoice: Invoice, account: _Account, accounts: Mapping[str, _Account]) -> None:
    """Deduct what the invoice's credit notes credited of the charges and restored to grants."""
    of_line = credited_by_line(invoice)
    for line in invoice.lines:
        accounts.get(line.adjusts, account).left -= of_line.get(line.number, ZERO)
    for note in body_of(invoice).credit_notes:
        for part in note.get("prepaid", ()):
            accounts.get(part.get("invoice", ""), account).add(CREDIT + part["grant"], -Decimal(part["amount"]))
