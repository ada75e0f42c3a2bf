"""A catalog written entry by entry, as its topic would be, with one monthly subscription in New York."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from schemas.catalog.state import Catalog, NamespaceView
from schemas.ledgers.invoice_record import Invoice, Line, decode_invoice, encode_invoice
from schemas.values.instants import micros

ZONE = "America/New_York"
PLAN = {
    "code": "basic", "currency": "USD", "interval": "month", "grace_seconds": 3600,
    "charges": [{"product": "fee", "price": {"model": "flat", "amount": "5"}}],
}  # fmt: skip
FEE = {"code": "fee", "kind": "flat"}
ACCOUNT = {"code": "acme", "time_zone": ZONE}
SUBSCRIPTION = {"code": "acme-basic", "account": "acme", "plan": "basic", "start": "2013-01-01T05:00:00Z"}


def line_of(**fields: Any) -> Line:
    """A line, whose other fields say nothing in particular."""
    others = {
        "kind": "usage", "charge": "c", "product": "p", "description": "d", "period_start": 0, "period_end": 9,
        "price": "{}",
        "amount": "0.00", "unrounded": "0", "steps": "[]",
    }  # fmt: skip
    return Line(**others | fields)


def invoice_of(**fields: Any) -> Invoice:
    """An invoice, whose other fields say nothing in particular."""
    others = {
        "namespace": "air", "invoice_id": "i", "version": 1, "predecessor": "", "subscription": "s", "sequence": 0,
        "account_id": "acme",
        "plan": "basic", "plan_version": 1, "period_start": 0, "period_end": 9, "time_zone": "UTC", "run_id": "run",
        "checkpoint": 1,
        "catalog_offset": 0, "as_of": 0, "state": "finalized", "currency": "USD", "total": "0.00", "lines": (),
        "claim_id": "claim",
    }  # fmt: skip
    return Invoice(**others | fields)


def stored(invoice: Invoice) -> Invoice:
    """As it is read back."""
    return decode_invoice(encode_invoice(invoice))


def us(text: str) -> int:
    return micros(datetime.fromisoformat(text).astimezone(UTC))


class Shelf:
    """A catalog that is written entry by entry, as its topic would be."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self._versions: dict[tuple[str, str], int] = {}

    def add(
        self, kind: str, body: dict[str, Any], retired: bool = False, published: str = "1970-01-01T00:00:00Z"
    ) -> None:
        key = (kind, body["code"])
        self._versions[key] = self._versions.get(key, 0) + 1
        record = {
            "namespace": "air", "kind": kind, "code": body["code"], "version": self._versions[key], "retired": retired,
            "valid_from": None, "body": json.dumps(body), "author": "", "claim_id": "",
        }  # fmt: skip
        assert self.catalog.apply(record, self.catalog.next_offset, us(published)) is not None

    def view(self, offset: int | None = None) -> NamespaceView:
        return self.catalog.view("air", offset)


def shelf(**subscription: Any) -> Shelf:
    result = Shelf()
    result.add("product", FEE)
    result.add("plan", PLAN)
    result.add("account", ACCOUNT)
    result.add("subscription", SUBSCRIPTION | subscription)
    return result
