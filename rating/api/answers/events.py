"""What is answered about single events: counted, voided, rejected."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from schemas.http.openapi import Answer, EventPosition, Position, absent


class VoidedEvent(Answer):
    """An event that counts no longer."""

    idempotency_key: str
    source: str
    event_name: str
    account_id: str
    timestamp: datetime
    profiles: list[str]
    """those that had measured it"""
    reason: str
    author: str
    voided_at: datetime
    position: EventPosition
    void: Position


class VoidedEventPage(Answer):
    """A page of voided events, newest void first."""

    voided_events: list[VoidedEvent]
    next_cursor: str | None


class VoidEffect(Answer):
    """What a void did."""

    outcome: Literal["pending", "voided", "nothing_to_void", "already_voided"]
    """`pending`: not metered yet"""
    detail: str
    """why it did nothing"""
    event: VoidedEvent | None
    """the event that counts no longer"""


class CopyThatCounted(Answer):
    """A counted event."""

    event_name: str
    account_id: str
    timestamp: datetime
    properties: dict[str, Any]
    """as they were sent"""
    voided: bool
    """whether it counts no longer"""


class CountedEventAnswer(Answer):
    """The copy of a key that counted last; null: none did."""

    event: CopyThatCounted | None


class RejectionAnswer(Answer):
    """What was refused, with its reason. Its bytes are in `original` if they are UTF-8, else in `original_hex`."""

    id: str = Field(examples=["5f3a9c0e1b7d4826a1c04f9e6d2b8e73"])
    namespace: str
    """empty where it could not be decoded"""
    stage: Literal["gateway", "admit", "meter"]
    """who refused it: the gateway, the admission of an inbox, or the meter"""
    reason: str = Field(examples=["too_old"])
    detail: str
    events: int
    account_id: str
    event_name: str
    idempotency_key: str
    received_at: datetime
    replayed: str
    """what a replay came to; empty: it was not replayed"""
    original_size: int = absent()
    """where only the beginning is stored: bytes of all of it"""
    original: str = absent()
    original_hex: str = absent()


class RejectionPage(Answer):
    """A page of rejections, newest first."""

    rejections: list[RejectionAnswer]
    next_cursor: str | None
