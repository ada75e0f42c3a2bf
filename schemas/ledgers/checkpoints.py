"""Checkpoints: numbered cuts of usage.events, and the billing runs that refer to them (DESIGN invariants 7 and 9)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Sequence
from typing import Final, Literal

from clickhouse_connect.driver.client import Client

from schemas.kafka.codec import AvroRecord, codec
from schemas.kafka.topics import CHECKPOINTS
from schemas.ledgers.checkpoint_folds.checkpoint_fold import Checkpoints as Checkpoints
from schemas.ledgers.checkpoint_folds.checkpoint_fold import Run as Run
from schemas.ledgers.checkpoint_folds.checkpoint_fold import UnknownCheckpoint as UnknownCheckpoint
from schemas.ledgers.checkpoint_folds.checkpoint_reader import CheckpointReader
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.folds.cut_list import Cut as Cut
from schemas.ledgers.generations import Offsets, written_offsets
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings

_codec = codec("checkpoint")
_ATTEMPTS: Final = 20
_NUMBERED_AT_ONCE: Final = 10_000  # keeps a record far below a megabyte


def cut_record(cut: Cut, claim_id: str) -> AvroRecord:
    """The Checkpoint record of a cut."""
    return {
        "kind": "cut", "number": cut.number, "catalog_offset": cut.catalog_offset, "as_of": cut.as_of_us,
        "offsets": written_offsets(cut.offsets),
        "backfill": cut.backfill, "run_id": "", "body": "{}", "claim_id": claim_id,
    }  # fmt: skip


def run_record(run: Run, claim_id: str) -> AvroRecord:
    """The Checkpoint record of a run's announcement."""
    return {
        "kind": "run", "number": run.number, "catalog_offset": run.catalog_offset, "as_of": run.as_of_us, "offsets": [],
        "backfill": "", "run_id": run.run_id, "body": json.dumps(run.body, sort_keys=True), "claim_id": claim_id,
    }  # fmt: skip


Series = Literal["invoices", "credit_notes"]


def numbers_record(
    namespace: str, prefix: str, names: Sequence[str], claim_id: str, series: Series = "invoices"
) -> AvroRecord:
    """The Checkpoint record that assigns numbers to those of the named invoices (or credit notes) that have none."""
    body = {"namespace": namespace, "prefix": prefix, "invoices": [], series: list(names)}
    return {
        "kind": "numbers", "number": 0, "catalog_offset": 0, "as_of": 0, "offsets": [], "backfill": "", "run_id": "",
        "body": json.dumps(body), "claim_id": claim_id,
    }  # fmt: skip


class CheckpointLedger:
    """Writes cuts, runs and numbers, and reads back which won. Not thread-safe. Close it."""

    def __init__(self, settings: Settings) -> None:
        self._writer = LedgerWriter(settings, CHECKPOINTS)
        self._reader = CheckpointReader(settings)
        self.checkpoints = self._reader.checkpoints

    def close(self) -> None:
        """Disconnect."""
        self._reader.close()

    def refresh(self) -> Checkpoints:
        """Read to the log's present end. Raises LedgerUnavailable."""
        return self._reader.refresh()

    def _publish(self, value: bytes) -> Cut | Run | None:
        _, offset = self._writer.append(b"checkpoints", value)
        return self._reader.established(offset)

    def cut(self, propose: Callable[[Cut | None], Cut | None]) -> Cut | None:
        """Publish the cut returned by ``propose(last cut)``; returns it once it is valid, None if ``propose``
        returns None.

        If another writer was first, ``propose`` is called again with the cut that won. Raises LedgerUnavailable.
        """
        for _ in range(_ATTEMPTS):
            proposed = propose(self.refresh().last)
            if proposed is None:
                return None
            established = self._publish(_codec.encode(cut_record(proposed, uuid.uuid4().hex)))
            if isinstance(established, Cut):
                return established
        raise LedgerUnavailable(f"{CHECKPOINTS}: {_ATTEMPTS} cuts in a row lost to other writers; try again")

    def number(self, namespace: str, prefix: str, names: Sequence[str], series: Series = "invoices") -> None:
        """Assign numbers to those of ``names`` that have none, in this order. Raises LedgerUnavailable; repeating
        it is safe."""
        for start in range(0, len(names), _NUMBERED_AT_ONCE):
            lot = names[start : start + _NUMBERED_AT_ONCE]
            self._publish(_codec.encode(numbers_record(namespace, prefix, lot, uuid.uuid4().hex, series)))

    def announce(self, run: Run) -> Run:
        """Announce a run; returns the valid run with this id, which may be one announced earlier by another
        process."""
        self.refresh()
        if run.run_id not in self.checkpoints.runs:
            self._publish(_codec.encode(run_record(run, uuid.uuid4().hex)))
        return self.checkpoints.runs[run.run_id]


