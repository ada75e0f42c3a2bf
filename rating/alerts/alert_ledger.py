"""Reads and writes usage.alerts. Not thread-safe."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

from schemas.kafka.topics import ALERTS
from schemas.ledgers.alert_record import ROWS_VERSION, Alert, ValidAlerts
from schemas.ledgers.folds.fold_image import image_of
from schemas.ledgers.folds.fold_row import Row
from schemas.ledgers.ledger_reader import LedgerReader, LogRecord
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings


@dataclass(frozen=True, slots=True)
class AppendedAlert:
    """A valid record at its place. ``appended_us``: microseconds UTC."""

    alert: Alert
    partition: int
    offset: int
    appended_us: int


class AlertLedger:
    """usage.alerts, followed on request, from the file of its fold on if there is one. Close it. Raises
    LedgerUnavailable where Kafka does not answer or the topic is not there."""

    def __init__(self, settings: Settings, stored: Mapping[int, int] | None = None) -> None:
        """``stored``: partition → offset below which all is stored already."""
        self._stored = stored or {}
        self.valid = ValidAlerts()
        self.unstored: list[AppendedAlert] = []
        """Valid records beyond ``stored`` that were read and that nobody has taken from here yet."""
        self._writer = LedgerWriter(settings, ALERTS)
        self._reader = LedgerReader(settings, ALERTS)
        self._claim_id = uuid.uuid4().hex
        try:
            self._image = image_of(settings, ALERTS, ROWS_VERSION)
            # Of a file that is ahead of what is stored, valid records would be passed over.
            ends = {number: min(end, self._stored.get(number, 0)) for number, end in self.ends().items()}
            self._reader.resume(self._image.begin(self._reader, ends, {}, self._go_on_from))
        except BaseException:
            self._reader.close()
            raise

    def _go_on_from(self, rows: Iterable[Row]) -> None:
        self.valid = ValidAlerts.of_rows(rows)

    def save(self) -> None:
        """All that was read is stored: write the file if it is far behind."""
        self._image.save(self._reader.places(), len(self.valid), self.valid.rows)

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

    def refresh(self, most: int | None = None) -> bool:
        """Read to the log's present end, or until about ``most`` records are in ``unstored``; whether the end was
        reached. Raises LedgerUnavailable."""
        ends = self._reader.end_offsets()
        with closing(self._reader.lots_to(ends)) as lots:
            for lot in lots:
                self._apply(lot)
                if most is not None and len(self.unstored) >= most:
                    break
        return all(self._reader.positions[number] >= end for number, end in ends.items())

    def _apply(self, lot: Sequence[LogRecord]) -> None:
        for record in lot:
            alert = self.valid.apply_bytes(record.value, record.append_us)
            if alert is not None and record.offset >= self._stored.get(record.partition, 0):
                self.unstored.append(AppendedAlert(alert, record.partition, record.offset, record.append_us))

    def publish(self, alerts: Sequence[Alert]) -> None:
        """Append records; which of them are valid, the next ``refresh`` tells. Raises as ``LedgerWriter.append_all``;
        repeating it is safe."""
        self._writer.append_all([(alert.key.alert_id.encode(), alert.encode(self._claim_id)) for alert in alerts])
