"""The fold of usage.checkpoints in its file (``fold_image``), in blocks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec

from schemas.kafka.topics import CHECKPOINTS
from schemas.ledgers.checkpoint_folds.checkpoint_fold import Checkpoints, Run
from schemas.ledgers.folds.cut_list import PackedCuts
from schemas.ledgers.folds.fold_image import FoldImage, KnowingReader, Places, image_of
from schemas.ledgers.folds.fold_row import Row
from schemas.ledgers.log_place import LogPlace
from schemas.settings import Settings

VERSION: Final = 1
"""Of the rows. Another one wherever they change, or what they mean."""
_BLOCK: Final = 1_000
"""Cuts or numbers a row."""
_encode: Final = msgspec.msgpack.encode
_cuts: Final = msgspec.msgpack.Decoder(list[PackedCuts])
_run: Final = msgspec.msgpack.Decoder(tuple[str, int, int, int, str])
_numbers: Final = msgspec.msgpack.Decoder(list[tuple[str, str]])


def rows_of(fold: Checkpoints) -> Iterator[Row]:
    """The rows in which all of it stands."""
    for block in range(-(-len(fold.cuts) // _BLOCK)):
        packed = fold.cuts.packed(block * _BLOCK, min(len(fold.cuts), (block + 1) * _BLOCK))
        yield "cuts", block.to_bytes(4, "big"), _encode(packed)
    for number, backfill in fold.cuts.backfills.items():
        yield "backfill", number.to_bytes(4, "big"), backfill.encode()
    for at, run in enumerate(fold.runs.values()):
        value = run.run_id, run.number, run.catalog_offset, run.as_of_us, json.dumps(run.body)
        yield "run", at.to_bytes(8, "big"), _encode(value)
    for name, series in (("invoices", fold.numbers), ("credit_notes", fold.note_numbers)):
        for namespace in series.namespaces():
            given = series.given(namespace)
            for block in range(-(-len(given) // _BLOCK)):
                lot = [(invoice.invoice_id, invoice.text) for invoice in given[block * _BLOCK : (block + 1) * _BLOCK]]
                yield name, namespace.encode() + b"\0" + block.to_bytes(4, "big"), _encode(lot)


def fold_of(rows: Iterable[Row]) -> Checkpoints:
    """The fold of these rows, which are in order within each part. Raises ValueError where they are none of one."""
    fold, backfills = Checkpoints(), dict[int, str]()
    for part, key, value in rows:
        match part:
            case "cuts":
                if int.from_bytes(key, "big") * _BLOCK != len(fold.cuts):
                    raise ValueError(f"after {len(fold.cuts)} cuts some are missing")
                fold.cuts.unpack(_cuts.decode(value))
            case "backfill":
                backfills[int.from_bytes(key, "big")] = value.decode()
            case "run":
                run_id, number, catalog_offset, as_of_us, body = _run.decode(value)
                fold.runs[run_id] = Run(run_id, number, catalog_offset, as_of_us, json.loads(body))
            case "invoices" | "credit_notes":
                series = fold.numbers if part == "invoices" else fold.note_numbers
                series.restore(key[:-5].decode(), _numbers.decode(value))
            case _:
                raise ValueError(f"{part} is no part of checkpoints")
    fold.cuts.backfills.update(backfills)
    return fold


class StoredCheckpoints:
    """``fold`` goes on from its file, and is written there. For one thread at a time."""

    def __init__(self, settings: Settings, fold: Checkpoints) -> None:
        self.fold = fold
        self._settings = settings
        self._image: FoldImage | None = None

    def begin(
        self, reader: KnowingReader, ends: Mapping[int, int], first: Mapping[int, int] | None = None
    ) -> Mapping[int, LogPlace]:
        """Where to read on (``FoldImage.begin``). Raises LedgerUnavailable."""
        self._image = image_of(self._settings, CHECKPOINTS, VERSION)
        return self._image.begin(reader, ends, first or {}, self._restore)

    def _restore(self, rows: Iterable[Row]) -> None:
        self.fold.become(fold_of(rows))

    def at_end(self, places: Places) -> None:
        """The fold is that of the log below ``places``: write it if the file is far behind."""
        if self._image is not None:
            self._image.save(places, len(self.fold.cuts), lambda: rows_of(self.fold))
