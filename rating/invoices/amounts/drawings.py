"""How much of each invoice's charges prepaid credits have paid, according to all valid invoices of a chain. Pure.

A charge belongs to the invoice that billed it first, whichever invoice adjusts it. A drawing pays the charges of
its own invoice first, then what that invoice adds to earlier ones. If an invoice lowers an earlier one that prepaid
credits paid, without restoring them, that part has paid the later invoice's own charges first, then what it adds to
others. A discount that is off fees in advance belongs to the invoice that billed them, whichever invoice states it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from rating.invoices.amounts.credited_in_all import off_fees
from rating.invoices.amounts.line_balances import credited_by_line
from rating.invoices.amounts.prepaid.given_back import DrawnOn
from rating.invoices.amounts.prepaid.product_draws import (
    Restrictions,
    by_product,
    discounts_beyond,
    kept,
    product_key,
    restrictions_of,
)
from rating.invoices.amounts.prepaid_credits import CREDIT
from rating.pricing.exact import exactly
from rating.pricing.priced_line import ZERO
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_record import (
    Invoice,
    body_of,
)


@dataclass(slots=True, eq=False)
class _Account:
    """The charges of one invoice: the amount billed and not credited, in all and by product, and what grants paid of
    it, by the charge of their lines. ``restrictions``: those of the chain's grants of products."""

    restrictions: Restrictions
    currency: str
    left: Decimal = ZERO
    drawn: dict[str, Decimal] = field(default_factory=dict)
    amounts: dict[str, Decimal] = field(default_factory=dict)

    @property
    def paid(self) -> Decimal:
        return sum(self.drawn.values(), ZERO)

    def add(self, charge: str, amount: Decimal) -> None:
        self.drawn[charge] = self.drawn.get(charge, ZERO) + amount

    def change(self, key: str, amount: Decimal) -> None:
        """Charges of that key of ``AmountsByProduct`` come to so much more."""
        self.left += amount
        self.amounts[key] = self.amounts.get(key, ZERO) + amount

    def even(self, account: _Account) -> None:
        """A credit beyond these charges lowers other charges on the same invoice."""
        beyond = min(max(-self.left, ZERO), max(account.left, ZERO))
        if beyond:
            self.change("", beyond)
            account.change("", -beyond)

    def over(self) -> list[tuple[str, Decimal]]:
        """(charge, amount) that grants paid beyond what the charges come to, the last drawn first."""
        if not self.drawn:
            return []
        if self.restrictions.keys().isdisjoint(self.drawn):
            over, parts = self.paid - max(self.left, ZERO), []
            for charge, drawn in reversed(self.drawn.items()):
                part = min(over, drawn)
                if part > 0:
                    parts.append((charge, part))
                    over -= part
            return parts
        now = kept(self.drawn.items(), self.restrictions, self.left, self.amounts, self.currency)
        beyond = ((charge, drawn - now.get(charge, ZERO)) for charge, drawn in reversed(self.drawn.items()))
        return [(charge, amount) for charge, amount in beyond if amount > 0]

    def open_for(self, charge: str) -> Decimal:
        """What draws of that charge could still pay of the charges."""
        if charge not in self.restrictions and self.restrictions.keys().isdisjoint(self.drawn):
            return self.left - self.paid
        further = f"{charge} further"
        restrictions = {**self.restrictions, further: self.restrictions.get(charge, ())}
        drawn = [*self.drawn.items(), (further, max(self.left, ZERO))]
        return kept(drawn, restrictions, self.left, self.amounts, self.currency).get(further, ZERO)

    def pass_on(self, to: _Account, most: Decimal | None = None, *, restricted: bool = False) -> Decimal:
        """Move what grants paid beyond these charges to others that are not paid, up to ``most``; ``restricted``: what
        grants of products paid alone. What was moved."""
        moved = ZERO
        for charge, over in self.over() if to is not self else ():
            if restricted and charge not in self.restrictions:
                continue
            part = min(over, to.open_for(charge), over if most is None else most - moved)
            if part > 0:
                self.add(charge, -part)
                to.add(charge, part)
                moved += part
        return moved


_Part = tuple[_Account, Decimal, Mapping[str, Decimal]]
"""What an invoice bills of an account, in all and by product."""