def next_cut(previous_cut: Cut | None, progress: Offsets, catalog_offset: int, as_of_us: int) -> Cut | None:
    """The cut that covers ``progress``; None if it would contain nothing new. The as-of instant never decreases."""
    previous_offsets: Offsets = previous_cut.offsets if previous_cut else {}
    offsets = {key: max(previous_offsets.get(key, 0), progress.get(key, 0)) for key in {*previous_offsets, *progress}}
    if previous_cut is not None and offsets == dict(previous_offsets):
        return None
    as_of = max(as_of_us, previous_cut.as_of_us) if previous_cut else as_of_us
    return Cut((previous_cut.number if previous_cut else 0) + 1, offsets, catalog_offset, as_of)


def read_progress(client: Client) -> dict[tuple[int, int], int]:
    """(generation, partition) → next offset, from usage_progress; all rows below are durable."""
    rows = client.query(
        # By one thread: it is asked twice a flush, and several threads cost more than they save.
        "SELECT generation, partition, max(next_offset) FROM usage_progress GROUP BY generation, partition"
        " SETTINGS max_threads = 1"
    )
    return {(int(row[0]), int(row[1])): int(row[2]) for row in rows.result_rows}


def rolled_up(client: Client) -> int:
    """The greatest checkpoint up to which all slices are rolled up; 0 if none."""
    # A year has half a million checkpoints; only where one is missing does it take to look at each.
    [[newest, count]] = client.query("SELECT max(number), groupBitmap(number) FROM usage_checkpoints").result_rows
    if newest == count:
        return int(newest)
    rows = client.query("SELECT DISTINCT number FROM usage_checkpoints").result_rows
    numbers = {int(row[0]) for row in rows}
    return next(number for number in range(len(numbers) + 1) if number + 1 not in numbers)


class RolledUp:
    """Reads ``rolled_up`` again and again without counting all checkpoints each time, of which a year has half a
    million: only from the greatest on that it has seen complete. Windows are changed, and checkpoints taken away for
    that time, only after an epoch of folds has begun (``stream_processors.rollup.folds``), and a ClickHouse restored
    from an older copy lacks the greatest; then all are counted once more. Use it from any thread."""

    def __init__(self) -> None:
        self._complete = (0, 0)
        """Epoch, and the checkpoint up to which all were rolled up in it."""

    def read(self, client: Client) -> int:
        """The greatest checkpoint up to which all slices are rolled up; 0 if none. Blocking."""
        epoch, complete = self._complete
        [[present, newest, count]] = client.query(
            "SELECT (SELECT max(epoch) FROM usage_folds WHERE namespace = ''), max(number), groupBitmap(number)"
            " FROM usage_checkpoints WHERE number >= {complete:UInt32}",
            parameters={"complete": complete},
        ).result_rows
        if not complete or present != epoch or count != newest - complete + 1:
            newest = rolled_up(client)  # after the epoch: what is taken away from now on has another one
        self._complete = (int(present), int(newest))
        return int(newest)
