"""Credit notes: reduce the amount due of an invoice or of single lines, or restore the prepaid credits that paid
it. Pure; a credit note is part of the invoice's next version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from rating.invoices.amounts.creditable import creditable, part_of
from rating.invoices.amounts.credited_in_all import beside, moved_off
from rating.invoices.amounts.drawings import drawn_on
from rating.invoices.amounts.line_balances import (
    adjusted_by,
    balance_of,
    left_of_lines,
    noted_in_all,
)
from rating.invoices.amounts.note_spread import at_most, discounted, spread
from rating.invoices.amounts.prepaid.given_back import DrawnOn, to_give_back, to_give_back_of_products
from rating.invoices.amounts.prepaid.product_draws import product_key
from rating.invoices.amounts.prepaid_credits import CREDIT
from rating.invoices.amounts.settlement_effects import added_by_true_ups
from rating.invoices.chain import is_interim, last_order, voids_of
from rating.invoices.transitions import ChangeRefused, amount_paid, check_digits, entries, settled
from rating.pricing import money_text, plain
from rating.pricing.exact import exact_sum, round_money, share
from schemas.ledgers.invoice_claims import VOID
from schemas.ledgers.invoice_details import CreditedLineRecord, CreditNoteEntry, GivenBack, NoteClaim
from schemas.ledgers.invoice_record import Invoice, Line, body_of
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject


@dataclass(frozen=True, slots=True)
class LineCredit:
    """Credit on line ``number``: an ``amount`` in the invoice's currency, or a ``quantity`` at the line's average
    price."""

    number: int
    amount: Decimal | None = None
    quantity: Decimal | None = None

    def to_json(self) -> JsonObject:
        """The credit as requested, by which a repeated request is recognised."""
        what = {"amount": self.amount, "quantity": self.quantity}
        return {"line": self.number} | {name: plain(value) for name, value in what.items() if value is not None}


@dataclass(frozen=True, slots=True)
class NewCreditNote:
    """A requested credit note: an ``amount`` in the invoice's currency, or ``lines``, whose sum it is.
    ``reference``: unique identifier."""

    reference: str
    amount: Decimal | None
    reason: str
    author: str
    at_us: int
    lines: tuple[LineCredit, ...] = ()

    def same(self, recorded: CreditNoteEntry) -> bool:
        """Whether the recorded note stems from an equal request."""
        if self.amount is not None:
            return "lines" not in recorded and noted_in_all([recorded]) == self.amount
        return bool(
            [line.to_json() for line in self.lines]
            == [recorded_line["asked"] for recorded_line in recorded.get("lines", ())]
        )


def credit_note_id(invoice_id: str, number: int) -> str:
    """The id of an invoice's credit note in the number series."""
    return f"{invoice_id}-C{number}"


def with_credit_note(invoice: Invoice, note: NewCreditNote, chain: Sequence[Invoice] = ()) -> Invoice | None:
    """``invoice`` with another credit note; None if it is recorded already. Raises Refused.

    Credit notes never exceed what was billed, in total and per line, minus what later invoices of ``chain``
    credited of it. What prepaid credits had paid is restored to them (``prepaid``) once nothing else of the invoice
    is owed; ``amount`` is the remainder. Payments beyond the new amount due must be refunded.
    """
    name, currency = invoice.invoice_id, invoice.currency
    notes = entries(invoice, "credit note", body_of(invoice).credit_notes, note.reference, note.same)
    if notes is None:
        return None
    if Decimal(invoice.total) < 0:
        raise ChangeRefused(
            f"invoice {name} is a credit of {money_text(-Decimal(invoice.total), currency)} {currency} itself; pay "
            "it back"
            " (`weir invoice pay` with a negative amount), or let the account's next invoice draw on it"
        )
    if is_interim(invoice):
        raise ChangeRefused(
            f"invoice {name} is an interim one, which the invoice of its period takes off again; credit that invoice"
            " once it is there, take back the events (`weir void KEY`), or void this one"
        )
    lines = [_credited(invoice, notes, requested, chain) for requested in _once(name, note.lines)]
    amount = exact_sum(Decimal(line["amount"]) for line in lines) if note.amount is None else note.amount
    check_digits(amount, currency)
    left = _left(invoice, chain, notes)
    uncredited = left_of_lines(chain, invoice)
    weights = discounted(invoice, uncredited.each, uncredited.unnoted)
    limit = left
    if not lines and uncredited.adjusted:
        # A line is credited once: the note excludes what adjustments have credited of it.
        limit = min(left, round_money(exact_sum(part for _, part in weights), currency))
    if chain:
        of_parts = creditable(invoice, chain, {line["line"] for line in lines}, dict(uncredited.each))
        limit = min(limit, round_money(exact_sum(of_parts.values()), currency))
        weights = at_most(weights, of_parts, {line.number: part_of(invoice, line, chain) for line in invoice.lines})
    if not 0 < amount <= limit:
        raise ChangeRefused(
            f"a credit note over {plain(amount)} {currency} does not fit invoice {name}, of which "
            f"{money_text(limit, currency)} are"
            " not credited; give more than 0 and at most that"
        )
    parts, is_uneven = lines, False
    if not lines:
        has_room = round_money(exact_sum(part for _, part in weights), currency) >= amount
        parts = spread(amount, weights if has_room else uncredited.each, currency)
        is_uneven = parts != spread(amount, uncredited.each, currency)  # a note without ``spread`` is in proportion
    back = _given_back(invoice, chain, amount, parts)
    owed = exact_sum((amount, *(-part for *_, part in back)))
    entry: CreditNoteEntry = {
        "number": len(notes) + 1, "reference": note.reference, "amount": money_text(owed, currency), "tax_amount": None,
        "reason": note.reason, "author": note.author, "at": rfc3339(note.at_us), "series": True,
    }  # fmt: skip
    if lines:
        entry["lines"] = lines
    if back:
        entry["subtotal"] = money_text(amount, currency)
        entry["prepaid"] = [_given(grant, part, currency, paid if paid != name else None) for paid, grant, part in back]
    if not lines and (uncredited.adjusted or back or is_uneven):
        entry["spread"] = parts
    if not chain:
        return settled(invoice, {"credit_notes": [*notes, entry]})
    order = entry["order"] = last_order(chain) + 1
    claim: NoteClaim = {
        "version": invoice.version + 1,
        "head": chain[-1].invoice_id,
        "voids": list(voids_of(chain)),
        "order": order,
    }
    return settled(invoice, {"credit_notes": [*notes, entry], "credited": claim})


