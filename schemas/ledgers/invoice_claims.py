"""Invoice records on usage.invoices: identity, claim and chain (DESIGN invariant 9)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from hashlib import blake2b
from typing import Final

from schemas.ledgers.first_valid import Claim
from schemas.ledgers.invoice_record import Invoice, NoteClaim, body_of

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


def claim_of(invoice: Invoice) -> Claim:
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
    namespace, name, version = invoice.namespace, invoice.invoice_id, invoice.version
    key, chain = (namespace, name), (namespace, invoice.subscription)
    try:
        body = body_of(invoice)
        if is_draft(invoice):
            draft = body.fields["draft"]
            facts = (((key, "draft"), version), ((key, "holds"), int(draft.get("holds", 0)) or None))
            return Claim((key, "draft"), version, before=key, sets=facts)
        if version == 1:
            voids, run = tuple(body.voids), (chain, "run")
            needs: list[tuple[Hashable, Hashable | None]] = [((key, "holds"), body.holds)]
            if "after" in body:
                needs.append((run, body.after))
            if "after_note" in body:
                needs.append(((chain, "notes"), body.after_note or None))
            if "approved" in body:
                needs.append(((key, "draft"), body.fields["approved"]["draft"]))
            predecessor, successor = _head(namespace, invoice.predecessor, voids), _head(namespace, name, voids)
            return Claim(key, 1, chain, predecessor, successor, needs=tuple(needs), sets=((run, invoice.run_id),))
        if invoice.state != VOID:
            return _credited(Claim(key, version), chain, namespace, body.credited)
        void = body.fields["void"]
        head, voids = void["head"], tuple(void["voids"])
        return Claim(key, version, chain, _head(namespace, head, voids), _head(namespace, head, sorted({*voids, name})))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Claim(key, _NEVER)  # foreign: no record of ours


def _credited(claim: Claim, chain: Hashable, namespace: str, credited: NoteClaim | None) -> Claim:
    """The claim of a version that adds a credit note; ``credited``: what its body says of the version that added the
    last one."""
    if credited is None or credited["version"] != claim.version:
        return claim
    head, notes, order = _head(namespace, credited["head"], credited["voids"]), (chain, "notes"), credited["order"]
    return Claim(
        claim.key, claim.version, chain, head, head, needs=((notes, order - 1 or None),), sets=((notes, order),)
    )


def is_draft(invoice: Invoice) -> bool:
    """Whether the record is a version of a draft, and not of the invoice that it may become."""
    return invoice.state in (DRAFT, WITHDRAWN)


_NEVER: Final = -1


def _head(namespace: str, head: str, voids: Iterable[str]) -> tuple[str, str, tuple[str, ...]] | None:
    """The state of a chain: its last invoice, and those of it that are void; None before its first."""
    return (namespace, head, tuple(voids)) if head else None


def record_key(namespace: str, subscription: str) -> bytes:
    """The Kafka key: one chain, one partition, one order."""
    return f"{len(namespace)}:{namespace}{subscription}".encode()
