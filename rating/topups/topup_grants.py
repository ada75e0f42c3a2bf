"""The credit grant of a top-up that is paid: an entry of the catalog under the top-up's id.

Version 1 of an entry is claimed once (the first valid record wins), so it is the same grant whoever publishes it, and
however often; what somebody made of it since stays.
"""

from __future__ import annotations

import uuid
from decimal import Decimal

from schemas.catalog.prepaid.topup_record import TopupRecord
from schemas.catalog.state import NamespaceView, record_of
from schemas.catalog.terms import CreditGrant
from schemas.kafka.codec import codec
from schemas.kafka.topics import CATALOG
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings

_codec = codec("catalog_entry")


def grant_of_topup(record: TopupRecord) -> CreditGrant:
    """What is granted for the payment."""
    return CreditGrant(
        code=record.topup_id,
        name="Top-up",
        account=record.account_id,
        amount=Decimal(record.amount),
        currency=record.currency,
        effective=None,
        expires=None,
        source="paid",
        cost_basis=Decimal(record.cost),
        cost_currency=None if record.cost_currency == record.currency else record.cost_currency,
    )


def ungranted(view: NamespaceView, record: TopupRecord) -> bool:
    """Whether the top-up is paid and the view does not have its grant."""
    return record.state == "paid" and not view.history("credit_grant", record.topup_id)


class TopupGrants:
    """Publishes such grants. Thread-safe; blocking."""

    def __init__(self, settings: Settings) -> None:
        self._writer = LedgerWriter(settings, CATALOG)

    def publish(self, record: TopupRecord) -> int:
        """Publish the grant of a paid top-up; the offset of the record in usage.catalog. Raises as
        ``LedgerWriter.append_all``; repeating it is safe."""
        entry = record_of(
            record.namespace,
            grant_of_topup(record),
            kind="credit_grant",
            version=1,
            author=f"top-up {record.reference}".strip()[:200],
            claim_id=uuid.uuid4().hex,
        )
        key = f"{record.namespace}/credit_grant/{record.topup_id}".encode()
        [(_, offset)] = self._writer.append_all([(key, _codec.encode(entry))], partition=0)
        return offset
