"""The Invoice record of usage.invoices (avro/invoice.avsc) as a typed value, with its encoding.

An invoice is immutable: a change is a new version (``Invoice.version``). Amounts and quantities are decimals as
text, in the invoice's currency; instants are microseconds UTC; spans exclude their end.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from schemas.kafka.codec import CodecError, codec, long
from schemas.ledgers.invoice_details import Body, body_of_text
from schemas.values.caches.identity_cache import IdentityCache

log = logging.getLogger(__name__)


class LinePlan(msgspec.Struct, frozen=True):
    """Code and version of a plan."""

    code: str
    version: int


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A line item: the amount of one charge, discount, true-up, prepaid credit or adjustment."""

    number: int = 0  # 1, 2, …; 0 until its invoice is built
    kind: str  # usage, flat, adjustment, discount, commitment (a true-up), credit (prepaid)
    charge: str  # code of the charge on the plan; for a discount, true-up or credit: kind, colon, code
    product: str
    description: str  # for people
    profile_id: str = ""  # meter.profile that was measured; "" for flat
    profile_versions: tuple[int, ...] = ()  # profile versions in force in the line's period
    period_start: int
    period_end: int
    quantity: str = ""  # usage in ``unit``; "" for flat
    events: str = ""  # number of usage records in the quantity; "" for flat
    unit: str = ""
    price: str  # the price as pinned: canonical JSON of schemas.prices
    amount: str  # rounded once to the currency's digits; negative: credited
    unrounded: str  # the exact amount before rounding
    steps: str  # JSON: the calculation of the amount
    note: str = ""  # text to show with the line
    adjusts: str = ""  # invoice_id of the earlier invoice that it adjusts, or whose prepaid credit it restores
    of_plan: LinePlan | None = None  # the plan that priced it, until the invoice is built; then in Body.line_plans


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an invoice or of a draft; ``invoice_claims.claim_of`` defines what it claims."""

    namespace: str
    invoice_id: str  # derived from namespace, subscription, period_start and sequence
    version: int  # 1, 2, …; drafts have versions of their own
    predecessor: str  # invoice_id of the previous invoice in the subscription's chain; "" for the first
    subscription: str
    sequence: int  # 0; 1, 2, … for further invoices with the same period start
    account_id: str
    plan: str  # code of the plan at the period's end
    plan_version: int
    period_start: int
    period_end: int
    time_zone: str  # IANA zone of the account's calendar
    run_id: str  # the billing run that created it
    checkpoint: int  # number of the checkpoint to which its usage refers
    catalog_offset: int  # offset of the catalog on which it is based
    as_of: int  # the checkpoint's instant
    state: str  # for a draft: draft, withdrawn; for an invoice: finalized, paid, void
    currency: str  # ISO 4217
    total: str  # sum of the lines' amounts
    lines: tuple[Line, ...]
    body: str = "{}"  # JSON text: ``Body``
    claim_id: str


def body_of(invoice: Invoice) -> Body:
    """The decoded body of an invoice. Raises ValueError."""
    return body_of_text(invoice.body)


def from_fields(fields: Mapping[str, Any]) -> Invoice:
    """The invoice in a decoded Avro record. Raises CodecError if a field has the wrong type."""
    try:
        return msgspec.convert(fields, Invoice)
    except msgspec.ValidationError as error:
        raise CodecError(f"invoice: {error}") from error


def to_fields(invoice: Invoice) -> dict[str, Any]:
    """The Avro record of an invoice."""
    fields = msgspec.structs.asdict(invoice)
    fields["lines"] = [line_fields(line) for line in invoice.lines]
    return fields


def line_fields(line: Line) -> dict[str, Any]:
    """The Avro record of a line."""
    fields = msgspec.structs.asdict(line)
    del fields["of_plan"]
    fields["profile_versions"] = list(line.profile_versions)
    return fields


def decode_invoice(value: bytes) -> Invoice:
    """Decode a record of usage.invoices. Raises CodecError."""
    return from_fields(codec("invoice").decode(value))


def readable_invoice(value: bytes) -> Invoice | None:
    """``decode_invoice`` for whoever follows the log; None, with a warning, for a record that cannot be decoded."""
    try:
        return decode_invoice(value)
    except CodecError as error:
        log.warning("a record of usage.invoices is void: %s", error)
        return None


def encode_invoice(invoice: Invoice) -> bytes:
    """Encode a record of usage.invoices: the bytes that ``codec("invoice")`` makes of ``to_fields``, in less than half
    of its time, since a close encodes every invoice. Raises CodecError."""
    try:
        return b"".join(_written(invoice))
    except (AttributeError, TypeError, ValueError) as error:  # ValueError: text that UTF-8 does not have
        raise CodecError(f"invoice: cannot encode: {error}") from error


def _written(invoice: Invoice) -> list[bytes]:
    """The header and the fields in the order of avro/invoice.avsc."""
    number = _number
    parts = [codec("invoice").header]
    _add_texts(parts, (invoice.namespace, invoice.invoice_id))
    parts.append(number(invoice.version))
    _add_texts(parts, (invoice.predecessor, invoice.subscription))
    parts.append(number(invoice.sequence))
    _add_texts(parts, (invoice.account_id, invoice.plan))
    parts += number(invoice.plan_version), number(invoice.period_start), number(invoice.period_end)
    _add_texts(parts, (invoice.time_zone, invoice.run_id))
    parts += number(invoice.checkpoint), number(invoice.catalog_offset), number(invoice.as_of)
    _add_texts(parts, (invoice.state, invoice.currency, invoice.total))
    if invoice.lines:
        parts.append(number(len(invoice.lines)))
    parts += map(_LINE_BYTES, invoice.lines)
    parts.append(_END)
    _add_texts(parts, (invoice.body, invoice.claim_id))
    return parts


def _line_bytes(line: Line) -> bytes:
    number = _number
    parts = [number(line.number)]
    _add_texts(parts, (line.kind, line.charge, line.product, line.description, line.profile_id))
    if line.profile_versions:
        parts.append(number(len(line.profile_versions)))
        parts += map(number, line.profile_versions)
    parts += _END, number(line.period_start), number(line.period_end)
    texts = (
        line.quantity, line.events, line.unit, line.price, line.amount, line.unrounded, line.steps, line.note,
        line.adjusts,
    )  # fmt: skip
    _add_texts(parts, texts)
    return b"".join(parts)


def _add_texts(parts: list[bytes], texts: Iterable[str]) -> None:
    for text in texts:
        data = text.encode()
        length = len(data)
        parts += _LENGTHS[length] if length < _SHORT else long(length), data


_number: Final = lru_cache(maxsize=4096)(long)
"""Invoices of a run share their instants."""
_LINE_BYTES: Final = IdentityCache(_line_bytes, 4096)
"""… and the lines that are alike."""
_SHORT: Final = 1024
_LENGTHS: Final = tuple(long(length) for length in range(_SHORT))
_END: Final = long(0)
"""Ends an array."""
