"""What a portal token opens: one account, as long as the token and the key that made it hold."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from clickhouse_connect.driver.client import Client
from fastapi import Depends, Header, Request

from rating.api.context import Rating, rating_of
from rating.api.portal.portal_token import grant_of
from rating.api.rating_problems import RatingProblem, missing, of_denial
from rating.invoices.read import read_invoice
from rating.invoices.stored_invoice import WholeInvoice
from rating.subscriptions.billed_metrics import billed_metrics
from schemas.catalog.profiles import dimension_names, resolve
from schemas.catalog.state import NamespaceView
from schemas.http.api_keys import Denied, KeyName
from schemas.http.scopes import READ
from schemas.values.instants import micros
from schemas.values.json_text import JsonObject


@dataclass(frozen=True, slots=True)
class OpenedPortal:
    """The service on behalf of the holder of a token, the catalog, and the account."""

    rating: Rating
    view: NamespaceView
    account_id: str

    def read_invoice(self, client: Client, invoice_id: str) -> WholeInvoice:
        """An invoice of the account. Raises Problem (404): it is another's, or a draft, which is the seller's.
        Blocking."""
        whole_invoice = read_invoice(client, self.view.namespace, invoice_id)
        if whole_invoice is None or whole_invoice.head.is_draft or whole_invoice.head.account_id != self.account_id:
            raise missing(f"there is no invoice {invoice_id[:64]!r}")
        return whole_invoice

    def metrics(self) -> list[JsonObject]:
        """What the account's subscriptions bill or billed usage by, with the dimensions it can be looked at by."""
        billed: dict[str, JsonObject] = {}
        for address in billed_metrics(self.view, self.account_id):
            try:
                versions = resolve(self.view, address)
            except LookupError:
                continue  # the estimate says that something is missing
            newest = versions[-1]
            billed[newest.profile_id] = {"metric": newest.profile_id, "unit": newest.unit,
                                         "dimensions": list(dimension_names(versions))}  # fmt: skip
        return list(billed.values())

    def metric(self, name: str) -> str:
        """The metric's full name. Raises Problem (404): the account is not billed by it, whether or not it exists."""
        billed = [str(metric["metric"]) for metric in self.metrics()]
        fitting = [full for full in billed if name in (full, full.partition(".")[0])]
        if len(fitting) != 1:
            raise missing(f"metric {name[:64]!r} is not one of yours; they are: {', '.join(billed) or 'none'}")
        return fitting[0]


def opened_portal(request: Request, token: str) -> OpenedPortal:
    """What the token opens. Raises Problem (401, 503)."""
    rating = rating_of(request)
    now_us = micros(rating.now())
    grant = grant_of(rating.settings.admin_key.get_secret_value(), token.strip(), now_us)
    if grant is None:
        raise _wrong_token()
    if grant.key_id:
        try:
            rating.keys.of_entry(KeyName(grant.namespace, grant.key_id), now_us).require(READ)
        except Denied as denied:
            if denied.status == HTTPStatus.SERVICE_UNAVAILABLE:
                raise of_denial(denied) from None
            raise _wrong_token() from None  # the key that made it is gone
    bound = rating.on_behalf_of(request, grant.namespace, f"portal:{grant.account_id}")
    return OpenedPortal(bound, rating.view(grant.namespace), grant.account_id)


async def _by_bearer(request: Request, authorization: Annotated[str, Header()] = "") -> OpenedPortal:
    scheme, _, token = authorization.partition(" ")
    return opened_portal(request, token if scheme.lower() == "bearer" else "")


Portal = Annotated[OpenedPortal, Depends(_by_bearer)]
"""What the bearer's token opens."""


def _wrong_token() -> RatingProblem:
    detail = "this portal token is wrong or has expired; go back to where you came from and open the page again"
    return RatingProblem(HTTPStatus.UNAUTHORIZED, detail, headers={"WWW-Authenticate": "Bearer"})
