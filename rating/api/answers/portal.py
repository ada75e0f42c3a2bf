"""What is answered about a customer's portal."""

from __future__ import annotations

from datetime import datetime

from rating.api.answers.balances import AccountBalance
from rating.api.answers.entitlements import EntitlementAnswer
from rating.api.answers.invoices import InvoiceHead
from rating.api.answers.usage import RunningPeriods, UsageAnswer
from schemas.http.openapi import Answer


class PortalToken(Answer):
    """A token for one account's portal."""

    account_id: str
    token: str
    """as bearer of GET /v1/portal"""
    expires_at: datetime
    url: str
    """path of the page, below the service's own address"""


class PortalAccount(Answer):
    """An account as its customer sees it."""

    account_id: str
    name: str
    time_zone: str
    running: RunningPeriods
    usage: list[UsageAnswer]
    """each metric that is billed, in its running period by day"""
    balance: AccountBalance | None
    entitlements: list[EntitlementAnswer]
    invoices: list[InvoiceHead]
    """the latest ones"""
    incomplete: bool
    """whether something cannot be told at present"""
