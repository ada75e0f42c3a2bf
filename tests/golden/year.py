"""The demo's year as records: what every topic gets of it, made by the code that production runs, without clocks,
randomness or brokers.

Instants, ids and the order of requests are fixed, so that each record is the same bytes in every run, and in every
later version of Weir.
``python -m tests.golden.year NAME…`` prints records by their names in ``year.json`` as JSON: run it in two checkouts to
see what differs.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any, Final

from deploy.demo.data import flights
from deploy.demo.demo_requests import BROKEN_AT, broken, requests
from deploy.demo.events import encode_batch as request_body
from deploy.demo.events import event
from deploy.demo.season import AS_OF, BATCH, CATALOG, NAMESPACE
from ingest.catalog.document import load_document
from ingest.catalog.document_plan import plan_document
from ingest.catalog.entries import read_document
from ingest.delivery.packing import Packed, Packer
from ingest.events.refusals import rejection
from rating.alerts.crossings import AsOf, Observation, next_alerts
from rating.close.announced_runs import run_id
from rating.invoices.ledger import StandingInvoices
from rating.invoices.numbering import unnumbered
from rating.invoicing.measure import needs_of
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.usage import Usage, UsageGroup
from schemas.catalog.alerts import AlertRule
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import Catalog, NamespaceView, record_of
from schemas.events.acceptance import AcceptedEvent, accept
from schemas.events.batch import join_parts
from schemas.events.event_types import event_types
from schemas.events.identity import identity
from schemas.events.raw_events import Refused, decode_batch
from schemas.events.refused_body import sketch
from schemas.events.rejections import rejection_record
from schemas.events.voids import EventVoid, encode_void
from schemas.kafka.codec import Codec, codec
from schemas.kafka.topics import ALERTS, CHECKPOINTS, INVOICES, REJECTED, events_topic
from schemas.kafka.topics import CATALOG as CATALOG_TOPIC
from schemas.ledgers.checkpoints import Cut, Run, cut_record, numbers_record, run_record
from schemas.ledgers.invoice_numbers import InvoiceNumbers
from schemas.ledgers.invoice_record import Invoice, encode_invoice
from schemas.ledgers.pieces import cut
from schemas.matching.rules import Matcher
from schemas.values.instants import micros, rfc3339
from schemas.values.quantity import unscaled
from tests.golden.made import FOLDER, drafts

YEAR: Final = FOLDER / "year.json"
_NOW_US: Final = micros(AS_OF)
_PARTITIONS: Final = 4
_LINGER_REQUESTS: Final = 5  # a request a millisecond, and batches linger for five
EVERY: Final = 20
"""One flight in so many: spread over the year, so that every account and month is there."""

Record = tuple[str, Codec, bytes]
"""Name in the golden file, "topic: kind what"; the codec; the bytes."""


def records() -> Iterator[Record]:
    """Every record, topic by topic, in the order of their logs."""
    catalog = Catalog()
    for name, value in _catalog(catalog):
        yield f"{CATALOG_TOPIC}: {name}", codec("catalog_entry"), value
    view = catalog.view(NAMESPACE)
    batches, refused, counted = _sent(view)
    offsets = [0] * _PARTITIONS
    for batch in batches:
        value = join_parts(batch.namespace, batch.catalog_offset, batch.parts)
        place = f"partition {batch.partition} offset {offsets[batch.partition]}"
        yield f"{events_topic(1)}: batch {place}", codec("usage_batch"), value
        offsets[batch.partition] += 1
    void = EventVoid(NAMESPACE, "", counted[0].idempotency_key, "never took off", "golden")
    yield f"{events_topic(1)}: void", codec("event_void"), encode_void(void)
    for number, fields in enumerate(refused):
        yield f"{REJECTED}: refused request {number}", codec("rejected_event"), rejection_record(fields)
    yield from _billed(view, counted, offsets)
    yield from _alerts(view.before, offsets)


def _catalog(catalog: Catalog) -> Iterator[tuple[str, bytes]]:
    """The demo's document as it is published, a record an entry; ``catalog`` takes each."""
    document = read_document(load_document(CATALOG.read_bytes()), NAMESPACE)
    plan = plan_document(catalog.view(NAMESPACE), document)
    for number, change in enumerate(plan.to_publish()):
        record = record_of(
            plan.namespace, change.model, kind=change.kind, version=change.version, author="golden",
            claim_id=f"claim-{number}"
        )  # fmt: skip
        value = codec("catalog_entry").encode(record)
        assert catalog.apply(codec("catalog_entry").decode(value), catalog.next_offset, _NOW_US) is not None
        yield f"{change.kind} {change.code}", value


