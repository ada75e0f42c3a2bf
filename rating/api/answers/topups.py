"""What is answered about top-ups."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from rating.api.answers.alerts import AlertAsOf
from schemas.http.openapi import Answer, DecimalText


class BalanceTopup(Answer):
    """A request to top up prepaid credit, as it stands."""

    topup_id: str
    """of account, currency and number; also the code of the credit grant, once it is paid"""
    account_id: str
    currency: str = Field(examples=["USD"])
    number: int
    """1, 2, …: of the account's requests of this currency"""
    version: int
    """1, 2, …: of the account's records of this currency"""
    state: Literal["requested", "paid", "refused", "withdrawn"]
    at: datetime
    """when it came to be so"""
    amount: DecimalText
    """what is granted once it is paid"""
    cost: DecimalText
    """what is to be paid"""
    cost_currency: str = Field(examples=["USD"])
    floor: DecimalText
    target: DecimalText
    balance: DecimalText
    """of which it was requested; below zero: so much more was used than there was credit for"""
    reference: str | None
    """of the payment; why it was refused or withdrawn; null: not told"""
    credit_grant: str | None
    """what it became; null: it is not paid"""
    as_of: AlertAsOf
    """when the balance was measured"""


class TopupPage(Answer):
    """A page of an account's top-ups, newest first."""

    account_id: str
    topups: list[BalanceTopup]
    next_cursor: str | None
