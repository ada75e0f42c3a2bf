"""Check 4: invoices against records. Every usage line is totalled again straight from usage_records as of the invoice's
checkpoint, by SQL of its own, and priced again from the price pinned on the line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from rating.evidence.difference import Findings, Progress
from rating.evidence.scope import Scope, below
from rating.pricing import MatrixQuantity, PriceError, parse_price, plain, rate
from rating.pricing.exact import exactly
from schemas.catalog.models import Aggregation
from schemas.catalog.profiles import ProfileVersion, profile_versions
from schemas.instants import rfc3339
from schemas.invoices import VOID
from schemas.json_text import canonical, exact
from schemas.prices import MatrixPrice

_REMEDY: Final = "void the invoice and bill the period again; the records are the truth"
_COPY_REMEDY: Final = (
    "compare with usage.invoices; if ClickHouse's copy is wrong, delete it and let the worker copy again"
)

_HEADS: Final = """
SELECT toString(namespace), invoice_id, version, predecessor, subscription, sequence, account_id, toUnixTimestamp64Micro(period_start),
    toUnixTimestamp64Micro(period_end), checkpoint, catalog_offset, toString(state), toString(currency), toString(total)
FROM invoices FINAL WHERE {where} ORDER BY version DESC LIMIT 1 BY namespace, invoice_id"""
_LINES: Final = """
SELECT toString(namespace), invoice_id, version, number, toString(kind), profile_id, profile_versions,
    toUnixTimestamp64Micro(period_start), toUnixTimestamp64Micro(period_end), toString(quantity), events, price,
    toString(amount), unrounded, charge, adjusts
FROM invoice_lines FINAL WHERE {where} ORDER BY namespace, invoice_id, version, number"""
_TOTALS: Final = """
SELECT account_id, {groups}, count(), toString(sum(toDecimal256(quantity, 12))), toString(max(quantity)), toString(min(quantity)),
    toString(argMax(quantity, (timestamp, unique_value, quantity))), uniqExactIf(unique_value, unique_value != '')
FROM usage_records FINAL
WHERE namespace = {{ns:String}} AND profile_id = {{profile:String}} AND {cut}
    AND toUnixTimestamp64Micro(timestamp) >= {{start:Int64}} AND toUnixTimestamp64Micro(timestamp) < {{end:Int64}}
