"""What a subscription's invoices had billed for a line before one of them, as ClickHouse has them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from rating.pricing.exact import exactly
from rating.verify.chains import Head, StoredLine, StoredLines


class EarlierBilling:
    """What a subscription's invoices before one had billed for a line, adjustments included."""

    def __init__(self, heads: Iterable[Head], lines: StoredLines) -> None:
        self._lines = lines
        self._heads = {(head.namespace, head.invoice_id): head for head in heads}

    def amount_before(self, head: Head, line: StoredLine) -> Decimal:
        """The amount billed for the line before ``head``. Invoices that were void when it was planned are left out; one
        that became void later had counted."""
        total = Decimal(0)
        voids = head.voids
        visited = {head.invoice_id}
        invoice = self._heads.get((head.namespace, head.predecessor))
        while invoice is not None and invoice.invoice_id not in visited:
            visited.add(invoice.invoice_id)
            counted = (
                ()
                if invoice.invoice_id in voids
                else self._lines.get((invoice.namespace, invoice.invoice_id, invoice.version), ())
            )
            for earlier_line in counted:
                original = invoice.invoice_id == line.adjusts and earlier_line.kind != "adjustment"
                same = (earlier_line.charge, earlier_line.start_us, earlier_line.end_us) == (
                    line.charge,
                    line.start_us,
                    line.end_us,
                )
                if same and (original or earlier_line.adjusts == line.adjusts):
                    with exactly():
                        total += earlier_line.amount
            invoice = self._heads.get((invoice.namespace, invoice.predecessor))
        return total

    def adjusted_by(self, head: Head, line: StoredLine) -> Head | None:
        """The invoice that a line adjusts; None if it adjusts none that is there."""
        return self._heads.get((head.namespace, line.adjusts)) if line.adjusts else None

    def beside(self, head: Head, line: StoredLine) -> list[StoredLine]:
        """The usage lines of the line's charge on the invoice that billed it first, itself included."""
        owner = self._heads.get((head.namespace, line.adjusts), head) if line.adjusts else head
        return [
            candidate
            for candidate in self._lines.get((owner.namespace, owner.invoice_id, owner.version), ())
            if candidate.kind == "usage" and (candidate.charge, candidate.profile_id) == (line.charge, line.profile_id)
        ]

    def price_by(self, head: Head, line: StoredLine) -> str:
        """The price of a line of ``beside`` as of ``head``: that of its last adjustment, which may know more of it."""
        visited, charge_and_period = {head.invoice_id}, (line.charge, line.start_us, line.end_us)
        invoice: Head | None = head
        while invoice is not None:
            if invoice.invoice_id not in head.voids:
                for candidate in self._lines.get((invoice.namespace, invoice.invoice_id, invoice.version), ()):
                    if (
                        candidate.profile_id
                        and (candidate.charge, candidate.start_us, candidate.end_us) == charge_and_period
                    ):
                        return candidate.price
            invoice = self._heads.get((invoice.namespace, invoice.predecessor))
            if invoice is None or invoice.invoice_id in visited:
                break
            visited.add(invoice.invoice_id)
        return line.price
