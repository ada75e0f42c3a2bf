"""The state of usage.invoices: valid invoices and each subscription's chain (first valid record wins)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from schemas.kafka.topics import INVOICES
from schemas.ledgers.invoice_claims import DRAFT, is_draft
from schemas.ledgers.invoice_record import Invoice
from schemas.ledgers.ledger_reader import STALLED_SECONDS, LedgerReader
from schemas.ledgers.valid_invoices import ValidInvoices
from schemas.settings import Settings


class StandingInvoices:
    """The valid invoices after the records applied so far. All records of a chain must be applied in log order.

    Drafts are kept separately and belong to no chain. ``applied``: number of valid records applied. ``only``: keep
    one namespace only; None: all.
    """

    def __init__(self, only: str | None = None) -> None:
        self.applied = 0
        # A name stands in the records as it is, so most of other namespaces' need not be decoded.
        self._only = (only or "").encode()
        self._valid = ValidInvoices()
        self._drafts: dict[tuple[str, str], Invoice] = {}
        self._draft_versions: dict[str, int] = {}
        self._invoices: dict[tuple[str, str], Invoice] = {}
        self._chains: dict[tuple[str, str], list[str]] = {}

    @classmethod
    def holding(cls, invoices: Iterable[Invoice]) -> StandingInvoices:
        """A state with these invoices, each chain in order. No claims can be checked against it; ``assume`` adds
        further invoices."""
        standing = cls()
        for invoice in invoices:
            standing.assume(invoice)
        return standing

    def assume(self, invoice: Invoice) -> None:
        """Append an invoice to its chain without checking its claim, for hypothetical states."""
        self._invoices[invoice.namespace, invoice.invoice_id] = invoice
        self._chains.setdefault((invoice.namespace, invoice.subscription), []).append(invoice.invoice_id)

    def apply(self, record: Invoice) -> bool:
        """Apply the next record; False if it is void."""
        if not self._valid.offer(record):
            return False
        self._keep(record)
        return True

    def _keep(self, record: Invoice) -> None:
        self.applied += 1
        key = record.namespace, record.invoice_id
        if is_draft(record):
            self._drafts[key] = record
            self._draft_versions[key[0]] = self._draft_versions.get(key[0], 0) + 1
            return
        self._invoices[key] = record
        if record.version == 1:
            self._drafts.pop(key, None)
            self._chains.setdefault((record.namespace, record.subscription), []).append(record.invoice_id)

    def apply_bytes(self, value: bytes) -> bool:
        """``apply`` for an encoded record; bytes that cannot be decoded are void."""
        if self._only not in value:
            return False
        record = self._valid.offer_bytes(value)
        if record is not None:
            self._keep(record)
        return record is not None

    def invoice(self, namespace: str, invoice_id: str) -> Invoice | None:
        """The newest version of an invoice."""
        return self._invoices.get((namespace, invoice_id))

    def draft(self, namespace: str, invoice_id: str) -> Invoice | None:
        """The newest version of a draft that has not become an invoice, withdrawn or not."""
        return self._drafts.get((namespace, invoice_id))

    def drafts(self, namespace: str) -> list[Invoice]:
        """The newest versions of all present drafts."""
        return [draft for (owner, _), draft in self._drafts.items() if owner == namespace and draft.state == DRAFT]

    def draft_versions(self, namespace: str) -> int:
        """Number of draft versions so far."""
        return self._draft_versions.get(namespace, 0)

    def invoices(self, namespace: str) -> list[Invoice]:
        """The newest versions of all invoices of a namespace."""
        return [invoice for (owner, _), invoice in self._invoices.items() if owner == namespace]

    def namespaces(self) -> list[str]:
        """All namespaces with an invoice or draft."""
        return sorted({owner for ledger in (self._invoices, self._drafts) for owner, _ in ledger})

    def count(self, namespace: str) -> int:
        """Number of valid invoices in the namespace."""
        return sum(1 for owner, _ in self._invoices if owner == namespace)

    def chain(self, namespace: str, subscription: str) -> list[Invoice]:
        """The newest versions of a subscription's invoices, oldest first."""
        return [self._invoices[namespace, name] for name in self._chains.get((namespace, subscription), [])]

    def chains(self, namespace: str) -> Iterator[list[Invoice]]:
        """All chains of a namespace."""
        for owner, subscription in self._chains:
            if owner == namespace:
                yield self.chain(namespace, subscription)

    def head(self, namespace: str, subscription: str) -> Invoice | None:
        """The last invoice of the chain, which the next one names as its predecessor."""
        names = self._chains.get((namespace, subscription))
        return self._invoices[namespace, names[-1]] if names else None


def read_standing(
    reader: LedgerReader, standing: StandingInvoices, stalled: float = STALLED_SECONDS
) -> StandingInvoices:
    """Read ``reader``, which follows usage.invoices, to the log's present end, however long that takes. Raises
    LedgerUnavailable after ``stalled`` seconds in which nothing came."""
    for record in reader.read_to(reader.end_offsets(), stalled):
        standing.apply_bytes(record.value)
    return standing


def invoices_reader(settings: Settings) -> LedgerReader:
    """A reader of usage.invoices from its beginning. Raises LedgerUnavailable. Close it."""
    return LedgerReader(settings, INVOICES)
