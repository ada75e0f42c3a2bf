"""What verification finds in Invoice records, as if ClickHouse had them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from rating.verify.chains import Head, StoredLine
from rating.verify.difference import Findings
from rating.verify.independent.discounts_and_credits import Drawn, check_granted, check_lot
from rating.verify.independent.restricted_draws import check_pinned_products
from schemas.catalog.state import Catalog
from schemas.ledgers.invoice_record import Invoice


def head_of(value: Invoice) -> Head:
    return Head(
        value.namespace, value.invoice_id, value.version, value.predecessor, value.subscription, value.sequence,
        value.account_id, value.period_start, value.period_end, 1, 0, value.state, value.currency, value.body,
        Decimal(value.total), value.as_of, value.time_zone,
    )  # fmt: skip


def lines_of(value: Invoice) -> list[StoredLine]:
    return [
        StoredLine(
            line.number, line.kind, line.profile_id, (), line.period_start, line.period_end, None, None,
            line.price, Decimal(line.amount), line.unrounded, line.charge, line.product, line.adjusts,
        )
        for line in value.lines
    ]  # fmt: skip


def verified(invoices: Iterable[Invoice], catalog: Catalog | None = None) -> list[str]:
    """The newest versions of all invoices of some chains, void ones too, against their terms, notes and credits."""
    heads = [head_of(invoice) for invoice in invoices]
    lines = {(invoice.namespace, invoice.invoice_id, invoice.version): lines_of(invoice) for invoice in invoices}
    findings = Findings()
    used: Drawn = {}
    check_lot(heads, lines, used, findings)
    check_granted(used, catalog or Catalog(), findings)
    check_pinned_products(heads, lines, catalog or Catalog(), findings)
    return [str(difference) for difference in findings.differences()]