def _sent(view: NamespaceView) -> tuple[list[Packed[int]], list[dict[str, Any]], list[AcceptedEvent]]:
    """The demo's requests at one gateway: packed batches, refusals, and each event that counts once."""
    packer: Packer[int] = Packer(_PARTITIONS, linger=_LINGER_REQUESTS)
    types, settings, offset = event_types(view), view.settings, view.before
    batches: list[Packed[int]] = []
    refused: list[dict[str, Any]] = []
    counted: dict[bytes, AcceptedEvent] = {}
    taken = (event(row) for row in islice(flights(), 0, None, EVERY))
    sent = [[dict(one) for one in request] for request in requests(_batched(taken, BATCH))]
    sent += [broken(sent[-1][:3], kind) for kind in range(len(BROKEN_AT))]  # this part of the year has not all of them
    for number, events in enumerate(sent):
        body, now_us = request_body(events), _NOW_US + number * 1000
        try:
            accepted = accept(
                NAMESPACE, settings, decode_batch(body), now_us=now_us, mint_key=lambda index: f"key-{index}",
                types=types
            )  # fmt: skip
        except Refused as error:
            told, name = sketch(body, error.index, settings, single=False), identity(NAMESPACE, "", str(number))
            refused.append(rejection(NAMESPACE, error.reason, str(error), told, body, now_us=now_us, rejection_id=name))
            continue
        counted |= {one.identity: one for one in accepted}
        batches += packer.close_due(number)
        batches += packer.add(NAMESPACE, offset, accepted, number, number)[1]
    return [*batches, *packer.close_all()], refused, list(counted.values())


def _batched(events: Iterable[dict[str, Any]], size: int) -> Iterator[list[Mapping[str, Any]]]:
    left = iter(events)
    while batch := list(islice(left, size)):
        yield list(batch)


def _billed(view: NamespaceView, counted: Iterable[AcceptedEvent], offsets: list[int]) -> Iterator[Record]:
    """The checkpoint, the run, its invoices and their numbers; and drafts, which the demo's plans do without."""
    standing, checkpoint = StandingInvoices(), codec("checkpoint")
    plan = make_plan(view, standing, _NOW_US, {})
    cut_off = Cut(1, {(1, partition): end for partition, end in enumerate(offsets)}, view.before, _NOW_US)
    body = {"namespace": NAMESPACE, "as_of": rfc3339(plan.ready_us), "attempt": 0}
    run = Run(run_id(NAMESPACE, plan.ready_us, 0, plan.voids), 1, view.before, _NOW_US, body)
    invoices, problems = build_invoices(plan, _totals(view, counted, needs_of(plan.billings)), run)
    assert (plan.problems, problems) == ((), ())
    yield f"{CHECKPOINTS}: cut", checkpoint, checkpoint.encode(cut_record(cut_off, "claim-cut"))
    yield f"{CHECKPOINTS}: run", checkpoint, checkpoint.encode(run_record(run, "claim-run"))
    for one in invoices:
        assert standing.apply(one), one.invoice_id
        yield _invoice("invoice", one)
    names = unnumbered(InvoiceNumbers(), NAMESPACE, standing.invoices(NAMESPACE))
    numbers = numbers_record(NAMESPACE, "NYC-", names, "claim-numbers")
    yield f"{CHECKPOINTS}: numbers", checkpoint, checkpoint.encode(numbers)
    for one in drafts():
        yield _invoice("draft", one)
    whole = encode_invoice(invoices[0])
    for number, piece in enumerate(cut(whole, 2048, bytes(16))):
        yield f"{INVOICES}: piece {number}", codec("record_piece"), piece


