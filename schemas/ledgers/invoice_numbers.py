"""Numbers of invoices that law wants, and of credit notes: gapless in a namespace, each given once, by the order of
usage.checkpoints.

That topic has one partition, so all followers agree. A record names invoices; those that have a number already keep it,
the others get the next ones in the order in which they are named. So whoever writes, how often and at the same time as
whom, no number is given twice and none is left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Numbered:
    """``invoice_id``: or that of a credit note. ``rank``: 1, 2, … in the namespace; ``text``: the number as it is
    printed, which never changes."""

    invoice_id: str
    rank: int
    text: str


class InvoiceNumbers:
    """The fold: what has been given so far."""

    def __init__(self) -> None:
        self._given: dict[str, dict[str, Numbered]] = {}

    def give(self, namespace: str, prefix: str, invoices: Iterable[str]) -> None:
        """Take the next record in log order."""
        given = self._given.setdefault(namespace, {})
        for name in invoices:
            if name not in given:
                rank = len(given) + 1
                given[name] = Numbered(name, rank, f"{prefix}{rank:06d}")

    def namespaces(self) -> list[str]:
        """Those in which numbers were given."""
        return sorted(self._given)

    def given(self, namespace: str) -> list[Numbered]:
        """All of a namespace, ascending."""
        return list(self._given.get(namespace, {}).values())

    def of(self, namespace: str, invoice_id: str) -> Numbered | None:
        """An invoice's number."""
        return self._given.get(namespace, {}).get(invoice_id)
