"""Invoices against raw events. Every line with usage is measured again from the events' own properties as of the
invoice's checkpoint, and priced again by other arithmetic; records, windows, usage queries and pricing have no part in
it.

One pass over the events for all lines. An event counts for a line if its position lies below the line's checkpoint and
its instant in the line's period, under the profile versions that the catalog of its own batch knew, or under one that
was backfilled, unless it was voided below the checkpoint: which void meant which event is worked out again, too
(``verify.reread_voids``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Final

from rating.pricing import plain
from rating.verify.backfills.backfilled_records import Pin, Pins
from rating.verify.chains import COPY_REMEDY, Head, StoredLine, read_invoices
from rating.verify.difference import Findings, VerifyProgress
from rating.verify.independent.discounts_and_credits import is_reduction
from rating.verify.independent.event_totals import Fold, Raw, dimension_values, measure_of, parse
from rating.verify.independent.price_arithmetic import PriceJson, cost, prices_by_time, rounded
from rating.verify.independent.split_numbers import PlainPart, pinned, splits
from rating.verify.invoices.catalogs_by_offset import CatalogsByOffset
from rating.verify.invoices.earlier_billing import EarlierBilling
from rating.verify.matches import append_blocks
from rating.verify.reread_voids import CountedPosition, FirstVoid, work_out_voids
from rating.verify.scope import Row, Scope
from schemas.catalog.meters import Aggregation
from schemas.catalog.profiles import ProfileVersion
from schemas.ledgers.generations import Offsets
from schemas.ledgers.invoice_claims import VOID
from schemas.values.currency import exponent
from schemas.values.instants import SECOND
from schemas.values.record_copy import replace

NAME: Final = "invoices from events"
_REMEDY: Final = "`weir explain` shows the line's events; void the invoice and bill the period again"
_EVENTS: Final = """
SELECT toString(namespace), account_id, toUnixTimestamp64Micro(timestamp), generation, partition, offset,
    toString(event_name),
    idempotency_key, properties, batches.catalog_offset, `index`, batches.rounds
FROM (SELECT * FROM usage_events FINAL WHERE {where}) AS counted
LEFT ANY JOIN (
    SELECT generation, partition, offset, catalog_offset, rounds FROM usage_batches FINAL WHERE {batches}
) AS batches USING (generation, partition, offset)"""


@dataclass(slots=True)
class _Work:
    """A line to rate again, with what its events came to so far."""

    head: Head
    line: StoredLine
    price: PriceJson
    aggregation: Aggregation | None = None
    carry_over: bool = False  # an event before the period may give its value, and is not of its number
    below: Offsets = field(default_factory=dict)
    pins: tuple[Pin, ...] = ()
    folds: dict[tuple[str, ...], Fold] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """Where the line is found, in words."""
        return f"{self.head.place}, line {self.line.number}"

    def measured(self) -> tuple[dict[tuple[str, ...], Fraction], int]:
        """(quantity by dimension values, events). Raises ValueError."""
        if self.aggregation is None:
            return {(): Fraction(1)}, 0
        cells = {cell: fold.quantity(self.aggregation) for cell, fold in self.folds.items()}
        return cells, sum(fold.events for fold in self.folds.values())

    def take(self, event: Raw, version: ProfileVersion, checkpoint: int = 0) -> None:
        """Count the event where it is this line's; ``checkpoint``: of the backfill that brought its record, 0: none
        did."""
        start_us = 0 if self.carry_over else self.line.start_us
        if not start_us <= event.us < self.line.end_us or event.offset >= self.below.get(event.partition_key, 0):
            return
        if event.voided is not None and event.voided[1] < self.below.get(event.voided[0], 0):
            return
        number = version.version
        if any(pin.replaces(event.partition_key, event.offset, event.us, number, checkpoint) for pin in self.pins):
            return
        measure = measure_of(version, event)
        if measure is not None:
            cell = dimension_values(measure, self.price.get("dimensions") or ())
            self.folds.setdefault(cell, Fold()).add(event.us, measure, counts=event.us >= self.line.start_us)


def check_against_events(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Quantities, counts of events, exact and rounded amounts of all lines of invoices that are not void."""
    heads, lines = read_invoices(scope)
    catalogs, pins = CatalogsByOffset(scope), Pins(scope, heads)
    works = [
        work
        for head in heads
        if head.state != VOID and 1 <= head.checkpoint <= len(scope.checkpoints.cuts)
        for line in lines.get((head.namespace, head.invoice_id, head.version), ())
        if not is_reduction(line) and (work := _work(scope, catalogs, pins, head, line, findings)) is not None
    ]
    earlier_billing = EarlierBilling(heads, lines)
    parts = {
        id(work): _parts(scope, catalogs, pins, work, earlier_billing, findings)
        for work in works
        if work.price.get("split")
    }
    works_by_account: dict[tuple[str, str], dict[str, list[_Work]]] = {}
    beside = [part for work in works for part in parts.get(id(work), ()) if part is not work]
    for work in [*works, *beside]:
        if work.line.profile_id:
            of_account = works_by_account.setdefault((work.head.namespace, work.head.account_id), {})
            of_account.setdefault(work.line.profile_id, []).append(work)
    if works_by_account:
        _read(scope, catalogs, works_by_account, on_progress)
    for work in works:
        _compare(work, earlier_billing, findings)
        if id(work) in parts:
            _compare_parts(work, parts[id(work)], findings)


