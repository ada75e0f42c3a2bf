"""What is answered about live prepaid balances."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from rating.api.answers.as_of import LiveAsOf
from rating.invoices.amounts.prepaid.grant_entries import EntryKind
from schemas.catalog.terms import Recurrence
from schemas.http.openapi import Answer, DecimalText


class LiveAmounts(Answer):
    """``live`` = ``settled`` − ``pending`` − ``running``, in one currency."""

    currency: str = Field(examples=["USD"])
    settled: DecimalText
    """granted less what invoices that stand drew, and less what expired or is retired"""
    pending: DecimalText
    """by how much it falls by what has ended and is not billed; below zero: credit comes back"""
    running: DecimalText
    """by how much it falls in addition by the running periods, if nothing more is used"""
    live: DecimalText


class LiveGrant(LiveAmounts):
    """The same of a grant: ``granted`` = ``used`` + ``settled`` + ``expired``."""

    code: str
    name: str
    account_id: str
    subscription: str | None
    priority: int
    effective: datetime | None
    expires: datetime | None
    state: Literal["pending", "active", "used", "expired", "retired"]
    granted: DecimalText
    used: DecimalText
    """by invoices that stand"""
    expired: DecimalText
    products: list[str]
    """pays their lines alone; empty: whatever is billed"""
    source: Literal["paid", "promotional"]
    cost_basis: DecimalText | None
    """what was paid for the amount; null: not stated"""
    cost_currency: str | None
    """of ``cost_basis``: the currency, and of a grant in an own unit the money"""
    recurrence: Recurrence | None
    """null: granted once; else ``granted`` is what has been by now"""


class AccountBalance(Answer):
    """The prepaid balance of an account with what is not billed yet."""

    account_id: str
    as_of: LiveAsOf
    balances: list[LiveAmounts]
    """by currency"""
    grants: list[LiveGrant]
    """in the order in which invoices draw on them"""
    problems: list[str]
    """what could not be rated and draws nothing here, in sentences"""


class LedgerEntry(Answer):
    """What changed a grant's balance, and by how much."""

    at: datetime
    kind: EntryKind
    """grant, change, retirement: versions of the grant in the catalog; draw, give_back: lines of invoices; credit_note,
    void: what these gave back; expiry: what can be used no longer, above zero where an invoice of an earlier period
    drew on it after all; overdrawn: what was drawn beyond what a later version grants"""
    grant: str
    currency: str = Field(examples=["USD"])
    amount: DecimalText
    balance: DecimalText
    """the grant's, after it"""
    total: DecimalText
    """that of all grants of the account in the currency, after it"""
    invoice_id: str | None
    line: int | None
    """the invoice's line"""
    credit_note: str | None
    """the reference of the invoice's credit note"""
    version: int | None
    """of the grant, where it does not stem from an invoice"""
    recurrence: str | None
    """the local date of the recurrence that was drawn on; null: of a grant that is given once"""


class LedgerPage(Answer):
    """The ledger of an account's prepaid credit, the newest entries first."""

    account_id: str
    at: datetime
    entries: list[LedgerEntry]
    next_cursor: str | None
