"""The line of a stored invoice that is explained, with the query that gave its quantity, as of its own checkpoint and
catalog."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from clickhouse_connect.driver.client import Client

from rating.invoices.read import read_invoice
from rating.invoices.stored_invoice import StoredInvoiceHead, StoredInvoiceLine, WholeInvoice
from rating.invoicing.charges import ChargeBook, Need
from rating.invoicing.measure import query_for
from rating.periods import parse_zone
from rating.pricing import PriceError, parse_price
from rating.subscriptions.timeline import PlanningError
from rating.usage import UsageQuery
from schemas.catalog.profiles import ProfileVersion, profile_versions
from schemas.catalog.state import Catalog
from schemas.errors import WeirError
from schemas.ledgers.checkpoints import Checkpoints, Cut
from schemas.values.record_copy import replace


class NotExplained(WeirError, LookupError):
    """There is no such line, or what it names is not in the ledgers; the message says which."""


@dataclass(frozen=True, slots=True)
class Ledgers:
    """The catalog and the checkpoints, at least as far as the invoice that is asked about."""

    catalog: Catalog
    checkpoints: Checkpoints

    def cut(self, number: int) -> Cut:
        """The checkpoint with this number. Raises NotExplained where the ledger does not have it (yet)."""
        try:
            return self.checkpoints.cut(number)
        except LookupError as error:
            raise NotExplained(f"{error.args[0]}; try again in a moment") from None


@dataclass(frozen=True, slots=True)
class Subject:
    """A line of an invoice with all that explains its quantity. ``need`` and ``cut`` are None for a line without usage
    behind it; ``versions`` are the profile versions pinned on the line."""

    invoice: WholeInvoice
    line: StoredInvoiceLine
    zone: ZoneInfo
    need: Need | None
    cut: Cut | None
    versions: tuple[ProfileVersion, ...]

    @property
    def head(self) -> StoredInvoiceHead:
        """The head of the line's invoice."""
        return self.invoice.head

    @property
    def query(self) -> UsageQuery:
        """The query of the line's quantity, for its account alone, over records. Raises NotExplained without usage."""
        if self.need is None or self.cut is None:
            raise NotExplained(f"line {self.line.number} of invoice {self.head.invoice_id} has no usage behind it")
        return query_for(self.head.namespace, self.need, [self.head.account_id], self.cut)


def read_subject(client: Client, ledgers: Ledgers, namespace: str, invoice_id: str, number: int) -> Subject:
    """The line ``number`` (1, 2, …) of the invoice's newest version. Raises NotExplained. Blocking."""
    invoice = read_invoice(client, namespace, invoice_id)
    if invoice is None:
        raise NotExplained(f"there is no invoice {invoice_id[:64]!r} in namespace {namespace}")
    line = next((candidate for candidate in invoice.lines if candidate.number == number), None)
    if line is None:
        raise NotExplained(f"invoice {invoice_id} has lines 1 to {len(invoice.lines)}, no line {number}")
    # An adjustment counts what was backfilled by the time of the invoice that it adjusts.
    original = read_invoice(client, namespace, line.adjusts) if line.adjusts else None
    return subject_of(ledgers, invoice, line, (original or invoice).head)


def subject_of(
    ledgers: Ledgers, invoice: WholeInvoice, line: StoredInvoiceLine, pinned_by: StoredInvoiceHead
) -> Subject:
    """The same for a line at hand; ``pinned_by``: the invoice that billed it first. Raises NotExplained."""
    head = invoice.head
    zone = parse_zone(head.time_zone)
    if not line.profile_id:
        return Subject(invoice, line, zone, None, None, ())
    view = ledgers.catalog.view(head.namespace, head.catalog_offset)
    try:
        price = parse_price(line.price, head.currency)
        need = ChargeBook(view).need(line.profile_id, price, line.period_start_us, line.period_end_us)
        need = replace(need, profile=need.profile.as_pinned(pinned_by.catalog_offset, pinned_by.checkpoint))
    except (PlanningError, PriceError) as error:
        raise NotExplained(f"line {line.number} of invoice {head.invoice_id}: {error}") from None
    of_profile = tuple(version for version in profile_versions(view) if version.profile_id == line.profile_id)
    versions = tuple(version for version in of_profile if version.version in line.profile_versions)
    return Subject(invoice, line, zone, need, ledgers.cut(head.checkpoint), versions)
