"""What verification finds in Invoice records, as if ClickHouse had them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from rating.verify.chains import Head, StoredLine
from rating.verify.difference import Findings
from rating.verify.independent.discounts_and_credits import check_reductions
from schemas.catalog.state import Catalog
from schemas.ledgers.invoice_record import Invoice


def head_of(one: Invoice) -> Head:
    return Head(
        one.namespace, one.invoice_id, one.version, one.predecessor, one.subscription, one.sequence,
        one.account_id, one.period_start, one.period_end, 1, 0, one.state, one.currency, one.body,
        Decimal(one.total), one.as_of,
    )  # fmt: skip


def lines_of(one: Invoice) -> list[StoredLine]:
    return [
        StoredLine(
            line.number, line.kind, line.profile_id, (), line.period_start, line.period_end, None, None,
            line.price, Decimal(line.amount), line.unrounded, line.charge, line.product, line.adjusts,
        )
        for line in one.lines
    ]  # fmt: skip


def verified(invoices: Iterable[Invoice], catalog: Catalog | None = None) -> list[str]:
    """The newest versions of all invoices of some chains, void ones too, against their terms, notes and credits."""
    heads = [head_of(one) for one in invoices]
    lines = {(one.namespace, one.invoice_id, one.version): lines_of(one) for one in invoices}
    findings = Findings()
    check_reductions(heads, lines, catalog or Catalog(), findings)
    return [str(one) for one in findings.differences()]
