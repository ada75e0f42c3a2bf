"""What an invoice credits of which earlier invoices, so that what grants paid of these comes back to them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from rating.invoices.amounts.billed_of_period import NOTED
from rating.invoices.amounts.prepaid.given_back import DrawnOn, GivenParts, to_give_back_of_products
from rating.invoices.amounts.prepaid.product_draws import amounts_of, discounts_beyond, fallen, product_key
from rating.invoices.amounts.reductions import Agreed
from rating.invoicing.due import Due
from rating.pricing.exact import exact_sum
from schemas.ledgers.invoice_record import Line


def billed_anew(lines: Iterable[Line], interims: Sequence[str]) -> tuple[str, Decimal]:
    """(the last of ``interims``, what the invoice itself bills, 0 or more, with what it changes of discounts on them):
    charges of an interim invoice that are taken off are not credited as far as these bill them anew, so that what
    grants paid of them stays paid."""
    if not interims:
        return "", Decimal(0)
    billed = [line for line in lines if line.kind != "credit" and not line.charge.startswith(NOTED)]
    own_lines = (line for line in billed if not line.adjusts or (line.adjusts in interims and ":" in line.charge))
    return interims[-1], max(exact_sum(Decimal(line.amount) for line in own_lines), Decimal(0))


def beyond_own(lines: Sequence[Line], due: Due, agreed: Agreed) -> tuple[str, Decimal]:
    """(the invoice that billed the period's fees in advance, amount of zero or less): what discounts of the invoice's
    own period take off beyond its own charges, so off those fees. ``lines``: all of the invoice."""
    change = due.of_running
    own_lines = [line for line in lines if not line.adjusts and line.kind != "credit"]
    own_sum = exact_sum(Decimal(line.amount) for line in own_lines if change or line.period_start < due.end_us)
    return (agreed.ahead_before if change else agreed.before).carrier, min(own_sum, Decimal(0))


def given_back_of_products(lines: Sequence[Line], due: Due, agreed: Agreed, drawn: Sequence[DrawnOn]) -> GivenParts:
    """What comes back to grants of products since the invoice, of these lines, takes lines of these off others."""
    carrier, beyond = beyond_own(lines, due, agreed)
    own_amounts = amounts_of(
        line for line in lines if not line.adjusts and (due.of_running or line.period_start < due.end_us)
    )
    changes = [(line.adjusts, product_key(line), Decimal(line.amount)) for line in lines if line.adjusts]
    if carrier:
        changes += [(carrier, key, amount) for key, amount in discounts_beyond(own_amounts, beyond)]
    return to_give_back_of_products(drawn, changes, fallen(lines), due.plan.currency)