def _work(
    scope: Scope, catalogs: CatalogsByOffset, pins: Pins, head: Head, line: StoredLine, findings: Findings
) -> _Work | None:
    try:
        price = dict(json.loads(line.price))
    except (ValueError, TypeError):
        findings.add("re-rated line", f"{head.place}, line {line.number}, price", "a price", line.price, COPY_REMEDY)
        return None
    work = _Work(head, line, price)
    if line.profile_id:
        versions = [
            version
            for version in catalogs.versions(head.namespace, head.catalog_offset)
            if version.profile_id == line.profile_id
        ]
        pinned = [version for version in versions if version.version in line.profile_versions] or versions
        if not pinned:
            known = f"a profile in the catalog at offset {head.catalog_offset}"
            findings.add("re-rated line", f"{work.place}, profile", known, line.profile_id, COPY_REMEDY)
            return None
        work.aggregation, work.carry_over = pinned[-1].aggregation, pinned[-1].carry_over
        work.below = scope.checkpoints.cut(head.checkpoint).offsets
        work.pins = pins.of(head, line)
    return work


def _parts(
    scope: Scope,
    catalogs: CatalogsByOffset,
    pins: Pins,
    work: _Work,
    earlier_billing: EarlierBilling,
    findings: Findings,
) -> list[_Work]:
    """The lines that a change of price has split from this one, and itself, in the order of time, each as of this one's
    invoice."""
    of = work.price["split"].get("of")
    split_works: list[_Work] = []
    for line in earlier_billing.beside(work.head, work.line):
        if line.start_us == work.line.start_us:
            split_works.append(work)
            continue
        price = earlier_billing.price_by(work.head, line)
        part = _work(scope, catalogs, pins, work.head, replace(line, price=price, adjusts=work.line.adjusts), findings)
        if part is not None and (part.price.get("split") or {}).get("of") == of:
            split_works.append(part)
    return sorted(split_works, key=lambda work_of_part: work_of_part.line.start_us)


def _compare_parts(work: _Work, parts: Sequence[_Work], findings: Findings) -> None:
    try:
        expected_splits = splits([PlainPart(part_work.price, *part_work.measured()) for part_work in parts])
        (expected,) = (part_work for part_work, part in zip(expected_splits, parts, strict=True) if part is work)
    except (ValueError, KeyError, ZeroDivisionError) as error:
        findings.add(
            "re-rated line", f"{work.place}, price.split", "a price that can be applied", str(error), COPY_REMEDY
        )
        return
    if expected != (pinned_split := pinned(work.price)):
        findings.add("re-rated line", f"{work.place}, price.split", _numbers(expected), _numbers(pinned_split), _REMEDY)


def _numbers(of: Mapping[str, Fraction]) -> str:
    return ", ".join(f"{name} {_text(number)}" for name, number in of.items()) or "nothing before it"