def drawn_on(chain: Iterable[Invoice], names: Collection[str]) -> tuple[DrawnOn, ...]:
    """Drawings on the valid invoices among ``names``, in the chain's order; none at all where no grant has paid any of
    the chain."""
    standing = [invoice for invoice in chain if invoice.state != VOID]
    if all(line.kind != "credit" for invoice in standing for line in invoice.lines):
        return ()
    restrictions = restrictions_of(standing)
    accounts = {invoice.invoice_id: _Account(restrictions, invoice.currency) for invoice in standing}
    overdrawn: list[_Account] = []
    has_discounts = any('"discounts"' in invoice.body for invoice in standing)
    with exactly():
        for position, invoice in enumerate(standing):
            before = standing[:position] if has_discounts else ()
            touched = _book(invoice, accounts, off_fees(before, invoice) if before else ())
            overdrawn = _passed_on([*overdrawn, *touched], touched)
        return tuple(
            DrawnOn(name, of.left, tuple(of.drawn.items()) if of.paid else (), restrictions, of.amounts)
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
            account.pass_on(payee)
        if account.over():
            left.append(account)
    return left


def _book(invoice: Invoice, accounts: Mapping[str, _Account], moved: Iterable[tuple[str, Decimal]]) -> list[_Account]:
    """The accounts that the invoice changes, its own first."""
    own_account = accounts[invoice.invoice_id]
    changes: dict[str, dict[str, Decimal]] = {}
    draws: list[tuple[str, Decimal]] = []
    for line in invoice.lines:
        name, amount = line.adjusts or invoice.invoice_id, Decimal(line.amount)
        if line.kind != "credit":
            of_name, key = changes.setdefault(name, {}), product_key(line)
            of_name[key] = of_name.get(key, ZERO) + amount
        elif line.adjusts:
            accounts.get(name, own_account).add(line.charge, -amount)
        else:
            draws.append((line.charge, -amount))
    for carrier, amount in moved:
        own_changes, of_carrier = changes.setdefault(invoice.invoice_id, {}), changes.setdefault(carrier, {})
        for key, part in list(discounts_beyond(own_changes, amount)):
            of_carrier[key] = of_carrier.get(key, ZERO) + part
            own_changes[key] = own_changes.get(key, ZERO) - part
    for name, of_name in changes.items():
        for key, amount in of_name.items():
            accounts.get(name, own_account).change(key, amount)
    earlier: list[_Part] = [
        (accounts[name], sum(of_name.values(), ZERO), of_name)
        for name, of_name in changes.items()
        if accounts.get(name, own_account) is not own_account
    ]
    own_changes = changes.get(invoice.invoice_id, {})
    in_all = sum((sum(of_name.values(), ZERO) for of_name in changes.values()), ZERO)
    _pay((own_account, in_all, own_changes), earlier, draws)
    if '"credit_notes"' in invoice.body:
        _note(invoice, own_account, accounts)
        for account, _, _ in earlier:
            # A line was credited by more than its discounts had left, which lowers other charges of the invoice.
            own_account.even(account)
    added_to = [(account, amount) for account, amount, _ in earlier if amount > 0]
    for account, amount, _ in earlier:
        lowered = -amount
        if own_account.restrictions:
            for payee in (own_account, *(other for other, _, _ in earlier)):
                lowered -= account.pass_on(payee, restricted=True)
        for payee, most in [(own_account, lowered), *added_to]:
            if lowered > 0 and most > 0:
                lowered -= account.pass_on(payee, min(lowered, most))
        account.even(own_account)
    return [own_account, *(account for account, _, _ in earlier)]


def _pay(own: _Part, earlier: Iterable[_Part], draws: Sequence[tuple[str, Decimal]]) -> None:
    """Book the draws of an invoice on what it bills: ``own`` with what it bills in all, and what it adds to others."""
    parts = [own, *earlier]
    added = [max(amount, ZERO) for _, amount, _ in parts[1:]]
    room = [own[1] - sum(added, ZERO), *added]
    last = max((number for number, amount in enumerate(room) if number and amount), default=0)
    restrictions, currency = own[0].restrictions, own[0].currency
    of_products = [dict(by_product(amounts, currency)) for *_, amounts in parts] if restrictions else []
    rivals = Counter(product for charge, _ in draws for product in restrictions.get(charge, ()))
    for charge, amount in draws:
        for number, rooms in enumerate(of_products):
            for product in sorted(restrictions.get(charge, ()), key=rivals.__getitem__):
                part = min(amount, rooms.get(product, ZERO))
                if part > 0:
                    parts[number][0].add(charge, part)
                    rooms[product], room[number], amount = rooms[product] - part, room[number] - part, amount - part
        for number, open_part in enumerate(room):
            part = amount if number == last else min(amount, open_part)
            if part > 0:
                parts[number][0].add(charge, part)
                room[number], amount = open_part - part, amount - part


def _note(invoice: Invoice, account: _Account, accounts: Mapping[str, _Account]) -> None:
    """Deduct what the invoice's credit notes credited of the charges and restored to grants."""
    of_line = credited_by_line(invoice)
    for line in invoice.lines:
        if credited := of_line.get(line.number, ZERO):
            accounts.get(line.adjusts, account).change(product_key(line), -credited)
    for note in body_of(invoice).credit_notes:
        for part in note.get("prepaid", ()):
            accounts.get(part.get("invoice", ""), account).add(CREDIT + part["grant"], -Decimal(part["amount"]))