def _invoice(kind: str, record: Invoice) -> Record:
    name = f"{record.subscription} {rfc3339(record.period_start)[:10]} version {record.version}"
    return f"{INVOICES}: {kind} {name}", codec("invoice"), encode_invoice(record)


def _totals(view: NamespaceView, counted: Iterable[AcceptedEvent], needs: Mapping[Any, set[str]]) -> Any:
    """Need → account → its row, by the meter's own matching; what ClickHouse adds up in production."""
    matcher = Matcher(profile_versions(view))
    values: dict[tuple[str, str], list[tuple[int, str, int]]] = defaultdict(list)
    for one in counted:
        matches, unmeterable = matcher.match(one.event_name, one.timestamp_us, one.idempotency_key, one.properties)
        assert all(profile == "aircraft.distinct" for profile, _ in unmeterable), unmeterable
        for match in matches:
            values[match.profile_id, one.account_id].append((one.timestamp_us, match.unique_value, match.units))
    totals: dict[Any, dict[str, list[UsageGroup]]] = {need: {} for need in needs}
    for need, accounts in needs.items():
        for account in sorted(accounts):
            found = [
                one for one in values[need.profile.profile_id, account] if need.start_us <= one[0] < need.end_us
            ]  # fmt: skip
            if found:
                usage = Usage(_total(need.profile.aggregation, found), len(found))
                totals[need][account] = [UsageGroup(usage, account)]
    return totals


def _total(aggregation: str, values: list[tuple[int, str, int]]) -> Decimal:
    units = [one[2] for one in values]
    if aggregation == "count_unique":
        return Decimal(len({one[1] for one in values}))
    if aggregation == "latest":
        return unscaled(max(values)[2])
    if aggregation in ("max", "min"):
        return unscaled(max(units) if aggregation == "max" else min(units))
    return unscaled(sum(units))


def _alerts(catalog_offset: int, offsets: Sequence[int]) -> Iterator[Record]:
    """The first airline's budget passes half of itself, and what follows is voided."""
    rule = AlertRule(code="budget", measure="spend", currency="USD", budget=Decimal(1000), thresholds=("50%",))
    as_of = AsOf(_NOW_US, 1, catalog_offset, {(1, partition): end for partition, end in enumerate(offsets)})
    for version, value in enumerate(("500.01", "499.99")):
        seen = Observation("AA", "AA", "USD", _NOW_US - 86_400_000_000, _NOW_US, Decimal(value), rule.budget)
        for alert in next_alerts(NAMESPACE, rule, 1, seen, as_of, partial(_standing, version)):
            yield f"{ALERTS}: {alert.state} {alert.message_id}", codec("usage_alert"), alert.encode("golden")


def _standing(version: int, alert_id: str) -> int:
    return version


def golden() -> dict[str, Any]:
    """``records``: name → size and digest of the bytes; ``samples``: the first of each kind, as its fields."""
    found: dict[str, str] = {}
    samples: dict[str, Any] = {}
    for name, coder, value in records():
        assert name not in found, name
        found[name] = f"{len(value)} {hashlib.blake2b(value, digest_size=12).hexdigest()}"
        topic, _, rest = name.partition(": ")
        samples.setdefault(f"{topic}: {rest.split()[0]}", readable(coder.decode(value)))
    return {"records": found, "samples": samples}


def readable(value: Any) -> Any:
    """A decoded record as JSON values: bytes as text where they are text, else as digits, the beginning of either."""
    if isinstance(value, Mapping):
        return {name: readable(item) for name, item in value.items()}
    if isinstance(value, bytes):
        text = value.decode("ascii", "replace")
        return text[:200] if text.isprintable() and "\ufffd" not in text else value.hex()[:200]
    if isinstance(value, list | tuple):
        return [readable(item) for item in value[:20]]
    return value


def main(names: list[str]) -> int:
    """Print the records whose names begin with one of ``names``."""
    for name, coder, value in records():
        if name.startswith(tuple(names)):
            print(
                json.dumps({"name": name, "bytes": len(value), "record": coder.decode(value)}, indent=1, default=_full)
            )
    return 0


def _full(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
