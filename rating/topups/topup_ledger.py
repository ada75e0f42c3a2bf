"""Reads and writes usage.topups. Thread-safe."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Final

from rating.topups.topup_answers import TopupAnswer, records_of
from schemas.catalog.prepaid.topup_record import Topup, TopupRecord, ValidTopups
from schemas.kafka.topics import TOPUPS
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings

_ATTEMPTS: Final = 20


@dataclass(frozen=True, slots=True)
class AppendedTopup:
    """A valid record at its place. ``appended_us``: microseconds UTC."""

    record: TopupRecord
    partition: int
    offset: int
    appended_us: int


class TopupLedger:
    """usage.topups, followed on request. Close it. Raises LedgerUnavailable where Kafka does not answer or the topic is
    not there."""

    def __init__(self, settings: Settings, stored: Mapping[int, int] | None = None) -> None:
        """``stored``: partition → offset below which all is stored already, None: nobody takes ``unstored``."""
        self._stored = stored
        self.valid = ValidTopups()
        self.unstored: list[AppendedTopup] = []
        """Valid records beyond ``stored`` that were read and that nobody has taken from here yet."""
        self._lock = threading.RLock()
        self._writer = LedgerWriter(settings, TOPUPS)
        self._reader = LedgerReader(settings, TOPUPS)
        self._claim_id = uuid.uuid4().hex

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()

    @property
    def positions(self) -> dict[int, int]:
        """Partition → next offset to read."""
        return dict(self._reader.positions)

    def ends(self) -> dict[int, int]:
        """Partition → the log's present end. Raises LedgerUnavailable."""
        return self._reader.end_offsets()

    def refresh(self) -> None:
        """Read to the log's present end. Raises LedgerUnavailable."""
        with self._lock, closing(self._reader.lots_to(self._reader.end_offsets())) as lots:
            for lot in lots:
                for at in lot:
                    record = self.valid.apply_bytes(at.value, at.append_us)
                    if record is None or self._stored is None or at.offset < self._stored.get(at.partition, 0):
                        continue
                    self.unstored.append(AppendedTopup(record, at.partition, at.offset, at.append_us))

    def publish(self, records: Sequence[TopupRecord]) -> None:
        """Append records; which of them are valid, the next ``refresh`` tells. Raises as ``LedgerWriter.append_all``;
        repeating it is safe."""
        self._writer.append_all(
            [("\0".join(record.owner).encode(), record.encode(self._claim_id)) for record in records]
        )

    def answer(self, namespace: str, account_id: str, topup_id: str, answer: TopupAnswer) -> Topup:
        """Write an answer, read it back, and try again on top of what others wrote meanwhile; the top-up as it stands
        then. Blocking; repeating it is safe.

        Raises LookupError where the account has no such top-up, TopupConflict, LedgerUnavailable.
        """
        with self._lock:
            for _ in range(_ATTEMPTS):
                self.refresh()
                topup = self._topup(namespace, account_id, topup_id)
                records = records_of(self.valid.of(*topup.record.owner), topup, answer)
                if not records:
                    return topup
                self.publish(records)
        raise LedgerUnavailable(f"{TOPUPS}: {_ATTEMPTS} answers to {topup_id} in a row lost to other writers")

    def _topup(self, namespace: str, account_id: str, topup_id: str) -> Topup:
        for topup in self.valid.of_account(namespace, account_id):
            if topup.record.topup_id == topup_id:
                return topup
        raise LookupError(f"account {account_id[:64]} has no top-up {topup_id[:40]!r} among its latest")
