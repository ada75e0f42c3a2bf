"""Check 4, first half: invoices as ClickHouse has them, and each subscription's chain of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from rating.verify.difference import Findings
from rating.verify.scope import Scope
from schemas.values.instants import rfc3339

COPY_REMEDY: Final = "`weir verify` compares it with usage.invoices; where ClickHouse's copy is wrong, `weir copies rebuild invoices` writes it again"

_HEADS: Final = """
SELECT toString(namespace), invoice_id, version, predecessor, subscription, sequence, account_id, toUnixTimestamp64Micro(period_start),
    toUnixTimestamp64Micro(period_end), checkpoint, catalog_offset, toString(state), toString(currency), body, toString(total),
    toUnixTimestamp64Micro(as_of)
FROM invoices FINAL WHERE {where} ORDER BY version DESC LIMIT 1 BY namespace, invoice_id"""
_LINES: Final = """
SELECT toString(namespace), invoice_id, version, number, toString(kind), profile_id, profile_versions,
    toUnixTimestamp64Micro(period_start), toUnixTimestamp64Micro(period_end), toString(quantity), events, price,
    toString(amount), unrounded, charge, product, adjusts
FROM invoice_lines FINAL WHERE {where} ORDER BY namespace, invoice_id, version, number"""


@dataclass(frozen=True, slots=True)
class Head:
    namespace: str
    invoice_id: str
    version: int
    predecessor: str
    subscription: str
    sequence: int
    account_id: str
    start_us: int
    end_us: int
    checkpoint: int
    catalog_offset: int
    state: str
    currency: str
    body: str
    total: Decimal
    as_of_us: int = 0

    @property
    def voids(self) -> frozenset[str]:
        """Void invoices of its subscription that it was planned after; others were void later, and counted then."""
        return frozenset(json.loads(self.body or "{}").get("voids", ()))

    @property
    def reissues(self) -> str:
        """The void invoice whose period it bills again."""
        return str(json.loads(self.body or "{}").get("reissues", ""))

    @property
    def place(self) -> str:
        return f"invoice {self.invoice_id} of {self.namespace} {self.account_id} {rfc3339(self.start_us)}"


@dataclass(frozen=True, slots=True)
class StoredLine:
    number: int
    kind: str
    profile_id: str
    profile_versions: tuple[int, ...]
    start_us: int
    end_us: int
    quantity: Decimal | None
    events: int | None
    price: str
    amount: Decimal
    unrounded: str
    charge: str
    product: str
    adjusts: str


StoredLines = Mapping[tuple[str, str, int], Sequence[StoredLine]]
"""(namespace, invoice_id, version) → its lines."""


def read_invoices(scope: Scope) -> tuple[list[Head], StoredLines]:
    """The newest version of every invoice, and the lines of all versions."""
    heads = [_head(row) for row in scope.rows(_HEADS.format(where=scope.of_namespace))]
    lines: dict[tuple[str, str, int], list[StoredLine]] = {}
    for row in scope.rows(_LINES.format(where=scope.of_namespace)):
        lines.setdefault((row[0], row[1], int(row[2])), []).append(_line(row[3:]))
    return heads, lines


def check_chains(heads: Iterable[Head], findings: Findings) -> None:
    """Each subscription's invoices follow one another without gap or fork, void ones included."""
    chains: dict[tuple[str, str], list[Head]] = {}
    for head in heads:
        chains.setdefault((head.namespace, head.subscription), []).append(head)
    for chain in chains.values():
        by_id = {head.invoice_id: head for head in chain}
        followers: dict[str, Head] = {}
        for head in sorted(chain, key=lambda one: (one.start_us, one.sequence, one.invoice_id)):
            before = by_id.get(head.predecessor)
            if head.predecessor and before is None:
                findings.add(
                    "invoice chain",
                    f"{head.place}, predecessor",
                    "an invoice of its subscription",
                    head.predecessor,
                    COPY_REMEDY,
                )
            elif before is not None:
                # A further invoice of the same period holds adjustments alone; else each begins where the last one
                # ended.
                other = _begins_with(head, before, by_id)
                edge, begins = ("ended", other.end_us) if head.sequence == 0 else ("began", other.start_us)
                if head.start_us != begins:
                    findings.add(
                        "invoice chain", f"{head.place}, period start", f"{rfc3339(begins)}, where {other.invoice_id} {edge}",
                        rfc3339(head.start_us), COPY_REMEDY,
                    )  # fmt: skip
            first = followers.setdefault(head.predecessor, head)
            if first is not head:
                after = head.predecessor or "nothing"
                findings.add("invoice chain", f"{head.place}, predecessor", f"{first.invoice_id} alone follows {after}", head.invoice_id, COPY_REMEDY)  # fmt: skip


def _begins_with(head: Head, before: Head, by_id: Mapping[str, Head]) -> Head:
    """The invoice by which the period start of ``head`` is known: the void one that it bills again, else the last
    period before it."""
    if head.reissues in by_id:
        return by_id[head.reissues]
    if not head.voids:
        return before
    last, seen, one = before, {head.invoice_id}, before
    while one.invoice_id not in seen:
        seen.add(one.invoice_id)
        last = max(last, one, key=lambda other: (other.end_us, other.start_us))
        one = by_id.get(one.predecessor, one)
    return last


def _head(row: Sequence[Any]) -> Head:
    fields, (total, as_of) = list(row[:-2]), row[-2:]
    fields += [Decimal(total), int(as_of)]
    return Head(*fields)


def _line(row: Sequence[Any]) -> StoredLine:
    (
        number,
        kind,
        profile_id,
        versions,
        start,
        end,
        quantity,
        events,
        price,
        amount,
        unrounded,
        charge,
        product,
        adjusts,
    ) = row
    return StoredLine(
        number, kind, profile_id, tuple(versions), start, end, None if quantity is None else Decimal(quantity), events, price,
        Decimal(amount), unrounded, charge, product, adjusts,
    )  # fmt: skip
