"""Invoices as usage.invoices has them and as ClickHouse has copies of them, both as plain values by the names of
columns, so that equal ones need not be told apart field by field."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b
from itertools import groupby
from typing import Any, Final, TypeAlias

from msgspec import Struct, msgpack

from rating.verify.scope import Row, Scope
from schemas.ledgers.invoice_record import Invoice, Line
from schemas.values.json_text import JsonObject, canonical, exact

HEAD: Final = (
    "version", "predecessor", "subscription", "sequence", "account_id", "plan", "plan_version", "period_start",
    "period_end", "time_zone", "run_id", "checkpoint", "catalog_offset", "as_of", "state", "currency", "total",
)  # fmt: skip
"""Values of an invoice, in order; ``period_start`` and such in microseconds UTC."""
LINE: Final = (
    "number", "kind", "charge", "product", "description", "profile_id", "profile_versions", "period_start",
    "period_end", "quantity", "events", "unit", "price", "amount", "unrounded", "steps", "note", "adjusts",
)  # fmt: skip
_PLACES: Final = {name: number for number, name in enumerate(HEAD)}
Values: TypeAlias = tuple[Any, ...]

_PAGE: Final = 2_000
_INSTANTS: Final = frozenset({"period_start", "period_end", "as_of"})
_TEXTS: Final = frozenset({"total", "quantity", "amount"})


def _columns(names: Sequence[str]) -> str:
    return ", ".join(
        f"toUnixTimestamp64Micro({name})" if name in _INSTANTS else f"toString({name})" if name in _TEXTS else name
        for name in names
    )


_IDS: Final = """SELECT invoice_id FROM {table} WHERE namespace = {{namespace:String}} AND invoice_id > {{after:String}}
ORDER BY namespace, invoice_id LIMIT {{limit:UInt32}}"""
_HEADS: Final = f"""SELECT invoice_id, body, {_columns(HEAD)} FROM {{table}} FINAL
WHERE namespace = {{{{namespace:String}}}} AND invoice_id > {{{{after:String}}}} AND invoice_id <= {{{{last:String}}}}
    {{only}}
ORDER BY namespace, invoice_id, version DESC LIMIT 1 BY invoice_id"""
_LATER: Final = "AND period_end > fromUnixTimestamp64Micro({since:Int64}, 'UTC')"
_NOT_BILLED: Final = """AND invoice_id NOT IN (SELECT invoice_id FROM invoices WHERE namespace = {namespace:String}
        AND invoice_id > {after:String} AND invoice_id <= {last:String})"""
_LINES: Final = f"""SELECT invoice_id, version, {_columns(LINE)} FROM {{table}} FINAL
WHERE namespace = {{{{namespace:String}}}} AND invoice_id > {{{{after:String}}}} AND invoice_id <= {{{{last:String}}}}
ORDER BY namespace, invoice_id, version, number"""


class InvoiceValues(Struct, frozen=True):
    """The newest version of an invoice or draft: ``head`` by the names of HEAD, ``lines`` by those of LINE."""

    invoice_id: str
    body: str
    head: Values
    lines: Sequence[Values]

    @property
    def version(self) -> int:
        """Which version it is."""
        version: int = self.head[0]
        return version

    def of(self, name: str) -> Any:
        """A value of the head."""
        return self.head[_PLACES[name]]

    def digest(self) -> bytes:
        """Equal for equal values."""
        return blake2b(msgpack.encode((self.body, self.head, self.lines)), digest_size=16).digest()


def written(invoice: Invoice) -> InvoiceValues:
    """As it stands on the topic."""
    *head, total = [getattr(invoice, name) for name in HEAD]
    return InvoiceValues(
        invoice.invoice_id, invoice.body, (*head, normal(total)), [_written_line(line) for line in invoice.lines]
    )


def _written_line(line: Line) -> Values:
    return (
        line.number, line.kind, line.charge, line.product, line.description, line.profile_id, line.profile_versions,
        line.period_start, line.period_end, normal(line.quantity), line.events, line.unit, line.price,
        normal(line.amount), line.unrounded, line.steps, line.note, line.adjusts,
    )  # fmt: skip


def copied(scope: Scope, namespace: str, *, drafts: bool) -> Iterator[InvoiceValues]:
    """What ClickHouse has of a namespace, in the order of ids: invoices, or drafts that have not become invoices; of
    those to look at."""
    table, lines_table = ("invoice_drafts", "invoice_draft_lines") if drafts else ("invoices", "invoice_lines")
    bound: JsonObject = {"namespace": namespace, "after": "", "limit": _PAGE}
    only = " ".join([_NOT_BILLED] * drafts + [_LATER] * (scope.since_us is not None))
    while ids := scope.rows(_IDS.format(table=table), bound):
        bound["last"] = str(ids[-1][0])
        lines = {
            key: [_copied_line(row) for row in rows]
            for key, rows in groupby(
                scope.rows(_LINES.format(table=lines_table), bound), key=lambda row: (row[0], row[1])
            )
        }
        for name, body, *head in scope.rows(_HEADS.format(table=table, only=only), bound):
            head[-1] = normal(head[-1])
            yield InvoiceValues(name, body, tuple(head), lines.get((name, head[0]), []))
        bound["after"] = bound["last"]


def _copied_line(row: Row) -> Values:
    (
        _, _, number, kind, charge, product, description, profile_id, versions, start, end, quantity, events, unit,
        price, amount, unrounded, steps, note, adjusts,
    ) = row  # fmt: skip
    return (
        number, kind, charge, product, description, profile_id, tuple(versions), start, end,
        "" if quantity is None else normal(quantity), "" if events is None else str(events), unit, price,
        normal(amount), unrounded, steps, note, adjusts,
    )  # fmt: skip


@lru_cache(maxsize=65_536)
def normal(text: str) -> str:
    """A decimal number's text without zeros that say nothing; any other text as it is."""
    try:
        number = Decimal(text)
    except ArithmeticError:
        return text
    if not number.is_finite():
        return text
    whole = format(number, "f")
    return (whole.rstrip("0").rstrip(".") if "." in whole else whole) if number else "0"


