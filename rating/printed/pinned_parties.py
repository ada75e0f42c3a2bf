"""Who stands on an invoice: seller and buyer as the catalog had them when it was made. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rating.invoices.stored_invoice import StoredInvoiceHead
from schemas.catalog.parties.invoice_parties import Buyer, Seller
from schemas.catalog.state import NamespaceView


@dataclass(frozen=True, slots=True)
class InvoiceParties:
    """Both sides of an invoice, each with a name."""

    seller: Seller
    buyer: Buyer


def parties_of(view: NamespaceView, head: StoredInvoiceHead) -> InvoiceParties:
    """As of the invoice's catalog offset, so that who moves later is not on older invoices elsewhere; what nobody had
    set by then is as it was set first."""
    seller = _then(view, "namespace", view.namespace, "seller", head.catalog_offset) or Seller()
    buyer = _then(view, "account", head.account_id, "buyer", head.catalog_offset) or Buyer()
    seller_name = _then(view, "namespace", view.namespace, "name", head.catalog_offset) or view.namespace
    buyer_name = _then(view, "account", head.account_id, "name", head.catalog_offset) or head.account_id
    return InvoiceParties(
        seller if seller.name else seller.model_copy(update={"name": seller_name}),
        buyer if buyer.name else buyer.model_copy(update={"name": buyer_name}),
    )


def _then(view: NamespaceView, kind: str, code: str, field: str, offset: int) -> Any:
    """A field of the version in force as of ``offset`` (exclusive); where that has none, of the first version after it
    that has; None."""
    versions = view.history(kind, code)
    before = [entry for entry in versions if entry.offset < offset][-1:]
    after = (entry for entry in versions if entry.offset >= offset)
    for entry in (*before, *after):
        if entry.body.get(field):
            return getattr(entry.model, field)
    return None
