"""Reads usage.checkpoints, on from the file of their fold."""

from __future__ import annotations

from schemas.kafka.topics import CHECKPOINTS
from schemas.ledgers.checkpoint_folds.checkpoint_fold import Checkpoints, Run
from schemas.ledgers.checkpoint_folds.stored_checkpoints import StoredCheckpoints
from schemas.ledgers.folds.cut_list import Cut
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings


class CheckpointReader:
    """``checkpoints``: the fold of what was read. Not thread-safe. Raises LedgerUnavailable. Close it."""

    def __init__(self, settings: Settings) -> None:
        self.checkpoints = Checkpoints()
        self._reader = LedgerReader(settings, CHECKPOINTS)
        try:
            self._stored = StoredCheckpoints(settings, self.checkpoints)
            self._reader.resume(self._stored.begin(self._reader, self._reader.end_offsets()))
        except BaseException:
            self._reader.close()
            raise

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()

    def refresh(self) -> Checkpoints:
        """Read to the log's present end. Raises LedgerUnavailable."""
        for record in self._reader.read_to(self._reader.end_offsets()):
            self.checkpoints.apply_bytes(record.value)
        self._stored.at_end(self._reader.places())
        return self.checkpoints

    def established(self, offset: int) -> Cut | Run | None:
        """Read to the record at the offset, as far as it is not read; what that record established. Raises
        LedgerUnavailable."""
        result: Cut | Run | None = None
        for record in self._reader.read_to({0: offset + 1}):
            applied = self.checkpoints.apply_bytes(record.value)
            if record.offset == offset:
                result = applied
        return result
