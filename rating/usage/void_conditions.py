"""Voided events in usage queries: which records do not count, and whose windows cannot be taken. Pure.

A void leaves records and windows as they are, since a maximum, a latest value or a distinct one cannot be taken out of
a roll-up. So records of voided events are passed over, by position, and accounts that have one in the interval are
totalled from records alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.clickhouse.positions import EVENT


def not_voided(scope: Sequence[str], cut: str) -> str:
    """A condition on records: their event is not voided. ``scope``: conditions on ``namespace`` and ``timestamp`` that
    voided events share with the records; ``cut``: that on the voids' positions, "" for live."""
    return f"{EVENT} NOT IN (SELECT {EVENT} {voided(scope, cut)})"


def account_has_voids(scope: Sequence[str], cut: str) -> str:
    """A condition on records and windows: their account has a voided event in the scope."""
    return f"account_id IN (SELECT account_id {voided(scope, cut)})"


def account_has_no_voids(scope: Sequence[str], cut: str) -> str:
    """The opposite of ``account_has_voids``."""
    return f"account_id NOT IN (SELECT account_id {voided(scope, cut)})"


def voided(scope: Sequence[str], cut: str) -> str:
    """FROM and WHERE of voided events, of what the others are about."""
    return f"FROM voided_events WHERE {' AND '.join([*scope, *([cut] if cut else [])])}"
