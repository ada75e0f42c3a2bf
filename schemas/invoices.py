"""Invoice records on usage.invoices: identity, claim and chain (DESIGN invariant 9)."""

from __future__ import annotations

from collections.abc import Mapping
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
    """What an Invoice record claims: its version, and for version 1 its place after its predecessor."""
    namespace = record["namespace"]
    predecessor = record["predecessor"]
    return Claim(
        key=(namespace, record["invoice_id"]),
        version=record["version"],
        chain=(namespace, record["subscription"]),
        predecessor=(namespace, predecessor) if predecessor else None,
    )


def record_key(namespace: str, subscription: str) -> bytes:
    """The Kafka key: one chain, one partition, one order."""
    return f"{len(namespace)}:{namespace}{subscription}".encode()
