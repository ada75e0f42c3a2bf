"""The files of folds that processes hold in memory (``schemas.ledgers.folds.fold_image``), against their topics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

import msgspec

from rating.entitlements.reservations import reservation_image
from rating.entitlements.reservations.reservation_book import ReservationBook
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.invoices.fold_files import damaged_files, remedy_of
from rating.verify.invoices.side_by_side import aligned
from rating.verify.scope import Scope
from schemas.kafka.topics import ALERTS, CHECKPOINTS, RESERVATIONS
from schemas.ledgers.alert_record import ROWS_VERSION, ValidAlerts
from schemas.ledgers.checkpoint_folds import stored_checkpoints
from schemas.ledgers.checkpoint_folds.checkpoint_fold import Checkpoints
from schemas.ledgers.folds.fold_image import Places, image_of, image_path
from schemas.ledgers.folds.fold_row import Row
from schemas.ledgers.ledger_reader import LedgerReader, LogRecord
from schemas.ledgers.reservations.valid_reservations import FOLLOWED_US, NamespaceState
from schemas.values.record_copy import replace

NAME: Final = "folds held in memory"
_FOR_EVER_US: Final = 2**62


class RefoldedLog(Protocol):
    """A fold that is made anew from its log."""

    def apply(self, record: LogRecord) -> None:
        """Apply the next record."""

    def rows(self) -> Iterable[Row]:
        """Those that its file would have."""


@dataclass(frozen=True, slots=True)
class CheckedImage:
    """The file of a topic's fold. ``comparable``: a row as all processes have it, None where it is a matter of each;
    ``kept_us``: only what was appended so long before the file's place is certain where the log lost its beginning; by
    default nothing is."""

    topic: str
    version: int
    fold: Callable[[], RefoldedLog]
    comparable: Callable[[Row], Row | None] = lambda row: row
    kept_us: int = _FOR_EVER_US


class _Reservations:
    def __init__(self) -> None:
        self._book = ReservationBook()

    def apply(self, record: LogRecord) -> None:
        self._book.apply_bytes(record.value, record.offset, record.append_us)

    def rows(self) -> Iterator[Row]:
        return reservation_image.rows_of(self._book)


class _Checkpoints:
    def __init__(self) -> None:
        self._fold = Checkpoints()

    def apply(self, record: LogRecord) -> None:
        self._fold.apply_bytes(record.value)

    def rows(self) -> Iterator[Row]:
        return stored_checkpoints.rows_of(self._fold)


class _Alerts:
    def __init__(self) -> None:
        self._valid = ValidAlerts()

    def apply(self, record: LogRecord) -> None:
        self._valid.apply_bytes(record.value, record.append_us)

    def rows(self) -> Iterator[Row]:
        return self._valid.rows()


def of_all_processes(row: Row) -> Row | None:
    """A row of reservations without what depends on where a process began to read, or on what it knows to be counted
    of usage."""
    part, key, value = row
    if part == "reservation":
        return row
    if part != "namespace":
        return None
    state = replace(msgspec.msgpack.decode(value, type=NamespaceState), forgotten=0)
    return (part, key, msgspec.msgpack.encode(state)) if state.chains else None


IMAGES: Final = (
    CheckedImage(RESERVATIONS, reservation_image.VERSION, _Reservations, of_all_processes, FOLLOWED_US),
    CheckedImage(ALERTS, ROWS_VERSION, _Alerts),
    CheckedImage(CHECKPOINTS, stored_checkpoints.VERSION, _Checkpoints),
)


def check_images(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Each file has just what the log gives from its beginning up to the file's place; of all namespaces. Nothing to
    check where there is none, or one that no process would go on from."""
    folder = scope.settings.snapshot_dir
    images = {image_path(folder, image.topic): image for image in IMAGES} if folder else {}
    checks = {path: partial(_check, scope, image, findings) for path, image in images.items() if Path(path).exists()}
    for path, error in damaged_files(NAME, checks, on_progress):
        findings.add("fold held in memory", path, "a file that can be read", error, _remedy(path))


def _check(scope: Scope, image: CheckedImage, findings: Findings) -> None:
    contents = image_of(scope.settings, image.topic, image.version).contents()
    if contents is None:
        return
    places, rows = contents
    with closing(LedgerReader(scope.settings, image.topic)) as reader:
        ends, first = reader.end_offsets(), reader.offsets_since(0)
        if any(position.next_offset > ends.get(number, 0) for number, position in places.items()):
            return
        if any(first.values()) and not _begins_before(reader, places, first, image.kept_us):
            return
        if not reader.knows(places):
            return
        reader.seek(first)
        fold = image.fold()
        up_to = {number: position.next_offset for number, position in places.items()}
        for record in reader.read_to(up_to):
            if record.offset < up_to.get(record.partition, 0):
                fold.apply(record)
    path = image_path(scope.settings.snapshot_dir, image.topic)
    compare(rows, fold.rows(), path, findings, image.comparable)


def _begins_before(reader: LedgerReader, places: Places, first: dict[int, int], kept_us: int) -> bool:
    """Whether the log has lost nothing of which the file may know."""
    last_us = min((position.last.append_us for position in places.values() if position.last is not None), default=0)
    since = reader.offsets_since(max(0, last_us - kept_us))
    return all(since[number] > at for number, at in first.items() if at)


def compare(
    actual: Iterable[Row],
    expected: Iterable[Row],
    path: str,
    findings: Findings,
    comparable: Callable[[Row], Row | None] = lambda row: row,
) -> None:
    """A finding for each row that one has and the other has not, or has otherwise."""
    found, due = (sorted(filter(None, map(comparable, rows))) for rows in (actual, expected))
    for has, expects in aligned(found, due, _key, _key):
        if has != expects:
            part, key = next(row[:2] for row in (has, expects) if row is not None)
            findings.add("fold held in memory", f"{part} {_shown(key)}", _value(expects), _value(has), _remedy(path))


def _key(row: Row) -> tuple[str, bytes]:
    return row[:2]


def _value(row: Row | None) -> str:
    return "no entry" if row is None else _shown(row[2])


def _shown(value: bytes) -> str:
    try:
        return str(msgspec.msgpack.decode(value, strict=False))
    except (msgspec.DecodeError, TypeError):
        return value.decode(errors="replace")


def _remedy(path: str) -> str:
    return remedy_of(path, "the processes that use it")
