"""The file of a fold in memory: gone on from where it is of this log and version, else passed over; nothing that may
happen to it is worse than reading the log."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from schemas.ledgers.folds.fold_image import LEAST_BEHIND, FoldImage
from schemas.ledgers.folds.fold_row import Row
from schemas.ledgers.log_place import LogPlace, RecordMark

SIZE = 10
MANY = LEAST_BEHIND


class Reader:
    """``known``: whether the log has the last record of the places."""

    def __init__(self, known: bool = True) -> None:
        self.known = known

    def knows(self, places: Mapping[int, LogPlace]) -> bool:
        return self.known


def at(offset: int) -> dict[int, LogPlace]:
    return {0: LogPlace(offset, offset, RecordMark(offset - 1, 5, 7))}


def rows_at(offset: int) -> Callable[[], Iterator[Row]]:
    return lambda: iter([("p", b"a", b"1"), ("p", b"at %d" % offset, b"2")])


def begun(image: FoldImage, end: int, reader: Reader | None = None, first: int = 0) -> tuple[int, list[Row]]:
    """Where it goes on, and by what."""
    given: list[Row] = []
    places = image.begin(reader or Reader(), {0: end}, {0: first} if first else {}, given.extend)
    return places[0].next_offset, given


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Of a file that stands at MANY."""
    path = str(tmp_path / "folder" / "usage.things.sqlite")
    assert FoldImage(path, 1, "log").save(at(MANY), SIZE, rows_at(MANY))
    return path


def test_the_file_is_gone_on_from(path: str) -> None:
    assert begun(FoldImage(path, 1, "log"), MANY) == (MANY, list(rows_at(MANY)()))
    assert FoldImage(path, 1, "log").contents() == (at(MANY), list(rows_at(MANY)()))


@pytest.mark.parametrize(
    ("version", "log", "end", "known", "first"),
    [(2, "log", MANY, True, 0), (1, "other", MANY, True, 0), (1, "log", MANY - 1, True, 0), (1, "log", MANY, False, 0),
     (1, "log", MANY, True, MANY + 1)],
    ids=["another version", "another topic", "beyond the end", "the log grew again", "older than what is followed"],
)  # fmt: skip
def test_a_file_of_something_else_is_passed_over_and_replaced(
    path: str, version: int, log: str, end: int, known: bool, first: int
) -> None:
    image = FoldImage(path, version, log)
    assert begun(image, end, Reader(known), first) == (first, [])
    assert image.save(at(9 * MANY), SIZE, rows_at(9))
    assert begun(FoldImage(path, version, log), 9 * MANY, first=first) == (9 * MANY, list(rows_at(9)()))


def test_a_file_that_is_ahead_of_whoever_read_another_log_is_replaced(path: str) -> None:
    """The log lost its end, and grew less far."""
    assert FoldImage(path, 1, "log").save(at(3 * MANY), SIZE, rows_at(3)) is False, "it is another's, and near"
    assert FoldImage(path, 1, "log").save(at(5 * MANY), SIZE, rows_at(5))
    assert FoldImage(path, 1, "log").save(at(2 * MANY), SIZE, rows_at(2))
    assert begun(FoldImage(path, 1, "log"), 9 * MANY)[0] == 2 * MANY


@pytest.mark.parametrize("damage", ["cut", "rubbish", "value", "no table"])
def test_a_damaged_file_is_made_anew(path: str, damage: str) -> None:
    if damage == "cut":
        Path(path).write_bytes(Path(path).read_bytes()[:5000])
    elif damage == "rubbish":
        Path(path).write_bytes(b"rubbish" * 1000)
    else:
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("UPDATE fold SET value = x'33'" if damage == "value" else "DROP TABLE positions")
    image = FoldImage(path, 1, "log")
    assert begun(image, MANY)[0] == 0
    assert image.save(at(MANY), SIZE, rows_at(MANY))
    assert begun(FoldImage(path, 1, "log"), MANY) == (MANY, list(rows_at(MANY)()))


def test_a_file_whose_rows_the_fold_refuses_is_made_anew(path: str) -> None:
    def refuse(rows: Iterable[Row]) -> None:
        raise ValueError("no rows of a fold")

    image = FoldImage(path, 1, "log")
    assert image.begin(Reader(), {0: MANY}, {}, refuse)[0].next_offset == 0
    assert not Path(path).exists()


def test_it_is_written_once_it_is_far_behind_for_its_size(path: str) -> None:
    image = FoldImage(path, 1, "log")
    begun(image, MANY)
    saved = [image.save(at(end), 6 * MANY, rows_at(end)) for end in range(MANY, 9 * MANY, MANY)]
    assert saved == [False, False, False, True, False, False, True, False]


def test_what_the_fold_has_forgotten_is_no_longer_in_the_file(path: str) -> None:
    image = FoldImage(path, 1, "log")
    begun(image, MANY)
    for end in (2 * MANY, 3 * MANY):
        assert image.save(at(end), SIZE, rows_at(end))
        assert begun(FoldImage(path, 1, "log"), 9 * MANY) == (end, list(rows_at(end)()))


def test_who_read_it_writes_it_also_where_another_process_wrote_it_meanwhile(path: str) -> None:
    image = FoldImage(path, 1, "log")
    begun(image, MANY)
    assert FoldImage(path, 1, "log").save(at(MANY // 2), SIZE, rows_at(1)) is False
    assert FoldImage(path, 1, "log").save(at(7 * MANY), SIZE, rows_at(7))
    assert image.save(at(12 * MANY), SIZE, rows_at(12))
    assert begun(FoldImage(path, 1, "log"), 12 * MANY) == (12 * MANY, list(rows_at(12)()))


def test_without_a_folder_nothing_is_kept() -> None:
    image = FoldImage("", 1, "")
    assert begun(image, 5, first=3) == (3, [])
    assert image.save(at(MANY), SIZE, rows_at(1)) is False


def test_a_full_disk_costs_the_file_and_nothing_else(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> Iterator[Row]:
        yield "p", b"a", b"9"
        raise sqlite3.OperationalError("database or disk is full")

    image = FoldImage(path, 1, "log")
    begun(image, MANY)
    assert image.save(at(2 * MANY), SIZE, full) is False
    assert begun(FoldImage(path, 1, "log"), 2 * MANY) == (MANY, list(rows_at(MANY)()))
    assert image.save(at(3 * MANY), SIZE, rows_at(3))
