"""The diagnosis of one account's usage of one metric, and the sentences that explain it: plain values, pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from rating.periods import Interval
from schemas.prices import plain
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.quantity import TOO_MANY_DECIMALS

MAX_FINDINGS: Final = 3


@dataclass(frozen=True, slots=True)
class ExampleEvent:
    """A counted event. ``value``: what stands at the property in question, as JSON text; empty where none is."""

    idempotency_key: str
    timestamp: str
    value: str


@dataclass(frozen=True, slots=True)
class Group:
    """Events with one fate. ``why``: the filter, the reason, the span."""

    why: str
    events: int
    examples: tuple[ExampleEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class RefusedEvents:
    """Events of the account that were refused, at any time: by ``gateway``, ``admit`` or ``meter`` (conflicts)."""

    stage: str
    reason: str
    events: int
    detail: str


@dataclass(frozen=True, slots=True)
class Outside:
    """Counted events of the metric's names beyond the interval, and the nearest to it (RFC 3339, empty for none)."""

    before: int
    nearest_before: str
    after: int
    nearest_after: str


@dataclass(frozen=True, slots=True)
class BillingStatus:
    """Whether the usage is billed: ``subscriptions`` are those that overlap the interval; ``charges`` of theirs bill
    the profile."""

    account_known: bool
    subscriptions: tuple[str, ...]
    charges: tuple[str, ...]
    unpriced: tuple[str, ...] = ()
    """A sentence for each combination of dimension values that a charge has no amount for: it is metered, and not
    billed."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that is known. ``received`` events of the metric's names in the interval counted once; of these ``matched``
    have records and are not voided, the others stand in ``voided`` (taken back, by reason and author), ``filtered``,
    ``unmeterable``, ``not_valid``, ``too_early`` (they arrived before the metric was published) or were not looked at
    (``unexamined``). ``waiting``: packed batches that are in the log, not yet metered."""

    namespace: str
    account_id: str
    profile_id: str
    event_names: tuple[str, ...]
    interval: Interval
    aggregation: str
    quantity: Decimal | None
    received: int
    matched: int
    filtered: tuple[Group, ...]
    unmeterable: tuple[Group, ...]
    not_valid: tuple[Group, ...]
    too_early: tuple[Group, ...]
    unexamined: int
    duplicates: int
    rejections: tuple[RefusedEvents, ...]
    outside: Outside
    other_names: tuple[tuple[str, int], ...]
    similar_names: tuple[str, ...]
    similar_accounts: tuple[str, ...]
    billing: BillingStatus
    waiting: int
    voided: tuple[Group, ...] = ()
    rounded: tuple[Group, ...] = ()
    """Of the matched events those whose value had more than 12 decimals; the newest of the interval that were looked
    at."""
    backfilling: str = ""
    """A sentence, where a version of the metric is still to count events that came before it."""

    @property
    def findings(self) -> tuple[str, ...]:
        """One to three sentences: what is the matter, most telling first, and what to do next."""
        return tuple(_findings(self))[:MAX_FINDINGS]

    def to_json(self) -> JsonObject:
        """Ready for json.dumps."""
        written: JsonObject = {field.name: _json(getattr(self, field.name)) for field in fields(self)}
        written["interval"] = {"start": _text(self.interval.start), "end": _text(self.interval.end)}
        written["other_names"] = dict(self.other_names)
        return written | {"findings": list(self.findings)}

    def to_text(self) -> str:
        """For people: counts first, then the findings."""
        return "\n".join([*_lines(self), "", *(f"- {finding}" for finding in self.findings)])


def _text(moment: datetime) -> str:
    return rfc3339(micros(moment))