def _read(
    scope: Scope,
    catalogs: CatalogsByOffset,
    works_by_account: dict[tuple[str, str], dict[str, list[_Work]]],
    on_progress: VerifyProgress,
) -> None:
    """Every counted event to the lines that want it; bounded blocks."""
    blocks = append_blocks(scope)
    total, done = sum(block.events for block in blocks), 0
    voided = work_out_voids(scope)
    for block in blocks:
        on_progress(NAME, done, total)
        append = block.condition
        for row in scope.rows(_EVENTS.format(where=f"{scope.metered} AND {append}", batches=append)):
            of_account = works_by_account.get((row[0], row[1]))
            if of_account is not None:
                _take(catalogs, of_account, row, voided)
        done += block.events
    on_progress(NAME, total, total)


def _take(
    catalogs: CatalogsByOffset,
    of_account: dict[str, list[_Work]],
    row: Row,
    voided: Mapping[CountedPosition, FirstVoid],
) -> None:
    namespace, _, us, generation, partition, offset, name, key, properties, catalog_offset, index, rounds = row
    partition_key = (int(generation), int(partition))

    def raw() -> Raw:
        void = voided.get((*partition_key, int(offset), int(index)))
        taken_back = None if void is None else ((void.generation, void.partition), void.offset)
        schema = catalogs.schema(namespace, int(catalog_offset), name)
        return Raw(int(us), partition_key, int(offset), name, key, parse(properties), taken_back, bool(rounds), schema)

    event: Raw | None = None
    for version in catalogs.versions(namespace, int(catalog_offset)):
        works = of_account.get(version.profile_id)
        if works is None or version.event_name != name or not version.valid_from_us <= us < version.valid_to_us:
            continue
        if event is None:
            event = raw()
        for work in works:
            work.take(event, version)
    for work in (work for works in of_account.values() for work in works if work.pins):
        for pin in work.pins:
            part = (
                pin.part(partition_key, int(offset))
                if int(catalog_offset) < pin.known_from and us >= pin.start_us
                else None
            )
            if part is not None:
                event = event or raw()
                work.take(replace(event, rounds=pin.version.rounds), pin.version, part)  # a backfill metered it anew


def _compare(work: _Work, earlier_billing: EarlierBilling, findings: Findings) -> None:
    head, line = work.head, work.line
    try:
        cells, events = work.measured()
        if work.aggregation is not None:
            quantity = sum(cells.values(), Fraction(0))
            if (Fraction(line.quantity or 0), line.events) != (quantity, events):
                findings.add(
                    "re-rated line",
                    f"{work.place}, {work.aggregation} of {line.profile_id}",
                    f"{_text(quantity)} from {events} raw events",
                    f"{'nothing' if line.quantity is None else plain(line.quantity)} from {line.events} events",
                    _REMEDY,
                )
        seconds = [seconds for _, seconds in prices_by_time(work.price)]
        if len(seconds) > 1 and sum(seconds) != Fraction(line.end_us - line.start_us, SECOND):
            findings.add(
                "re-rated line",
                f"{work.place}, price.by_time",
                f"{_text(Fraction(line.end_us - line.start_us, SECOND))} seconds, the line's time",
                _text(sum(seconds, Fraction(0))),
                _REMEDY,
            )
        unrounded = cost(work.price, cells, events)
    except (ValueError, KeyError, ZeroDivisionError) as error:
        findings.add("re-rated line", f"{work.place}, price", "a price that can be applied", str(error), COPY_REMEDY)
        return
    amount = rounded(unrounded, exponent(head.currency))
    if line.adjusts:
        amount = unrounded = amount - Fraction(earlier_billing.amount_before(head, line))
    if (Fraction(line.amount), Fraction(line.unrounded)) != (amount, unrounded):
        findings.add(
            "re-rated line",
            f"{work.place}, amount",
            f"{_text(amount)} ({_text(unrounded)})",
            f"{plain(line.amount)} ({line.unrounded})",
            _REMEDY,
        )


def _text(number: Fraction) -> str:
    """A finite decimal's digits; what has none as a fraction."""
    scaled = number * 10**60
    return plain(Decimal(scaled.numerator).scaleb(-60)) if scaled.denominator == 1 else str(number)
