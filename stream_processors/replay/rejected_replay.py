"""Replays rejected events (`weir rejected replay`); each event counts at most once however often that is done.

A replay judges the stored bytes by the present rules, at the instant of their *original* arrival: an event that was
young enough then is accepted now, and one that was invalid is refused again. The steps, after each of which the
process may die:

1. read the rejections, and which of them were replayed already, from ``rejected_events``
2. judge: an inbox record exactly as ``admit`` would, so that derived keys are those of its original position; a body
   refused by a gateway as its native route would, deriving missing keys from the rejection's id; an undecodable record
   as a batch
3. leave out every event whose identity counted before, however long ago: a worker looks back only W, and a copy may
   have counted when this one was refused
4. append the remaining events to the open generation of usage.events, as a gateway would, and wait for the broker's
   acknowledgement; deduplication drops events that arrived meanwhile or that an earlier attempt appended
5. append a record of stage ``replay`` with the rejection's id to usage.rejected: lists and replays skip it from then
   on. The rejection itself stays, and the books count its events once as refused and once, here, as accepted

After a crash before step 5, the next replay repeats all steps, and the events are recognised as counted or dropped
as duplicates; the same holds for two concurrent replays. Conflicts are not replayed: another event counted under
their key. A void without effect is appended again, and applies to the copy that has counted by then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from clickhouse_connect.driver.client import Client

from schemas.catalog.follower import read_catalog
from schemas.catalog.state import NamespaceView
from schemas.clickhouse.stored_rejections import REPLAY, Rejection
from schemas.events.acceptance import AcceptedEvent, accept
from schemas.events.batch import decode_batch
from schemas.events.event_types import event_types
from schemas.events.identity import partition_of
from schemas.events.raw_events import RawEvent, Refused, decode_any
from schemas.events.rejections import GATEWAY_SAMPLE_BYTES, RejectedEvent, rejection_record
from schemas.events.voids import ALREADY_VOIDED, decode_void, encode_void, is_void
from schemas.kafka.codec import CodecError
from schemas.kafka.topics import REJECTED, events_topic, partition_count
from schemas.ledgers.checkpoints import read_progress
from schemas.ledgers.errors import LedgerUnavailable
from schemas.ledgers.ledger_writer import LedgerWriter
from schemas.settings import Settings
from schemas.usage_log.acknowledged import Acknowledged
from schemas.usage_log.generation_change import read_generations
from stream_processors.inbox.admit import NOT_READ, AdmittedRecord, InboxRecord, admit, entries_of, pack_entries
from stream_processors.replay.judged import Judged, ReplayOutcome
from stream_processors.replay.origin import Gone, kept_in_part, made_whole, of_batch
from stream_processors.replay.rejected_rows import counted_before

_REJECTIONS_AT_ONCE: Final = 500


def judge(rejection: Rejection, view: NamespaceView, *, keyless: bool = False) -> Judged:
    """Judge a rejection by the rules of ``view``, as of its original arrival.

    ``keyless``: also accept events without idempotency keys that a gateway refused. Their sender may have sent them
    again, which deduplication cannot detect.
    """
    try:
        if rejection.stage == "admit":
            return _of_inbox(rejection, view)
        if rejection.stage == "gateway":
            return _of_gateway(rejection, view, keyless)
        if is_void(rejection.original):
            return _of_void(rejection)
        if rejection.reason == "undecodable":
            return _of_log(rejection)
    except (Refused, CodecError) as error:
        return Judged(rejection, why=f"still refused: {error}")
    return Judged(
        rejection,
        why="its key stands for another event, which counted; send it again under a key of its own",
    )


def _of_inbox(rejection: Rejection, view: NamespaceView) -> Judged:
    record = InboxRecord(
        rejection.origin_topic, rejection.namespace, rejection.origin_partition, rejection.origin_offset,
        rejection.received_us, rejection.original,
    )  # fmt: skip
    admitted = admit(record, view)
    if admitted.rejection is not None:
        return Judged(rejection, why=f"still refused: {admitted.rejection.detail}")
    return Judged(rejection, admitted.events, namespace=rejection.namespace)


def _of_gateway(rejection: Rejection, view: NamespaceView, keyless: bool) -> Judged:
    if not rejection.original:
        return Judged(rejection, why="its bytes were not kept: a gateway keeps those of 100 refusals a second")
    if len(rejection.original) >= GATEWAY_SAMPLE_BYTES:
        return Judged(rejection, why=f"its bytes were cut at {GATEWAY_SAMPLE_BYTES}; send it again")
    raws: list[RawEvent] = decode_any(rejection.original)
    if not keyless and any(raw.idempotency_key is None for raw in raws):
        why = (
            "without idempotency keys nobody can tell whether its sender sent it again; --without-keys takes it "
            "all the same"
        )
        return Judged(rejection, why=why)
    events = accept(
        rejection.namespace,
        view.settings,
        raws,
        now_us=rejection.received_us,
        mint_key=lambda index: f"{REPLAY}/{rejection.rejection_id.hex()}/{index}",
        types=event_types(view),
    )
    # The delay between timestamp and append is due to the replay and says nothing about the gateway's clock.
    undated = [event._replace(dated=False) for event in events]
    return Judged(rejection, undated, namespace=rejection.namespace)


def _of_void(rejection: Rejection) -> Judged:
    if rejection.reason == ALREADY_VOIDED:
        return Judged(rejection, why="the event that it means is voided already")
    void = decode_void(rejection.original)
    return Judged(rejection, namespace=void.namespace, void=void)


def _of_log(rejection: Rejection) -> Judged:
    batch = decode_batch(rejection.original)
    return Judged(rejection, batch.events(), namespace=batch.namespace, catalog_offset=batch.catalog_offset)


def replay_record(outcome: ReplayOutcome) -> RejectedEvent:
    """The record of stage ``replay`` that marks a rejection as replayed."""
    rejection = outcome.rejection
    entered = f"{outcome.entered} entered, {outcome.counted} had counted before"
    return RejectedEvent(
        namespace=rejection.namespace,
        stage=REPLAY,
        reason="replayed",
        detail="; ".join([entered, *outcome.places]),
        events=outcome.entered,
        original=b"",
        received_at=rejection.received_us,
        rejection_id=rejection.rejection_id,
        account_id=rejection.account_id,
        event_name=rejection.event_name,
        idempotency_key=rejection.idempotency_key,
    )


class Replayer:
    """Replays rejections on the running stack that ``settings`` point to."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self._settings = settings
        self._client = client
        self._acknowledged = Acknowledged("rejected replay")

    def replay(
        self, rejections: Sequence[Rejection], *, keyless: bool = False, dry_run: bool = False
    ) -> list[ReplayOutcome]:
        """Steps 2 to 5. Raises LedgerUnavailable; repeating it is safe."""
        catalog = read_catalog(self._settings)
        for (generation, partition), cursor in read_progress(self._client).items():
            self._acknowledged.metered(generation, {partition: cursor})
        outcomes: list[ReplayOutcome] = []
        try:
            for start in range(0, len(rejections), _REJECTIONS_AT_ONCE):
                judged = [
                    self._judged(rejection, catalog.view(rejection.namespace or self._settings.namespace), keyless)
                    for rejection in rejections[start : start + _REJECTIONS_AT_ONCE]
                ]
                outcomes += self._enter(judged, catalog.next_offset, dry_run)
        finally:
            self._acknowledged.write(lambda: self._client)
        return outcomes

    def _judged(self, rejection: Rejection, view: NamespaceView, keyless: bool) -> Judged:
        try:
            if rejection.reason == NOT_READ:
                return of_batch(self._settings, rejection, view)
            complete = made_whole(self._settings, rejection) if kept_in_part(rejection) else rejection
        except Gone as error:
            return Judged(rejection, why=str(error))
        return judge(complete, view, keyless=keyless)

    def _enter(self, judged: Sequence[Judged], catalog_offset: int, dry_run: bool) -> list[ReplayOutcome]:
        known = counted_before(self._client, judged)
        outcomes = []
        for judgement in judged:
            events = [event for event in judgement.events if event.identity not in known]
            entered = len(events) + (judgement.void is not None)
            places = [] if dry_run or not entered else self._append(judgement, events, catalog_offset)
            counted = len(judgement.events) - len(events)
            outcomes.append(ReplayOutcome(judgement.rejection, entered, counted, judgement.why, places))
        done = [outcome for outcome in outcomes if not outcome.why]
        if done and not dry_run:
            LedgerWriter(self._settings, REJECTED).append_all(
                [(outcome.rejection.account_id.encode(), rejection_record(replay_record(outcome))) for outcome in done]
            )
        return outcomes

    def _append(self, judgement: Judged, events: Sequence[AcceptedEvent], catalog_offset: int) -> list[str]:
        generation = read_generations(self._settings).writable(self._settings.generation)
        if generation is None:
            raise LedgerUnavailable(
                "usage.events is being moved to another number of partitions; try again in a moment"
            )
        topic = events_topic(generation.number)
        record = InboxRecord("", judgement.namespace, 0, 0, judgement.rejection.received_us, b"")
        pinned = catalog_offset if judgement.catalog_offset is None else judgement.catalog_offset
        partitions = partition_count(self._settings, topic)
        batches: dict[int, list[tuple[bytes, int]]] = defaultdict(list)
        for batch in pack_entries(entries_of([AdmittedRecord(record, events, None)]), partitions, pinned):
            batches[batch.partition].append((batch.value, len(batch.entries)))
        if judgement.void is not None:
            batches[partition_of(judgement.void.identity, partitions)].append((encode_void(judgement.void), 0))
        writer = LedgerWriter(self._settings, topic)
        places: list[str] = []
        for partition, values in batches.items():
            taken = self._acknowledged.taken(generation.number, partition)
            appended = writer.append_all([(b"", value) for value, _ in values], partition)
            for (_, count), (_, offset) in zip(values, appended, strict=True):
                of_partition = (judgement.namespace, generation.number, partition)
                if (why := self._acknowledged.add(*of_partition, offset, count, taken)) is not None:
                    raise LedgerUnavailable(why)
                places.append(f"{topic} partition {partition} offset {offset}")
        return places
