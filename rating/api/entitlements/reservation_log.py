"""usage.reservations as a process follows and writes it, and the ends of usage.events. Blocking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from confluent_kafka import KafkaException

from rating.api.entitlements.followed_book import FollowedBook
from rating.entitlements.reservations.reservation_image import VERSION
from schemas.kafka.topics import RESERVATIONS, events_topic
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.folds.fold_image import FoldImage, image_of
from schemas.ledgers.generations import GenerationState, Offsets
from schemas.ledgers.ledger_follower import Follower
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.ledgers.log_place import LogPlace
from schemas.ledgers.reservations.reservation_record import ReservationRecord
from schemas.settings import Settings

_READ_BACK_SECONDS: Final = 10.0
_STALLED_SECONDS: Final = 10.0


class StoredBook:
    """A book that goes on from its file, and is written there."""

    def __init__(self, book: FollowedBook, image: FoldImage) -> None:
        self._book = book
        self._image = image

    def begin(self, reader: LedgerReader, ends: Mapping[int, int], first: Mapping[int, int]) -> Mapping[int, LogPlace]:
        """Where to read on."""
        return self._image.begin(reader, ends, first, self._book.go_on_from)

    def at_end(self, places: Mapping[int, LogPlace]) -> None:
        """Write the file if it is far behind."""
        self._image.save(places, len(self._book), self._book.rows)


class ReservationLog:
    """Not thread-safe. ``generations``: those of usage.events, as the catalog has them."""

    def __init__(self, settings: Settings, generations: Callable[[], GenerationState]) -> None:
        self._settings = settings
        self._generations = generations
        self._follower: Follower | None = None
        self._writer: LedgerWriter | None = None
        self._readers: dict[int, LedgerReader] = {}

    def follow(self, book: FollowedBook, since_us: int) -> None:
        """Let a book, which is new, have what the log has since ``since_us`` (microseconds UTC), in a thread from now
        on; returns once the log's present end is reached. Raises LedgerUnavailable; it may be called again, with
        another book."""
        if self._follower is not None:
            self._follower.stop()
        self._writer = self._writer or LedgerWriter(self._settings, RESERVATIONS)
        stored = StoredBook(book, image_of(self._settings, RESERVATIONS, VERSION))
        self._follower = Follower(self._settings, RESERVATIONS, book.apply, since_us, stored)
        self._follower.start(_STALLED_SECONDS)

    def ends(self) -> Offsets:
        """The present ends of usage.events, of all generations. Raises LedgerUnavailable."""
        state = self._generations()
        ends: dict[tuple[int, int], int] = {}
        for number in state.known(self._settings.generation):
            if number in state.ends:
                ends |= {(number, partition): end for partition, end in enumerate(state.ends[number])}
                continue
            try:
                if number not in self._readers:
                    self._readers[number] = LedgerReader(self._settings, events_topic(number))
                of_topic = self._readers[number].end_offsets()
            except KafkaException as error:
                raise LedgerUnavailable(f"the end of {events_topic(number)} is not known: {error}") from error
            ends |= {(number, partition): end for partition, end in of_topic.items()}
        return ends

    def write(self, records: Sequence[ReservationRecord]) -> None:
        """Write records in order, and wait until they are applied. Raises LedgerUnavailable, CannotGoOn,
        RecordRefused."""
        assert self._writer is not None, "it is followed"
        assert self._follower is not None, "it is followed"
        try:
            places = self._writer.append_all(
                [(record.account_id.encode(), record.encode()) for record in records], partition=0
            )
        except KafkaException as error:
            raise LedgerUnavailable(f"{RESERVATIONS}: {error}") from error
        if not self._follower.wait_for(0, places[-1][1] + 1, _READ_BACK_SECONDS):
            raise LedgerUnavailable(f"{RESERVATIONS} was not read back within {_READ_BACK_SECONDS:g} s")

    def close(self) -> None:
        """Disconnect."""
        if self._follower is not None:
            self._follower.stop()
        for reader in self._readers.values():
            reader.close()