def _given(grant: str, amount: Decimal, currency: str, invoice_id: str | None) -> GivenBack:
    """``invoice_id``: the invoice whose charges the grant had paid; None for the invoice itself."""
    given: GivenBack = {"grant": grant, "amount": money_text(amount, currency)}
    if invoice_id is not None:
        given["invoice"] = invoice_id
    return given


def _left(invoice: Invoice, chain: Sequence[Invoice], notes: Sequence[CreditNoteEntry]) -> Decimal:
    """The amount billed before prepaid credits that is not credited by credit notes or later invoices."""
    drew = (-Decimal(line.amount) for line in invoice.lines if line.kind == "credit")
    of_terms = added_by_true_ups(chain, invoice.invoice_id), moved_off(chain, invoice.invoice_id, invoice.currency)
    adjusted = min(exact_sum((adjusted_by(chain, invoice), *of_terms)), Decimal(0))
    return max(exact_sum((Decimal(invoice.total), *drew, adjusted, -noted_in_all(notes))), Decimal(0))


def _given_back(
    invoice: Invoice,
    chain: Sequence[Invoice],
    amount: Decimal,
    parts: Iterable[CreditedLineRecord],
) -> list[tuple[str, str, Decimal]]:
    """(invoice whose charges it had paid, grant, amount) that prepaid credits would not have paid had this much
    less been billed; the amount owed in money is reduced first, as far as this invoice billed any and later ones did
    not pay it back. ``parts``: what is credited of each line."""
    name, adjusts = invoice.invoice_id, {line.number: line.adjusts for line in invoice.lines}
    keys = {line.number: product_key(line) for line in invoice.lines}
    credits = [
        (adjusts.get(part["line"]) or name, keys.get(part["line"], ""), -Decimal(part["amount"])) for part in parts
    ]
    drawn = drawn_on(chain or [invoice], {name, *(line.adjusts for line in invoice.lines)})
    room: dict[str, Decimal] = {}
    for _, key, part in credits:
        room[key] = exact_sum((room.get(key, Decimal(0)), -part))
    given = to_give_back_of_products(drawn, credits, room, invoice.currency)
    owed = exact_sum((-amount, *(part for *_, part in given)))
    given += to_give_back(owed, drawn, [(of, part) for of, _, part in credits], given)
    in_money = max(min(_money([invoice]), _money(chain or [invoice])), Decimal(0))
    short = exact_sum((amount, -in_money, *(-part for *_, part in given)))
    if short > 0 and chain:
        # What terms of later invoices give less because these settle this one's fees was paid there.
        settling = {item.invoice_id for item in chain if any(line.adjusts == name for line in item.lines)} - {name}
        drawn = (*drawn_on(chain, settling), *(paid for paid in drawn if paid.invoice_id not in settling))
        around = beside(chain, {name} | settling) - {paid.invoice_id for paid in drawn}
        drawn = (*drawn, *drawn_on(chain, around))
        # At last what paid any other: no money is owed that the note could lower.
        others = {item.invoice_id for item in chain} - {paid.invoice_id for paid in drawn}
        drawn = (*drawn, *drawn_on(chain, others))
    given += _more(drawn, given, short)
    sums: dict[tuple[str, str], Decimal] = {}
    for paid, charge, part in given:
        sums[paid, charge] = exact_sum((sums.get((paid, charge), Decimal(0)), part))
    return [(paid, charge.removeprefix(CREDIT), part) for (paid, charge), part in sums.items()]


