"""GET /v1/invoices/{id}.pdf: an invoice as its customer gets it."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from rating.api.context import Authorized, Rating, View
from rating.api.rating_problems import RatingProblem, missing
from rating.invoices.read import read_invoice
from rating.invoices.stored_invoice import WholeInvoice
from rating.printed.invoice_document import invoice_document
from rating.printed.pinned_parties import parties_of
from rating.printed.typesetting import NotPrinted, printed
from schemas.catalog.state import NamespaceView

router = APIRouter(tags=["invoices"])

MEDIA_TYPE: Final = "application/pdf"


@router.get("/v1/invoices/{invoice_id}.pdf", summary="One invoice as PDF", response_class=Response)
async def invoice_pdf(rating: Authorized, view: View, invoice_id: str) -> Response:
    """The same bytes for the same version of the invoice. Seller and buyer are those of the catalog when it was made
    (`seller` of the namespace, `buyer` of the account); of more than 1,000 lines the rest are one line with their
    sum."""
    whole_invoice = await rating.ask(lambda client: read_invoice(client, view.namespace, invoice_id))
    if whole_invoice is None:
        raise missing(f"there is no invoice {invoice_id[:64]!r} in namespace {view.namespace}")
    return await pdf_answer(rating, view, whole_invoice)


async def pdf_answer(rating: Rating, view: NamespaceView, whole_invoice: WholeInvoice) -> Response:
    """The invoice as PDF. Raises Problem: 429, 503 where too many are made, or this one took too long."""
    try:
        document = await rating.compute(
            lambda: printed(invoice_document(whole_invoice, parties_of(view, whole_invoice.head)))
        )
    except NotPrinted as error:
        raise RatingProblem(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from None
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", whole_invoice.head.number or whole_invoice.head.invoice_id).strip(".-")
    headers = {"Content-Disposition": f'inline; filename="{name or "invoice"}.pdf"', "Cache-Control": "no-store",
               "X-Content-Type-Options": "nosniff"}  # fmt: skip
    return Response(document, media_type=MEDIA_TYPE, headers=headers)