def _json(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    return plain(value) if isinstance(value, Decimal) else value


def _plural(count: int, what: str = "event") -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _names(diagnosis: Diagnosis) -> str:
    return " or ".join(repr(name) for name in diagnosis.event_names)


def _example(group: Group) -> str:
    if not group.examples:
        return ""
    example = group.examples[0]
    return (
        f" (e.g. event {example.idempotency_key} of"
        f" {example.timestamp}{f' has {example.value}' if example.value else ''})"
    )


def _lines(diagnosis: Diagnosis) -> Iterator[str]:
    """The counts, a line each."""
    yield (
        f"{diagnosis.profile_id} of account {diagnosis.account_id} in {diagnosis.namespace},"
        f" {_text(diagnosis.interval.start)} to {_text(diagnosis.interval.end)}"
    )
    quantity = "no value" if diagnosis.quantity is None else plain(diagnosis.quantity)
    yield f"  {diagnosis.aggregation}: {quantity}"
    yield f"  received {diagnosis.received:,} counted events named {_names(diagnosis)}"
    yield f"    matched {diagnosis.matched:,}"
    for group in diagnosis.rounded:
        yield f"      rounded to 12 decimals, {group.why}: {group.events:,}{_example(group)}"
    for group in diagnosis.voided:
        yield f"    voided, {group.why}: {group.events:,}{_example(group)}"
    for label, groups in (
        ("refused by filter", diagnosis.filtered),
        ("not measurable:", diagnosis.unmeterable),
        ("no version valid at their time:", diagnosis.not_valid),
        ("arrived before the metric was published:", diagnosis.too_early),
    ):
        for group in groups:
            yield f"    {label} {group.why}: {group.events:,}{_example(group)}"
    if diagnosis.unexamined:
        yield f"    not matched and not looked at one by one: {diagnosis.unexamined:,}"
    yield f"  duplicates {diagnosis.duplicates:,} (dropped; their first copy is among the received)"
    for rejection in diagnosis.rejections:
        yield f"  refused by {rejection.stage}, {rejection.reason}: {rejection.events:,} ({rejection.detail})"
    if diagnosis.outside.before:
        yield f"  before the interval {diagnosis.outside.before:,}, the last at {diagnosis.outside.nearest_before}"
    if diagnosis.outside.after:
        yield f"  after the interval {diagnosis.outside.after:,}, the first at {diagnosis.outside.nearest_after}"
    if diagnosis.backfilling:
        yield f"  {diagnosis.backfilling}"
    if diagnosis.waiting:
        yield f"  not metered yet: {diagnosis.waiting:,} packed batches (of all accounts)"
    if diagnosis.billing.charges:
        yield f"  billed by {', '.join(diagnosis.billing.charges)}"
    for sentence in diagnosis.billing.unpriced:
        yield f"  no price: {sentence}"


def _findings(diagnosis: Diagnosis) -> Iterator[str]:
    """Sentences about what is the matter, the most telling first."""
    all_matched = diagnosis.matched == diagnosis.received
    if diagnosis.matched:
        part = "All" if all_matched else f"{diagnosis.matched:,} of"
        yield (
            f"{part} {_plural(diagnosis.received)} in the interval count: the {diagnosis.aggregation} is "
            f"{'no value' if diagnosis.quantity is None else plain(diagnosis.quantity)}."
        )
    yield from diagnosis.billing.unpriced[:1]
    if diagnosis.backfilling:
        yield f"{diagnosis.backfilling}; until that is done they are missing here (`weir backfill list`)."
    yield from _why_nothing_came(diagnosis)
    if diagnosis.voided:
        gone = sum(group.events for group in diagnosis.voided)
        why = "; ".join(f"{group.why}{_example(group)}" for group in diagnosis.voided[:MAX_FINDINGS])
        yield (
            f"{_plural(gone)} of the interval {'was' if gone == 1 else 'were'} voided and count no longer: {why}."
            " `weir voids` lists them."
        )
    for group in sorted(diagnosis.filtered, key=lambda group: -group.events):
        yield (
            f"{_plural(group.events)} did not pass the filter {group.why}{_example(group)}: "
            "send what the filter asks for, or publish the meter with another filter."
        )
    for group in diagnosis.unmeterable:
        if group.why.startswith(TOO_MANY_DECIMALS):
            yield (
                f"{_plural(group.events)} came when a value with more than 12 decimals counted for nothing, and stay as"
                f" they were metered, {group.why}{_example(group)}; now it is rounded: publish the meter with a `start`"
                " before them, earlier than any it has, and they are backfilled."
            )
            continue
        yield (
            f"{_plural(group.events)} had no value that can be measured, {group.why}{_example(group)}: mend the"
            " producer."
        )
    for group in () if diagnosis.backfilling else diagnosis.too_early:
        yield (
            f"{_plural(group.events)} arrived before {diagnosis.profile_id} was published, so nothing measured"
            f" them{_example(group)}: "
            "a new meter counts what arrives after it; publish it with a `start` in the past, and what came before"
            " is backfilled."
        )
    for group in diagnosis.not_valid:
        yield (
            f"{_plural(group.events)} lie at a time at which no version was valid, {group.why}{_example(group)}:"
            " mind valid_from and retirement."
        )
    for rejection in sorted(diagnosis.rejections, key=lambda rejection: -rejection.events):
        yield (
            f"{_plural(rejection.events)} of the account were refused ({rejection.stage}, {rejection.reason}):"
            f" {rejection.detail}"
        )
    if diagnosis.waiting:
        yield (
            f"{diagnosis.waiting:,} packed batches in the log are not metered yet: wait a moment; if it does not"
            " shrink, `weir status` tells whether a worker runs."
        )
    for group in diagnosis.rounded:
        yield (
            f"{_plural(group.events)} had more than 12 decimals {group.why}{_example(group)}: the value counts"
            " rounded to 12, half to even."
        )
    yield from _unbilled(diagnosis)
    if not diagnosis.matched and diagnosis.received == 0 and diagnosis.duplicates:
        yield f"{_plural(diagnosis.duplicates)} came as duplicates of events outside the interval."


def _why_nothing_came(diagnosis: Diagnosis) -> Iterator[str]:
    """A sentence where no event was received: the nearest events, names or accounts."""
    if diagnosis.received:
        return
    if diagnosis.outside.before or diagnosis.outside.after:
        outside = diagnosis.outside
        nearest = [f"the last before it at {outside.nearest_before}"] if outside.before else []
        nearest += [f"the first after it at {outside.nearest_after}"] if outside.after else []
        count = diagnosis.outside.before + diagnosis.outside.after
        yield (
            f"No event lies in the interval, but {_plural(count)} lie outside it, {' and '.join(nearest)}: ask for"
            " another period, or mend the timestamps."
        )
    elif diagnosis.similar_names:
        yield (
            f"No event named {_names(diagnosis)} ever came from the account, but it sends"
            f" {', '.join(map(repr, diagnosis.similar_names))}: "
            "correct the name in the producer, or publish the meter with that event_name."
        )
    elif diagnosis.other_names:
        sends = ", ".join(f"{name!r} ({count:,})" for name, count in diagnosis.other_names[:5])
        yield (
            f"No event named {_names(diagnosis)} ever came from the account; it sends {sends}. Check which event"
            " the meter is meant for."
        )
    elif diagnosis.similar_accounts:
        yield (
            f"No event ever came from account {diagnosis.account_id!r}, but from"
            f" {', '.join(map(repr, diagnosis.similar_accounts))}: "
            "check account_id in the producer, or the account you asked for."
        )
    else:
        yield (
            f"No event ever came from account {diagnosis.account_id!r} in namespace {diagnosis.namespace}: check"
            " that it is sent, with which key, and to which namespace."
        )


def _unbilled(diagnosis: Diagnosis) -> Iterator[str]:
    """A sentence where no charge bills the profile."""
    if diagnosis.billing.charges:
        return
    if not diagnosis.billing.account_known and not diagnosis.billing.subscriptions:
        yield (
            f"Account {diagnosis.account_id!r} is not in the catalog, so its usage is metered but not billed:"
            " publish the account and a subscription."
        )
    elif not diagnosis.billing.subscriptions:
        yield (
            f"Account {diagnosis.account_id!r} has no subscription in the interval, so its usage is metered but not"
            " billed: publish one."
        )
    else:
        yield (
            f"No charge of {', '.join(diagnosis.billing.subscriptions)} bills {diagnosis.profile_id}, so its usage"
            " is metered but not billed: add a charge to the plan."
        )
