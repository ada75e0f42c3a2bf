"""Checkpoints gone on from their file: the same as from the whole log, however often it was written."""

from __future__ import annotations

from hashlib import blake2b
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.kafka.codec import codec
from schemas.ledgers.checkpoint_folds import stored_checkpoints
from schemas.ledgers.checkpoint_folds.checkpoint_fold import Checkpoints
from schemas.ledgers.checkpoint_folds.stored_checkpoints import VERSION, StoredCheckpoints, fold_of, rows_of
from schemas.ledgers.checkpoints import Cut, Run, cut_record, numbers_record, run_record
from schemas.ledgers.folds import fold_image
from schemas.ledgers.log_place import LogPlace
from schemas.settings import Settings
from tests.unit.schemas.ledgers.test_fold_image import Reader

STEP = st.tuples(st.sampled_from("cccnrbg"), st.integers(0, 3))


def log_of(steps: list[tuple[str, int]]) -> list[bytes]:
    log: list[Any] = []
    number, parts = 1, 0
    for at, (kind, value) in enumerate(steps):
        if kind in "cbg":
            parts += kind == "g"
            ends = {(1, part): at * (part + 1) for part in range(min(parts, 3))}
            log.append(cut_record(Cut(number, ends, at, at * 7, f"fill {value}" if kind == "b" else ""), "c"))
            number += value != 3  # else the next one has the same number, and is void
        elif kind == "r":
            log.append(run_record(Run(f"run {value} {at}", number - 1, at, at, {"as of": [value, "ü", 1.5]}), "c"))
        else:
            names = [f"inv {value} {at // 2} {each}" for each in range(3)]
            log.append(
                numbers_record(f"shop {value % 2}", "A-", names, "c", "credit_notes" if value == 3 else "invoices")
            )
    return [codec("checkpoint").encode(record) for record in log]


def applied(fold: Checkpoints, log: list[bytes]) -> Checkpoints:
    for value in log:
        fold.apply_bytes(value)
    return fold


@given(st.lists(STEP, max_size=40), st.lists(st.floats(0, 1), min_size=1, max_size=3), st.sampled_from([1, 2, 3, 50]))
@settings(max_examples=60, deadline=None)
def test_going_on_from_a_file_is_reading_the_whole_log(
    steps: list[tuple[str, int]], parts: list[float], block: int
) -> None:
    log = log_of(steps)
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(stored_checkpoints, "_BLOCK", block)
        patch.setattr(fold_image, "LEAST_BEHIND", 1)
        patch.setattr(fold_image, "log_id", lambda *_, **__: "log")
        read = 0
        held = StoredCheckpoints(Settings(snapshot_dir=folder), Checkpoints())
        held.begin(Reader(), {0: 0})
        for part in sorted(parts):
            applied(held.fold, log[read : (read := max(read, int(part * len(log))))])
            held.at_end({0: LogPlace(read, read)})
        resumed = StoredCheckpoints(Settings(snapshot_dir=folder), Checkpoints())
        at = resumed.begin(Reader(), {0: len(log)})[0].next_offset
        assert at <= read
        assert list(rows_of(resumed.fold)) == list(rows_of(applied(Checkpoints(), log[:at])))
        for end in range(at, len(log)):  # the file of the process before
            applied(resumed.fold, log[end : end + 1])
            resumed.at_end({0: LogPlace(end + 1, end + 1)})
        again, whole = StoredCheckpoints(Settings(snapshot_dir=folder), Checkpoints()), applied(Checkpoints(), log)
        applied(again.fold, log[again.begin(Reader(), {0: len(log)})[0].next_offset :])
        for fold in (resumed.fold, again.fold):
            assert (fold.cuts, fold.runs) == (whole.cuts, whole.runs)
            assert list(rows_of(fold)) == list(rows_of(whole))
            for namespace in ("shop 0", "shop 1"):
                assert fold.numbers.given(namespace) == whole.numbers.given(namespace)
                assert fold.note_numbers.given(namespace) == whole.note_numbers.given(namespace)


def test_rows_of_a_version_are_written_one_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they change, so does the version: a file of another one is made anew."""
    monkeypatch.setattr(stored_checkpoints, "_BLOCK", 1)
    rows = list(rows_of(applied(Checkpoints(), log_of([("g", 0), ("b", 1), ("c", 1), ("r", 1), ("n", 1), ("n", 3)]))))
    assert (VERSION, blake2b(repr(rows).encode(), digest_size=8).hexdigest()) == (1, "810ad41bbdd61cc3")
    with pytest.raises(ValueError, match="after 1 cuts some are missing"):
        fold_of(row for row in rows if row[:2] != ("cuts", (1).to_bytes(4, "big")))
    with pytest.raises(ValueError, match="no part"):
        fold_of([("other", b"", b"")])
