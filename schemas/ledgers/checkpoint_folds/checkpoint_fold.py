"""The fold of usage.checkpoints: cuts, billing runs, and the numbers of invoices and credit notes. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.errors import WeirError
from schemas.kafka.codec import CodecError, codec
from schemas.ledgers.folds.cut_list import Cut, CutList
from schemas.ledgers.generations import offsets_of
from schemas.ledgers.invoice_numbers import InvoiceNumbers

_codec: Final = codec("checkpoint")


@dataclass(frozen=True, slots=True)
class Run:
    """Announcement of a billing run, which rates as of checkpoint ``number``; ``body``: further pinned values."""

    run_id: str
    number: int
    catalog_offset: int
    as_of_us: int
    body: Mapping[str, Any]


class UnknownCheckpoint(WeirError, LookupError):
    """A checkpoint that does not exist, or that this process has not read yet."""


class Checkpoints:
    """The state of usage.checkpoints: its valid cuts, runs and numbers."""

    def __init__(self) -> None:
        self.cuts = CutList()
        self.runs: dict[str, Run] = {}
        self.numbers = InvoiceNumbers()
        self.note_numbers = InvoiceNumbers()

    def become(self, other: Checkpoints) -> None:
        """Have what the other one has."""
        self.cuts, self.runs, self.numbers, self.note_numbers = (
            other.cuts,
            other.runs,
            other.numbers,
            other.note_numbers,
        )

    @property
    def last(self) -> Cut | None:
        """The newest cut."""
        return self.cuts[-1] if self.cuts else None

    def cut(self, number: int) -> Cut:
        """The cut with this number. Raises UnknownCheckpoint."""
        if not 1 <= number <= len(self.cuts):
            raise UnknownCheckpoint(f"no checkpoint {number}; there are {len(self.cuts)}")
        return self.cuts[number - 1]

    def rolled_up(self, number: int) -> Cut | None:
        """The newest known cut up to ``number``, the greatest that ClickHouse has rolled up; None if there is none. Who
        knows less than ClickHouse gets the same totals from an older cut, with more records beyond it."""
        known = min(number, len(self.cuts))
        return self.cut(known) if known else None

    def backfilled(self, name: str, number: int | None = None) -> list[Cut]:
        """The cuts that belong to the backfill ``name``, ascending, up to ``number`` (None: all)."""
        return [
            self.cut(of_backfill)
            for of_backfill, backfill in sorted(self.cuts.backfills.items())
            if backfill == name and (number is None or of_backfill <= number)
        ]

    def slice(self, number: int) -> dict[tuple[int, int], tuple[int, int]]:
        """The slice of a checkpoint: (generation, partition) → [start, end), without empty ranges."""
        previous = self.cuts[number - 2].offsets if number > 1 else {}
        ranges = {key: (previous.get(key, 0), end) for key, end in self.cut(number).offsets.items()}
        return {key: (start, end) for key, (start, end) in ranges.items() if start < end}

    def apply(self, record: Mapping[str, Any]) -> Cut | Run | None:
        """Apply the next decoded record in log order; returns the cut or run it establishes, None if it is void.

        A cut is valid if its number is last + 1 and no partition goes back or is missing. Its writer must ensure
        that it lies within progress; the roll-up waits for that. A run is valid if it is the first with its id and
        refers to a valid cut.
        """
        if record["kind"] == "cut":
            offsets = offsets_of(record)
            previous = self.cuts[-1].offsets if self.cuts else {}
            if record["number"] != len(self.cuts) + 1 or any(
                offsets.get(key, -1) < end for key, end in previous.items()
            ):
                return None
            cut = Cut(record["number"], offsets, record["catalog_offset"], record["as_of"], record["backfill"])
            self.cuts.append(cut)
            return cut
        if record["kind"] == "run":
            if record["run_id"] in self.runs or not 1 <= record["number"] <= len(self.cuts):
                return None
            run = Run(
                record["run_id"],
                record["number"],
                record["catalog_offset"],
                record["as_of"],
                json.loads(record["body"]),
            )
            self.runs[run.run_id] = run
            return run
        if record["kind"] == "numbers":
            body = json.loads(record["body"])
            namespace, prefix = str(body["namespace"]), str(body["prefix"])
            self.numbers.give(namespace, prefix, [str(name) for name in body["invoices"]])
            self.note_numbers.give(namespace, prefix, [str(name) for name in body.get("credit_notes", ())])
        return None

    def apply_bytes(self, value: bytes) -> Cut | Run | None:
        """``apply`` for an encoded record; bytes that cannot be decoded are void."""
        try:
            return self.apply(_codec.decode(value))
        except (CodecError, ValueError, KeyError, TypeError):
            return None
