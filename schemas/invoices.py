"""Invoice records on usage.invoices: identity, claim and chain (DESIGN invariant 9)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final

from schemas.ledger import Claim

DRAFT: Final = "draft"
FINALIZED: Final = "finalized"
VOID: Final = "void"
PAID: Final = "paid"


def invoice_id(namespace: str, subscription: str, period_start_us: int, sequence: int) -> str:
    """A name derived from what the invoice is for, so that a second process makes the same one: ``inv_`` + 24 hex digits."""
    parts = (namespace, subscription, str(period_start_us), str(sequence))
    digest = blake2b(digest_size=12)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(4, "big") + data)
    return "inv_" + digest.hexdigest()


def claim_of(record: Mapping[str, Any]) -> Claim:
    """What an Invoice record claims: its version; version 1 also its place after its predecessor, and a void version what the
    chain is at that moment. An invoice names the void ones of its chain that it was planned after, and is valid
    after those alone: so neither can an invoice stand that counts on one which is void, nor one be voided that another
    has just counted on.
    """
    namespace, name, version = record["namespace"], record["invoice_id"], record["version"]
    key, chain = (namespace, name), (namespace, record["subscription"])
    try:
        body = body_of(record)
        if version == 1:
            known = tuple(body.get("voids", ()))
            return Claim(key, 1, chain, _place(namespace, record["predecessor"], known), _place(namespace, name, known))
        if record["state"] != VOID:
            return Claim(key, version)
        head, before = body["void"]["head"], tuple(body["void"]["voids"])
        return Claim(
            key, version, chain, _place(namespace, head, before), _place(namespace, head, sorted({*before, name}))
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Claim(key, _NEVER)  # foreign: no record of ours


_NEVER: Final = -1


def _place(namespace: str, head: str, voids: Iterable[str]) -> tuple[str, str, tuple[str, ...]] | None:
    return (namespace, head, tuple(voids)) if head else None


def body_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record's ``body``: subtotal, terms, due date, payments, why it is void. Raises ValueError."""
    found = json.loads(record.get("body") or "{}")
    if not isinstance(found, dict):
        raise ValueError("the body of an invoice is a JSON object")
    return found


def record_key(namespace: str, subscription: str) -> bytes:
    """The Kafka key: one chain, one partition, one order."""
    return f"{len(namespace)}:{namespace}{subscription}".encode()