GROUP BY account_id, {groups}"""


@dataclass(frozen=True, slots=True)
class _Head:
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
    total: Decimal

    @property
    def place(self) -> str:
        return f"invoice {self.invoice_id} of {self.namespace} {self.account_id} {rfc3339(self.start_us)}"


@dataclass(frozen=True, slots=True)
class _Line:
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
    adjusts: str


Lines = Mapping[tuple[str, str, int], Sequence[_Line]]
"""(namespace, invoice_id, version) → its lines."""


@dataclass(frozen=True, slots=True)
class _Need:
    """One query: a profile over a period as of a checkpoint, for all accounts."""

    namespace: str
    profile_id: str
    start_us: int
    end_us: int
    checkpoint: int
    dimensions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Total:
    """All aggregates of one account and combination of dimension values."""

    values: tuple[str, ...]
    events: int
    by_aggregation: Mapping[Aggregation, Decimal]


def check_invoices(scope: Scope, findings: Findings, on_progress: Progress) -> None:
    """The newest version of every invoice that is not void: lines, sum, and its place in the chain."""
    where = scope.of_namespace
    heads = [_head(row) for row in scope.rows(_HEADS.format(where=where))]
    lines: dict[tuple[str, str, int], list[_Line]] = {}
    for row in scope.rows(_LINES.format(where=where)):
        lines.setdefault((row[0], row[1], int(row[2])), []).append(_line(row[3:]))
    _check_chains(heads, findings)
    book, billed = _Book(scope), _Billed(heads, lines)
    standing = sorted((head for head in heads if head.state != VOID), key=lambda head: (head.checkpoint, head.start_us))
    for done, head in enumerate(standing):
        on_progress("invoices from records", done, len(standing))
        of_head = lines.get((head.namespace, head.invoice_id, head.version), [])
        if not 1 <= head.checkpoint <= len(scope.checkpoints.cuts):
            known = f"one of the {len(scope.checkpoints.cuts)} in usage.checkpoints"
            findings.add("invoice", f"{head.place}, checkpoint", known, head.checkpoint, _COPY_REMEDY)
            continue
        for line in of_head:
            _check_line(head, line, book, billed, findings)
        with exactly():
            total = sum((line.amount for line in of_head), Decimal(0))
        if total != head.total:
            findings.add(
                "invoice",
                f"{head.place}, total",
                f"{plain(total)}, the sum of its lines",
                plain(head.total),
                _COPY_REMEDY,
            )
    on_progress("invoices from records", len(standing), len(standing))


def _check_line(head: _Head, line: _Line, book: _Book, billed: _Billed, findings: Findings) -> None:
    place = f"{head.place}, line {line.number}"
    try:
        price = parse_price(json.loads(line.price), head.currency)
        if line.kind == "flat":
            priced = rate(price, Decimal(1), currency=head.currency)
        else:
            dimensions = price.dimensions if isinstance(price, MatrixPrice) else ()
            need = _Need(head.namespace, line.profile_id, line.start_us, line.end_us, head.checkpoint, dimensions)
            aggregation = book.aggregation(head, line)
            if aggregation is None:
                known = f"a profile in the catalog at offset {head.catalog_offset}"
                findings.add("invoice line", f"{place}, profile", known, line.profile_id, _COPY_REMEDY)
                return
            totals = book.totals(need).get(head.account_id, [])
            quantities = [MatrixQuantity(total.values, total.by_aggregation[aggregation]) for total in totals]
            with exactly():
                quantity = sum((part.quantity for part in quantities), Decimal(0))
            events = sum(total.events for total in totals)
            if (line.quantity, line.events) != (quantity, events):
                findings.add(
                    "invoice line", f"{place}, {aggregation} of {line.profile_id}", f"{plain(quantity)} from {events} records",
                    f"{'nothing' if line.quantity is None else plain(line.quantity)} from {line.events} records", _REMEDY,
                )  # fmt: skip
            split = quantities if dimensions else None
            priced = rate(price, quantity, currency=head.currency, events=Decimal(events), quantities=split)
    except (PriceError, ValueError) as error:
        findings.add(
            "invoice line", f"{place}, price", "a price that can be applied", f"{line.price}: {error}", _COPY_REMEDY
        )
        return
    amount, unrounded = priced.amount, priced.unrounded
    if line.kind == "adjustment":
        before = billed.before(head, line)
        if before is None:
            return
        with exactly():
            amount = unrounded = priced.amount - before
    if (line.amount, line.unrounded) != (amount, plain(unrounded)):
        findings.add(
            "invoice line", f"{place}, amount", f"{plain(amount)} ({plain(unrounded)})",
            f"{plain(line.amount)} ({line.unrounded})", _REMEDY,
        )  # fmt: skip


class _Billed:
    """What a subscription's invoices before one had billed for a line, adjustments included."""

    def __init__(self, heads: Iterable[_Head], lines: Lines) -> None:
        self._lines = lines
        self._heads = {(head.namespace, head.invoice_id): head for head in heads}

    def before(self, head: _Head, line: _Line) -> Decimal | None:
        """None where an invoice of the chain is void: whether it was when the line was made is not known here."""
        total = Decimal(0)
        seen = {head.invoice_id}
        one = self._heads.get((head.namespace, head.predecessor))
        while one is not None and one.invoice_id not in seen:
            seen.add(one.invoice_id)
            if one.state == VOID:
                return None
            for other in self._lines.get((one.namespace, one.invoice_id, one.version), ()):
                original = one.invoice_id == line.adjusts and other.kind == "usage"
                if other.charge == line.charge and (original or other.adjusts == line.adjusts):
                    with exactly():
                        total += other.amount
            one = self._heads.get((one.namespace, one.predecessor))
        return total


