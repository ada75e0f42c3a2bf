"""Invoice records on usage.invoices: identity, claim and chain (DESIGN invariant 9)."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping
from hashlib import blake2b
from typing import Any, Final

from schemas.ledgers.first_valid import Claim
from schemas.values.json_text import JsonObject

DRAFT: Final = "draft"
FINALIZED: Final = "finalized"
VOID: Final = "void"
PAID: Final = "paid"
WITHDRAWN: Final = "withdrawn"
"""The state of a draft whose period is not to be billed any longer."""


def invoice_id(namespace: str, subscription: str, period_start_us: int, sequence: int) -> str:
    """A name derived from what the invoice is for, so that a second process makes the same one: ``inv_`` + 24 hex
    digits."""
    parts = (namespace, subscription, str(period_start_us), str(sequence))
    digest = blake2b(digest_size=12)
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(4, "big") + data)
    return "inv_" + digest.hexdigest()


def claim_of(record: Mapping[str, Any]) -> Claim:
    """What an Invoice record claims: its version; version 1 also its place after its predecessor, and a void version
    what the chain is at that moment. An invoice names the void ones of its chain that it was planned after, and is
    valid after those alone: so neither can an invoice stand that counts on one which is void, nor one be voided that
    another has just counted on. It also names the run that its predecessor is of (``after``): what came late is on it
    from there on.

    Drafts have versions of their own, from 1 on, and none is valid once the invoice stands. Each counts how often it
    was held and released (``holds``), and the invoice names that number: so none stands that was held meanwhile. One
    that was approved names the draft's version, and is that draft.

    A version that adds a credit note (``credited``) is held to the chain as it was worked out from, and to the credit
    notes that the chain had then, counted by ``order``. An invoice that adjusts others names the last one that it
    counted (``after_note``), and is valid after that alone: so neither is anything credited twice, nor does a credit
    note miss what an invoice has just credited. Those of before have neither.
    """
    namespace, name, version = record["namespace"], record["invoice_id"], record["version"]
    key, chain = (namespace, name), (namespace, record["subscription"])
    try:
        body = body_of(record)
        if is_draft(record):
            facts = (((key, "draft"), version), ((key, "holds"), int(body["draft"].get("holds", 0)) or None))
            return Claim((key, "draft"), version, before=key, sets=facts)
        if version == 1:
            known, run = tuple(body.get("voids", ())), (chain, "run")
            needs: list[tuple[Hashable, Hashable | None]] = [((key, "holds"), body.get("holds"))]
            if "after" in body:
                needs.append((run, body["after"]))
            if "after_note" in body:
                needs.append(((chain, "notes"), body["after_note"] or None))
            if "approved" in body:
                needs.append(((key, "draft"), body["approved"]["draft"]))
            before, place = _place(namespace, record["predecessor"], known), _place(namespace, name, known)
            return Claim(key, 1, chain, before, place, needs=tuple(needs), sets=((run, record.get("run_id")),))
        if record["state"] != VOID:
            return _credited(Claim(key, version), chain, namespace, body.get("credited"))
        head, before_it = body["void"]["head"], tuple(body["void"]["voids"])
        return Claim(
            key, version, chain, _place(namespace, head, before_it), _place(namespace, head, sorted({*before_it, name}))
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Claim(key, _NEVER)  # foreign: no record of ours


def _credited(claim: Claim, chain: Hashable, namespace: str, credited: Mapping[str, Any] | None) -> Claim:
    """The claim of a version that adds a credit note; ``credited``: what its body says of the version that added the
    last one."""
    if credited is None or credited["version"] != claim.version:
        return claim
    place, notes, order = _place(namespace, credited["head"], credited["voids"]), (chain, "notes"), credited["order"]
    return Claim(
        claim.key, claim.version, chain, place, place, needs=((notes, order - 1 or None),), sets=((notes, order),)
    )


def is_draft(record: Mapping[str, Any]) -> bool:
    """Whether the record is a version of a draft, and not of the invoice that it may become."""
    return record["state"] in (DRAFT, WITHDRAWN)


_NEVER: Final = -1


def _place(namespace: str, head: str, voids: Iterable[str]) -> tuple[str, str, tuple[str, ...]] | None:
    return (namespace, head, tuple(voids)) if head else None


def body_of(record: Mapping[str, Any]) -> JsonObject:
    """The record's ``body``: subtotal, terms, due date, payments, why it is void or held. Raises ValueError."""
    found = json.loads(record.get("body") or "{}")
    if not isinstance(found, dict):
        raise ValueError("the body of an invoice is a JSON object")
    return found


def record_key(namespace: str, subscription: str) -> bytes:
    """The Kafka key: one chain, one partition, one order."""
    return f"{len(namespace)}:{namespace}{subscription}".encode()
