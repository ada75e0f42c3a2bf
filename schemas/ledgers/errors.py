"""Why a ledger could not be read or written."""

from __future__ import annotations

from schemas.errors import WeirError


class LedgerUnavailable(WeirError):
    """Kafka did not answer in time; whether anything was written is unknown. Try again."""
