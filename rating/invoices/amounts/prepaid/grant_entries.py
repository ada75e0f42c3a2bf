"""The ledger of prepaid credit: every grant, draw, give-back, void and expiry as an entry, which add up to the balance
at any instant. Pure: derived from the catalog's versions and the invoices; there is nothing to keep in step.

A grant's balance at an instant is what ``prepaid_credits.grant_balances`` says by what was known then: 0 once it has
expired or is retired, else what was granted less what was drawn. What happens to a grant that has expired is told, and
taken back by a further entry of kind ``expiry``, so nothing appears or disappears in silence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

from rating.invoices.amounts.prepaid_credits import CREDIT, Owned, grants_of_account, pauses_of
from rating.invoices.amounts.recurrences import (
    Pauses,
    RecurrenceFold,
    date_of,
    grant_of,
    granted_by,
    recurrence_at,
    recurrence_start,
)
from rating.pricing import money_text
from rating.pricing.exact import exact_sum
from rating.pricing.priced_line import ZERO
from schemas.catalog.state import Entry, NamespaceView
from schemas.catalog.terms import CreditGrant, boundary
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_details import Body
from schemas.ledgers.invoice_record import Invoice, body_of
from schemas.values.instants import micros, parse_rfc3339, rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

EntryKind = Literal["grant", "change", "retirement", "draw", "give_back", "credit_note", "void", "expiry", "overdrawn"]
"""grant, change, retirement: the catalog's versions; draw, give_back: lines of invoices; credit_note, void: what these
restored; expiry: what nobody can use any more, above zero where that turned out to be less; overdrawn: what was drawn
beyond what a later version grants, which makes no balance fall below 0."""


@dataclass(frozen=True, slots=True)
class CreditedInvoice:
    """What an invoice has to do with grants. ``lines``: (number, grant, amount, adjusted invoice) of its credit lines,
    below zero for draws."""

    invoice_id: str
    as_of_us: int
    body: Body
    lines: Sequence[tuple[int, str, Decimal, str]]
    void: bool

    @property
    def finalised_us(self) -> int:
        """When it came to stand."""
        approved = self.body.approved
        return self.as_of_us if approved is None else micros(parse_rfc3339(approved["at"]))


def credited_invoice(invoice: Invoice) -> CreditedInvoice:
    """Of its record, newest version."""
    lines = [
        (line.number, line.charge.removeprefix(CREDIT), Decimal(line.amount), line.adjusts)
        for line in invoice.lines
        if line.kind == "credit"
    ]
    return CreditedInvoice(invoice.invoice_id, invoice.as_of, body_of(invoice), lines, invoice.state == VOID)


@dataclass(frozen=True, slots=True)
class BalanceEntry:
    """``amount`` is what it adds to the grant's balance, which is ``balance`` after it, and ``total`` that of all the
    account's grants in the currency. ``invoice_id`` and ``line``, or ``note`` (a credit note's reference): what it
    stems from; ``version``: of the grant in the catalog, 0 where it stems from an invoice; ``recurrence``: local date
    of what was drawn on, "" of a grant that is given once."""

    at_us: int
    kind: EntryKind
    grant: str
    currency: str
    amount: Decimal
    invoice_id: str = ""
    line: int = 0
    note: str = ""
    version: int = 0
    recurrence: str = ""
    balance: Decimal = ZERO
    total: Decimal = ZERO

    def to_json(self) -> JsonObject:
        """Amounts with the currency's digits; null where a member does not apply."""
        return {
            "at": rfc3339(self.at_us), "kind": self.kind, "grant": self.grant, "currency": self.currency,
            "amount": money_text(self.amount, self.currency), "balance": money_text(self.balance, self.currency),
            "total": money_text(self.total, self.currency), "invoice_id": self.invoice_id or None,
            "line": self.line or None, "credit_note": self.note or None, "version": self.version or None,
            "recurrence": self.recurrence or None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Step:
    """Something that happens to a grant: a version of it, a recurrence or its expiry (neither ``version`` nor
    ``entry``), or an entry of an invoice. ``rank`` orders those of one instant."""

    at_us: int
    rank: int
    version: Entry | None = None
    entry: BalanceEntry | None = None


_VERSION: Final = 0
_RECURRENCE: Final = 1
_EXPIRY: Final = 2
_INVOICE: Final = 3


def balance_entries(
    view: NamespaceView, account_id: str, invoices: Iterable[CreditedInvoice], now_us: int
) -> list[BalanceEntry]:
    """All entries of the account's grants and its subscriptions' up to ``now_us``, oldest first. ``invoices``: the
    newest versions, void ones too, of all that drew on them, in the order in which they came to stand. What a close as
    of an instant before a grant was published drew on it is dated with that publication."""
    of_grant: dict[str, list[_Step]] = {}
    for invoice in invoices:
        for entry in _of_invoice(invoice):
            of_grant.setdefault(grant_of(entry.grant), []).append(_Step(entry.at_us, _INVOICE, entry=entry))
    entries: list[BalanceEntry] = []
    for owned in grants_of_account(view, account_id, retired=True):
        versions = view.history("credit_grant", owned.grant.code)
        steps = list(_of_versions(owned, versions, now_us))
        published_us = versions[0].published_us
        for step in of_grant.get(owned.grant.code, ()):
            steps.append(replace(step, at_us=max(step.at_us, published_us)))
        steps.sort(key=lambda step: (step.at_us, step.rank))
        entries += _booked(owned, steps)
    entries.sort(key=lambda entry: entry.at_us)
    totals: dict[str, Decimal] = {}
    summed: list[BalanceEntry] = []
    for entry in entries:
        total = totals[entry.currency] = exact_sum((totals.get(entry.currency, ZERO), entry.amount))
        summed.append(replace(entry, total=total))
    return summed


def _of_invoice(invoice: CreditedInvoice) -> Iterator[BalanceEntry]:
    name, at_us = invoice.invoice_id, invoice.finalised_us
    back: dict[str, Decimal] = {}
    for number, grant, amount, adjusts in invoice.lines:
        kind: EntryKind = "give_back" if adjusts or amount > 0 else "draw"
        yield BalanceEntry(at_us, kind, grant, "", amount, name, number)
        back[grant] = exact_sum((back.get(grant, ZERO), -amount))
    for note in invoice.body.credit_notes:
        for part in note.get("prepaid", ()):
            noted_us, amount = micros(parse_rfc3339(note["at"])), Decimal(part["amount"])
            yield BalanceEntry(noted_us, "credit_note", part["grant"], "", amount, name, note=note["reference"])
            back[part["grant"]] = exact_sum((back.get(part["grant"], ZERO), -amount))
    void = invoice.body.void
    if invoice.void and void is not None:
        for grant, amount in back.items():
            if amount:
                yield BalanceEntry(micros(parse_rfc3339(void["at"])), "void", grant, "", amount, name)


def _of_versions(owned: Owned, versions: Sequence[Entry], now_us: int) -> Iterator[_Step]:
    for number, version in enumerate(versions):
        yield _Step(version.published_us, _VERSION, version=version)
        until_us = versions[number + 1].published_us if number + 1 < len(versions) else now_us + 1
        grant: CreditGrant = version.model
        if grant.recurrence is not None and not version.retired and version.published_us < until_us:
            begun, last = (recurrence_at(grant, at_us, owned.zone) for at_us in (version.published_us, until_us - 1))
            for recurrence in range(begun + 1, last + 1):
                yield _Step(recurrence_start(grant, recurrence, owned.zone), _RECURRENCE)
        expires = boundary(grant.expires, owned.zone)
        if expires is not None and version.published_us < expires < until_us:
            yield _Step(expires, _EXPIRY)


def _booked(owned: Owned, steps: Iterable[_Step]) -> Iterator[BalanceEntry]:
    """The entries of one grant, each with its balance."""
    code, currency, zone = owned.grant.code, owned.grant.currency, owned.zone
    newest: Entry | None = None
    known: list[Entry] = []
    pauses: Pauses = ()
    used: dict[str, Decimal] = {}
    fold: RecurrenceFold | None = None
    granted, balance, was_retired, was_over = ZERO, ZERO, False, False
    for step in steps:
        entry = step.entry
        if entry is not None:
            used[entry.grant] = exact_sum((used.get(entry.grant, ZERO), -entry.amount))
            if fold is not None:
                fold.draw(entry.grant, -entry.amount)
            entry = replace(entry, grant=code, recurrence=date_of(entry.grant))
        elif step.version is not None or newest is not None:
            kind: EntryKind = "change" if step.version is not None and newest is not None else "grant"
            newest = step.version or newest
            assert newest is not None
            if step.version is not None:
                known.append(step.version)
                pauses = pauses_of(known)
                fold = RecurrenceFold(newest.model, zone, pauses, used)
            in_all = granted_by(newest.model, step.at_us, zone, pauses)
            entry = BalanceEntry(
                step.at_us, kind, code, currency, exact_sum((in_all, -granted)), version=newest.version
            )
            granted = in_all
        expires = boundary(newest.model.expires, zone) if newest is not None else None
        over = expires is not None and expires <= step.at_us
        retired = newest is not None and newest.retired
        left = ZERO if fold is None or retired or over else fold.left(step.at_us)
        if entry is not None and (entry.amount or (step.version is not None and entry.kind == "grant")):
            balance = exact_sum((balance, entry.amount))
            yield replace(entry, at_us=step.at_us, currency=currency, balance=balance)
        if balance != left:
            rest: EntryKind = "overdrawn"
            if retired or was_retired:
                rest = "retirement"
            elif over or was_over or (newest is not None and newest.model.recurrence is not None):
                rest = "expiry"
            amount, balance = exact_sum((left, -balance)), left
            source = entry or BalanceEntry(step.at_us, rest, code, currency, amount)
            yield replace(source, at_us=step.at_us, kind=rest, amount=amount, currency=currency, balance=balance)
        was_retired, was_over = retired, over