def differing(original: InvoiceValues, copy: InvoiceValues) -> Iterator[tuple[str, str, str]]:
    """(place, on the topic, in ClickHouse) of every value that differs; decimals by value, JSON by what it says."""
    for name, expected, stored in zip(HEAD, original.head, copy.head, strict=True):
        if expected != stored:
            yield f", {name}", str(expected), str(stored)
    yield from _differing_bodies(original.body, copy.body)
    stored_lines = {line[0]: line for line in copy.lines}
    for line in original.lines:
        number = line[0]
        stored_line = stored_lines.pop(number, None)
        if stored_line is None:
            yield f", line {number}", line[LINE.index("description")], "no row"
            continue
        for name, expected, stored in zip(LINE, line, stored_line, strict=True):
            if expected != stored and not _same(name, expected, stored):
                yield f", line {number}, {name}", str(expected), str(stored)
    for number in sorted(stored_lines):
        yield f", line {number}", "no row: the invoice has no such line", "a row"


def _differing_bodies(expected: str, stored: str) -> Iterator[tuple[str, str, str]]:
    """Field by field, since a body may be long."""
    if expected == stored or _same("body", expected, stored):
        return
    fields, stored_fields = _fields(expected), _fields(stored)
    if fields is None or stored_fields is None:
        yield ", body", expected, stored
        return
    for name in sorted({*fields, *stored_fields}):
        text, stored_text = (of.get(name, "no such field") for of in (fields, stored_fields))
        if text != stored_text:
            yield f", body, {name}", text, stored_text


def _fields(body: str) -> dict[str, str] | None:
    """Canonical JSON by name; None for what is no JSON object."""
    try:
        fields = exact(body or "{}")
    except ValueError:
        return None
    return {name: canonical(value) for name, value in fields.items()} if isinstance(fields, dict) else None


def _same(name: str, expected: str, stored: str) -> bool:
    if name == "unrounded":
        return normal(expected) == normal(stored)
    if name in ("body", "price", "steps"):
        try:
            return canonical(exact(expected or "{}")) == canonical(exact(stored or "{}"))
        except ValueError:
            return False
    return False
