"""Legal numbers of invoices and credit notes: without gaps in a namespace, assigned once, in the order of
usage.checkpoints.

That topic has one partition, so all followers agree. A record lists invoices; those without a number get the next
ones in the listed order. However many writers there are, and however often they write, no number is assigned twice
or skipped.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct


class Numbered(Struct, frozen=True):
    """A number. ``invoice_id``: id of the invoice or credit note; ``rank``: 1, 2, … in the namespace; ``text``: the
    number as printed, which never changes."""

    invoice_id: str
    rank: int
    text: str


class InvoiceNumbers:
    """The numbers assigned so far."""

    def __init__(self) -> None:
        self._given: dict[str, dict[str, Numbered]] = {}

    def give(self, namespace: str, prefix: str, invoices: Iterable[str]) -> None:
        """Apply the next record in log order."""
        given = self._given.setdefault(namespace, {})
        for name in invoices:
            if name not in given:
                rank = len(given) + 1
                given[name] = Numbered(name, rank, f"{prefix}{rank:06d}")

    def restore(self, namespace: str, numbers: Iterable[tuple[str, str]]) -> None:
        """Go on with the next ones that were given: (id, text), as ``given`` has them."""
        given = self._given.setdefault(namespace, {})
        for rank, (name, text) in enumerate(numbers, len(given) + 1):
            given[name] = Numbered(name, rank, text)

    def namespaces(self) -> list[str]:
        """The namespaces in which numbers were assigned."""
        return sorted(self._given)

    def given(self, namespace: str) -> list[Numbered]:
        """All numbers of a namespace, ascending."""
        return list(self._given.get(namespace, {}).values())

    def of(self, namespace: str, invoice_id: str) -> Numbered | None:
        """The number of an invoice, None if it has none."""
        return self._given.get(namespace, {}).get(invoice_id)
