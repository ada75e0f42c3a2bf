"""What a close wrote to usage.invoices, for the snapshot: it need not be decoded again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct

from schemas.ledgers.invoice_record import Invoice
from schemas.ledgers.ledger_writer import RecordPlace
from schemas.ledgers.log_place import LogPlace


class PublishedLot(Struct, frozen=True):
    """Records that Kafka has acknowledged, valid or void, in the order of their places: all that the log has from
    ``begin`` (partition → offset) on, up to ``end``."""

    invoices: Sequence[tuple[RecordPlace, Invoice]]
    begin: Mapping[int, int]
    end: Mapping[int, LogPlace]
