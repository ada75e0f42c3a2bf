"""Invoices as ClickHouse has them, and each subscription's chain of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Final

from msgspec import Struct

from rating.verify.difference import Findings
from rating.verify.invoice_body import read_body
from rating.verify.scope import Row, Scope
from schemas.values.instants import rfc3339

COPY_REMEDY: Final = (
    "`weir verify` compares it with usage.invoices; where ClickHouse's copy is wrong, `weir copies rebuild invoices`"
    " writes it again"
)

_HEADS: Final = """
SELECT toString(namespace), invoice_id, version, predecessor, subscription, sequence, account_id,
    toUnixTimestamp64Micro(period_start), toUnixTimestamp64Micro(period_end), checkpoint, catalog_offset,
        toString(state), toString(currency), body, toString(total),
    toUnixTimestamp64Micro(as_of), time_zone
FROM invoices FINAL WHERE {where} ORDER BY version DESC LIMIT 1 BY namespace, invoice_id"""
_LINES: Final = """
SELECT toString(namespace), invoice_id, version, number, toString(kind), profile_id, profile_versions,
    toUnixTimestamp64Micro(period_start), toUnixTimestamp64Micro(period_end), toString(quantity), events, price,
    toString(amount), unrounded, charge, product, adjusts
FROM invoice_lines FINAL WHERE {where} ORDER BY namespace, invoice_id, version, number"""

# What ends later, what it follows, and all of an account and of a chain where one of these is more than fees and usage
# of its own period: later invoices depend on that.
_LATE: Final = "period_end > fromUnixTimestamp64Micro({{since:Int64}}, 'UTC')"
_TOUCHED: Final = f"""{{own}} AND ({_LATE}
        OR invoice_id IN (SELECT predecessor FROM invoices WHERE {{own}} AND {_LATE}))
    AND (state = 'void' OR total < 0
        OR arrayExists(payment -> JSONHas(payment, 'invoice'), JSONExtractArrayRaw(body, 'payments'))
        OR NOT hasAll(['subtotal', 'tax_amount', 'due_date', 'time_zone_data', 'after', 'payments', 'approved'],
            JSONExtractKeys(body))
        OR invoice_id IN (SELECT invoice_id FROM invoice_lines WHERE {{own}}
            AND (kind NOT IN ('usage', 'flat') OR adjusts != '')))"""
_SINCE: Final = f"""{_LATE}
    OR invoice_id IN (SELECT predecessor FROM invoices WHERE {{own}} AND {_LATE})
    OR (namespace, account_id) IN (SELECT namespace, account_id FROM invoices WHERE {_TOUCHED})
    OR (namespace, subscription) IN (SELECT namespace, subscription FROM invoices WHERE {_TOUCHED})"""


class Head(Struct, frozen=True):
    """The newest version of an invoice as ClickHouse has it. Instants: microseconds UTC; ``body``: JSON."""

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
    time_zone: str = "UTC"

    @property
    def voids(self) -> frozenset[str]:
        """Void invoices of its subscription that it was planned after; others were void later, and counted then."""
        return frozenset(read_body(self.body).get("voids", ()))

    @property
    def reissues(self) -> str:
        """The void invoice whose period it bills again."""
        return read_body(self.body).get("reissues", "")

    @property
    def place(self) -> str:
        """Where the invoice is found, in words."""
        return f"invoice {self.invoice_id} of {self.namespace} {self.account_id} {rfc3339(self.start_us)}"


class StoredLine(Struct, frozen=True):
    """A line of an invoice as ClickHouse has it. ``price``: JSON; ``unrounded``: a plain decimal."""

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


def heads_sql(scope: Scope) -> str:
    """SQL of the newest version of every invoice to look at, as ``head_of`` takes its rows."""
    return _HEADS.format(where=_where(scope))


def lines_sql(scope: Scope) -> str:
    """SQL of the lines of all versions, by invoice: namespace, id and version, then as ``line_of`` takes them."""
    where = scope.of_namespace
    if scope.since_us is not None:
        heads = f"SELECT namespace, invoice_id FROM invoices WHERE {_where(scope)}"
        where = f"{where} AND (namespace, invoice_id) IN ({heads})"
    return _LINES.format(where=where)


def read_invoices(scope: Scope) -> tuple[list[Head], StoredLines]:
    """The newest version of every invoice, and the lines of all versions."""
    heads = [head_of(row) for row in scope.rows(heads_sql(scope))]
    lines: dict[tuple[str, str, int], list[StoredLine]] = {}
    for row in scope.rows(lines_sql(scope)):
        lines.setdefault((row[0], row[1], int(row[2])), []).append(line_of(row[3:]))
    return heads, lines


def _where(scope: Scope) -> str:
    """The condition on invoices: of the namespace, and where ``since_us`` is given, those whose periods end after it
    with what they follow."""
    own = scope.of_namespace
    if scope.since_us is None:
        return own
    return f"{own} AND ({_SINCE.format(own=own)})"


def check_chains(heads: Iterable[Head], findings: Findings, since_us: int | None = None) -> None:
    """Each subscription's invoices follow one another without gap or fork, void ones included. ``since_us``: what ends
    by then stands perhaps alone, and is not looked at."""
    chains: dict[tuple[str, str], list[Head]] = {}
    for head in heads:
        chains.setdefault((head.namespace, head.subscription), []).append(head)
    for chain in chains.values():
        by_id = {head.invoice_id: head for head in chain}
        followers: dict[str, Head] = {}
        for head in sorted(chain, key=lambda member: (member.start_us, member.sequence, member.invoice_id)):
            predecessor = by_id.get(head.predecessor)
            if since_us is not None and head.end_us <= since_us and predecessor is None:
                continue
            if head.predecessor and predecessor is None:
                findings.add(
                    "invoice chain",
                    f"{head.place}, predecessor",
                    "an invoice of its subscription",
                    head.predecessor,
                    COPY_REMEDY,
                )
            elif predecessor is not None:
                # A further invoice of the same period holds adjustments alone; else each begins where the last one
                # ended.
                reference = _begins_with(head, predecessor, by_id)
                edge, begins = ("ended", reference.end_us) if head.sequence == 0 else ("began", reference.start_us)
                if head.start_us != begins:
                    findings.add(
                        "invoice chain",
                        f"{head.place}, period start",
                        f"{rfc3339(begins)}, where {reference.invoice_id} {edge}",
                        rfc3339(head.start_us),
                        COPY_REMEDY,
                    )
            first_follower = followers.setdefault(head.predecessor, head)
            if first_follower is not head:
                followed = head.predecessor or "nothing"
                findings.add(
                    "invoice chain",
                    f"{head.place}, predecessor",
                    f"{first_follower.invoice_id} alone follows {followed}",
                    head.invoice_id,
                    COPY_REMEDY,
                )


def _begins_with(head: Head, predecessor: Head, by_id: Mapping[str, Head]) -> Head:
    """The invoice by which the period start of ``head`` is known: the void one that it bills again, else the last
    period before it."""
    if head.reissues in by_id:
        return by_id[head.reissues]
    if not head.voids:
        return predecessor
    latest, visited, earlier = predecessor, {head.invoice_id}, predecessor
    while earlier.invoice_id not in visited:
        visited.add(earlier.invoice_id)
        latest = max(latest, earlier, key=lambda candidate: (candidate.end_us, candidate.start_us))
        earlier = by_id.get(earlier.predecessor, earlier)
    return latest


def head_of(row: Row) -> Head:
    """A row of ``heads_sql``."""
    fields, (total, as_of, zone) = list(row[:-3]), row[-3:]
    fields += [Decimal(total), int(as_of), str(zone)]
    return Head(*fields)


def line_of(row: Row) -> StoredLine:
    """A row of ``lines_sql``, without what it is of."""
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
        number,
        kind,
        profile_id,
        tuple(versions),
        start,
        end,
        None if quantity is None else Decimal(quantity),
        events,
        price,
        Decimal(amount),
        unrounded,
        charge,
        product,
        adjusts,
    )