def _money(invoices: Iterable[Invoice]) -> Decimal:
    """What the valid ones ask for in money, less what they pay back and what credit notes took off it."""
    return exact_sum(
        part
        for invoice in invoices
        if invoice.state != VOID
        for part in (Decimal(invoice.total), -amount_paid(body_of(invoice).credit_notes))
    )


def _more(
    drawn: Iterable[DrawnOn], given: Sequence[tuple[str, str, Decimal]], short: Decimal
) -> Iterator[tuple[str, str, Decimal]]:
    """Drawings that are not in ``given``, up to a total of ``short``."""
    for draw in drawn:
        for charge, drawn_amount in reversed(draw.drawn):
            given_already = (-part for name, of, part in given if (name, of) == (draw.invoice_id, charge))
            part = min(exact_sum((drawn_amount, *given_already)), short)
            if part > 0:
                short = exact_sum((short, -part))
                yield draw.invoice_id, charge, part


def credited(notes: Iterable[CreditNoteEntry], number: int) -> tuple[Decimal, Decimal]:
    """(amount, quantity) that credit notes credited of a line."""
    credited_lines = [line for note in notes for line in note.get("lines", ()) if line["line"] == number]
    quantities = (Decimal(line["quantity"]) for line in credited_lines if line["quantity"] is not None)
    return exact_sum(Decimal(line["amount"]) for line in credited_lines), exact_sum(quantities)


def _once(name: str, lines: Sequence[LineCredit]) -> Sequence[LineCredit]:
    if len({line.number for line in lines}) < len(lines):
        raise ChangeRefused(f"a credit note of invoice {name} names a line twice; give each line once")
    return lines


def _credited(
    invoice: Invoice, notes: Sequence[CreditNoteEntry], requested: LineCredit, chain: Sequence[Invoice]
) -> CreditedLineRecord:
    """A line of a credit note. Raises Refused."""
    currency = invoice.currency
    line = next((line for line in invoice.lines if line.number == requested.number), None)
    if line is None:
        raise ChangeRefused(
            f"invoice {invoice.invoice_id} has lines 1 to {len(invoice.lines)}, no line {requested.number}"
        )
    line_text = f"line {requested.number} of invoice {invoice.invoice_id}"
    billed = Decimal(line.amount)
    if billed <= 0:
        raise ChangeRefused(
            f"{line_text} bills {money_text(billed, currency)} {currency}, of which nothing can be credited; choose "
            "another line"
        )
    credited_amount, units = credited(notes, requested.number)
    left = exact_sum((billed, -credited_amount))
    if chain:
        left = max(min(left, balance_of(chain, invoice, line)), Decimal(0))
    amount = (
        requested.amount
        if requested.amount is not None
        else _of_quantity(line, requested.quantity, units, left, currency, line_text)
    )
    check_digits(amount, currency)
    if not 0 < amount <= left:
        raise ChangeRefused(
            f"{plain(amount)} {currency} of {line_text} cannot be credited: {money_text(left, currency)} of it are "
            "not credited;"
            " give more than 0 and at most that"
        )
    return {
        "line": requested.number, "charge": line.charge, "product": line.product, "description": line.description,
        "quantity": None if requested.quantity is None else plain(requested.quantity), "unit": line.unit,
        "amount": money_text(amount, currency), "tax_amount": None, "asked": requested.to_json(),
    }  # fmt: skip


def _of_quantity(
    line: Line, quantity: Decimal | None, units: Decimal, left: Decimal, currency: str, line_text: str
) -> Decimal:
    """The amount of a part of a line's quantity at its average price; the last part gets the remainder. Raises
    Refused."""
    billed_quantity = Decimal(line.quantity or 0)
    quantity_left = exact_sum((billed_quantity, -units))
    if quantity is None or not 0 < quantity <= quantity_left:
        raise ChangeRefused(
            f"{plain(quantity or Decimal(0))} of the quantity of {line_text} cannot be credited: "
            f"{plain(quantity_left)} of {plain(billed_quantity)} are not"
            " credited; give more than 0 and at most that, or an amount"
        )
    if quantity == quantity_left:
        return left
    return min(round_money(share(Decimal(line.amount), quantity, billed_quantity), currency), left)