class _Book:
    """Totals and aggregations, each asked for once."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._totals: dict[_Need, dict[str, list[_Total]]] = {}
        self._versions: dict[tuple[str, int], dict[str, tuple[ProfileVersion, ...]]] = {}

    def aggregation(self, head: _Head, line: _Line) -> Aggregation | None:
        """That of the last version pinned on the line; where none was valid in the period, of the profile's last."""
        key = (head.namespace, head.catalog_offset)
        if key not in self._versions:
            by_profile: dict[str, tuple[ProfileVersion, ...]] = {}
            for version in profile_versions(self._scope.catalog.view(*key)):
                by_profile[version.profile_id] = (*by_profile.get(version.profile_id, ()), version)
            self._versions[key] = by_profile
        versions = self._versions[key].get(line.profile_id, ())
        pinned = [version for version in versions if version.version in line.profile_versions] or versions
        return pinned[-1].aggregation if pinned else None

    def totals(self, need: _Need) -> dict[str, list[_Total]]:
        """Account → its totals, from records below the checkpoint's offsets."""
        if need not in self._totals:
            names = {f"d{number}": name for number, name in enumerate(need.dimensions)}
            raw = ", ".join(f"JSONExtractRaw(dimensions, {{{name}:String}})" for name in names)
            cut = self._scope.checkpoints.cut(need.checkpoint)
            rows = self._scope.rows(
                _TOTALS.format(groups=f"[{raw}]" if raw else "emptyArrayString()", cut=below(cut.offsets)),
                {"ns": need.namespace, "profile": need.profile_id, "start": need.start_us, "end": need.end_us} | names,
            )
            found: dict[str, list[_Total]] = {}
            for account, values, events, total, high, low, latest, unique in rows:
                numbers: dict[Aggregation, Decimal] = {
                    "count": Decimal(events), "sum": Decimal(total), "max": Decimal(high), "min": Decimal(low),
                    "latest": Decimal(latest), "count_unique": Decimal(unique),
                }  # fmt: skip
                found.setdefault(str(account), []).append(_Total(tuple(map(_value, values)), int(events), numbers))
            self._totals[need] = found
        return self._totals[need]


def _value(raw: str) -> str:
    """A dimension's value as prices name it; empty where the event had none."""
    if not raw:
        return ""
    value = exact(raw)
    return value if isinstance(value, str) else canonical(value)


def _check_chains(heads: Iterable[_Head], findings: Findings) -> None:
    """Each subscription's invoices follow one another without gap or fork, void ones included."""
    chains: dict[tuple[str, str], list[_Head]] = {}
    for head in heads:
        chains.setdefault((head.namespace, head.subscription), []).append(head)
    for chain in chains.values():
        by_id = {head.invoice_id: head for head in chain}
        followers: dict[str, _Head] = {}
        for head in sorted(chain, key=lambda one: (one.start_us, one.sequence, one.invoice_id)):
            before = by_id.get(head.predecessor)
            if head.predecessor and before is None:
                findings.add(
                    "invoice chain",
                    f"{head.place}, predecessor",
                    "an invoice of its subscription",
                    head.predecessor,
                    _COPY_REMEDY,
                )
            elif before is not None and head.sequence == 0 and before.end_us != head.start_us:
                findings.add(
                    "invoice chain", f"{head.place}, period start", f"{rfc3339(before.end_us)}, where {before.invoice_id} ended",
                    rfc3339(head.start_us), _COPY_REMEDY,
                )  # fmt: skip
            other = followers.setdefault(head.predecessor, head)
            if other is not head:
                after = head.predecessor or "nothing"
                findings.add("invoice chain", f"{head.place}, predecessor", f"{other.invoice_id} alone follows {after}", head.invoice_id, _COPY_REMEDY)  # fmt: skip


def _head(row: Sequence[Any]) -> _Head:
    return _Head(*(*row[:-1], Decimal(row[-1])))


def _line(row: Sequence[Any]) -> _Line:
    number, kind, profile_id, versions, start, end, quantity, events, price, amount, unrounded, charge, adjusts = row
    return _Line(
        number, kind, profile_id, tuple(versions), start, end, None if quantity is None else Decimal(quantity), events, price,
        Decimal(amount), unrounded, charge, adjusts,
    )  # fmt: skip
