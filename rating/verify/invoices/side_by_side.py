"""Invoices of the topic and of ClickHouse side by side, in the order of their ids, without holding all of either."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from rating.invoices.read import read_in_order
from rating.invoices.stored_invoice import WholeInvoice
from rating.verify.scope import Scope
from schemas.ledgers.invoice_record import Invoice

_PAGE: Final = 2_000


def copies(scope: Scope, namespace: str, *, drafts: bool) -> Iterator[WholeInvoice]:
    """What ClickHouse has of a namespace, in the order of ids: invoices, or drafts that have not become invoices; of
    those to look at."""
    after: str | None = ""
    while after is not None:
        page, after = read_in_order(scope.client, namespace, after, _PAGE, drafts=drafts, since_us=scope.since_us)
        yield from page


def side_by_side(
    originals: Iterable[Invoice], copies: Iterable[WholeInvoice]
) -> Iterator[tuple[Invoice | None, WholeInvoice | None]]:
    """Both are in the order of their ids; None where one lacks what the other has."""
    left, right = iter(originals), iter(copies)
    original, copy = next(left, None), next(right, None)
    while original is not None or copy is not None:
        if copy is None or (original is not None and _id(original.invoice_id) < _id(copy.head.invoice_id)):
            yield original, None
            original = next(left, None)
        elif original is None or _id(copy.head.invoice_id) < _id(original.invoice_id):
            yield None, copy
            copy = next(right, None)
        else:
            yield original, copy
            original, copy = next(left, None), next(right, None)


def _id(name: str) -> bytes:
    """As both stores compare texts."""
    return name.encode()
