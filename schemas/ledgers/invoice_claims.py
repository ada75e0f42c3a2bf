"""Identity, claim and chain of invoice records on usage.invoices (DESIGN invariant 9), and which of them are valid;
shared by the close, the webhooks and the worker's copies."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Final

from schemas.ledgers.first_valid import Claim, FirstValid
from schemas.ledgers.invoice_details import NoteClaim
from schemas.ledgers.invoice_record import Invoice, body_of, readable_invoice
from schemas.values.deterministic_ids import deterministic_id

DRAFT: Final = "draft"
FINALIZED: Final = "finalized"
VOID: Final = "void"
PAID: Final = "paid"
WITHDRAWN: Final = "withdrawn"
"""State of a draft whose period will not be billed."""


def invoice_id(namespace: str, subscription: str, period_start_us: int, sequence: int) -> str:
    """A deterministic invoice id, equal in all processes: ``inv_`` and 24 hexadecimal digits."""
    return deterministic_id("inv_", namespace, subscription, str(period_start_us), str(sequence))


def claim_of(invoice: Invoice) -> Claim:
    """The claim of an Invoice record: its version and, where it depends on the chain, the state of the chain.

    Version 1 claims its place after its predecessor, and a void version the state of the chain at that moment. An
    invoice names the void invoices of its chain that its plan considered, and is valid only if these are all: so no
    invoice can count on one that is void, and none can be voided while another has just counted on it. It also
    names the run of its predecessor (``after``), since that run determines which late usage was billed.

    Drafts have their own versions, and none is valid once the invoice exists. Drafts count how often they were held
    and released (``holds``); the invoice names that number, so it is void if its draft was held meanwhile. An
    approved invoice names the draft version that was approved.

    A version with a credit note (``credited``) claims the state of the chain on which it is based and its rank
    among the chain's credit notes (``order``). An invoice that adjusts others, and the void version of one, names the
    last credit note it considered (``after_note``). So nothing is credited twice, and no credit note misses what an
    invoice has just credited. Records of older releases have neither field.
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
        predecessor, successor = _head(namespace, head, voids), _head(namespace, head, sorted({*voids, name}))
        notes = (((chain, "notes"), void["after_note"] or None),) if "after_note" in void else ()
        return Claim(key, version, chain, predecessor, successor, needs=notes)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Claim(key, _NEVER)  # not written by Weir


def _credited(claim: Claim, chain: Hashable, namespace: str, credited: NoteClaim | None) -> Claim:
    """The claim of a version that adds a credit note; ``credited``: the body's entry about the version with the
    last note."""
    if credited is None or credited["version"] != claim.version:
        return claim
    head, notes, order = _head(namespace, credited["head"], credited["voids"]), (chain, "notes"), credited["order"]
    return Claim(
        claim.key, claim.version, chain, head, head, needs=((notes, order - 1 or None),), sets=((notes, order),)
    )


def is_draft(invoice: Invoice) -> bool:
    """Whether the record is a version of a draft, not of an invoice."""
    return invoice.state in (DRAFT, WITHDRAWN)


_NEVER: Final = -1


def _head(namespace: str, head: str, voids: Iterable[str]) -> tuple[str, str, tuple[str, ...]] | None:
    """The state of a chain: its last invoice and its void invoices; None for an empty chain."""
    return (namespace, head, tuple(voids)) if head else None


def record_key(namespace: str, subscription: str) -> bytes:
    """The Kafka key of a chain's records, which keeps them in one partition and in order."""
    return f"{len(namespace)}:{namespace}{subscription}".encode()


class ValidInvoices:
    """Applies the first-valid rule to invoice records. All records of a chain must be offered in log order. ``claims``:
    the state to go on from, None: that of the log's beginning."""

    def __init__(self, claims: FirstValid | None = None) -> None:
        self._claims = claims or FirstValid()

    def offer(self, invoice: Invoice) -> bool:
        """Apply the next record; whether it is valid."""
        return self._claims.offer(claim_of(invoice))

    def offer_bytes(self, value: bytes) -> Invoice | None:
        """``offer`` for an encoded record; None if it is void or cannot be decoded."""
        invoice = readable_invoice(value)
        return invoice if invoice is not None and self.offer(invoice) else None
