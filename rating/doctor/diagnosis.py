"""What the doctor found about one account and one metric, and what it makes of it: plain values, pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from typing import Any, Final

from rating.periods import Interval
from schemas.prices import plain
from schemas.values.instants import micros, rfc3339
from schemas.values.quantity import TOO_MANY_DECIMALS

MAX_FINDINGS: Final = 3


@dataclass(frozen=True, slots=True)
class Example:
    """A counted event. ``value``: what stands at the property in question, as JSON text; empty where none is."""

    idempotency_key: str
    timestamp: str
    value: str


@dataclass(frozen=True, slots=True)
class Group:
    """Events with one fate. ``why``: the filter, the reason, the span."""

    why: str
    events: int
    examples: tuple[Example, ...] = ()


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
    """Whether anybody pays: ``subscriptions`` are those that overlap the interval; ``charges`` of theirs bill the
    profile."""

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

    def to_json(self) -> dict[str, Any]:
        """Ready for json.dumps."""
        written: dict[str, Any] = _json(self)
        written["interval"] = {"start": _text(self.interval.start), "end": _text(self.interval.end)}
        written["other_names"] = dict(self.other_names)
        return written | {"findings": list(self.findings)}

    def to_text(self) -> str:
        """For people: counts first, then the findings."""
        return "\n".join([*_lines(self), "", *(f"- {finding}" for finding in self.findings)])


def _text(moment: Any) -> str:
    return rfc3339(micros(moment))


def _json(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    return plain(value) if isinstance(value, Decimal) else value


def _plural(count: int, what: str = "event") -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _names(one: Diagnosis) -> str:
    return " or ".join(repr(name) for name in one.event_names)


def _example(group: Group) -> str:
    if not group.examples:
        return ""
    first = group.examples[0]
    return f" (e.g. event {first.idempotency_key} of {first.timestamp}{f' has {first.value}' if first.value else ''})"


def _lines(one: Diagnosis) -> Iterator[str]:
    yield f"{one.profile_id} of account {one.account_id} in {one.namespace}, {_text(one.interval.start)} to {_text(one.interval.end)}"
    quantity = "no value" if one.quantity is None else plain(one.quantity)
    yield f"  {one.aggregation}: {quantity}"
    yield f"  received {one.received:,} counted events named {_names(one)}"
    yield f"    matched {one.matched:,}"
    for group in one.rounded:
        yield f"      rounded to 12 decimals, {group.why}: {group.events:,}{_example(group)}"
    for group in one.voided:
        yield f"    voided, {group.why}: {group.events:,}{_example(group)}"
    for label, groups in (
        ("refused by filter", one.filtered), ("not measurable:", one.unmeterable), ("no version valid at their time:", one.not_valid),
        ("arrived before the metric was published:", one.too_early),
    ):  # fmt: skip
        for group in groups:
            yield f"    {label} {group.why}: {group.events:,}{_example(group)}"
    if one.unexamined:
        yield f"    not matched and not looked at one by one: {one.unexamined:,}"
    yield f"  duplicates {one.duplicates:,} (dropped; their first copy is among the received)"
    for rejection in one.rejections:
        yield f"  refused by {rejection.stage}, {rejection.reason}: {rejection.events:,} ({rejection.detail})"
    if one.outside.before:
        yield f"  before the interval {one.outside.before:,}, the last at {one.outside.nearest_before}"
    if one.outside.after:
        yield f"  after the interval {one.outside.after:,}, the first at {one.outside.nearest_after}"
    if one.backfilling:
        yield f"  {one.backfilling}"
    if one.waiting:
        yield f"  not metered yet: {one.waiting:,} packed batches (of all accounts)"
    if one.billing.charges:
        yield f"  billed by {', '.join(one.billing.charges)}"
    for sentence in one.billing.unpriced:
        yield f"  no price: {sentence}"


def _findings(one: Diagnosis) -> Iterator[str]:
    whole = one.matched == one.received
    if one.matched:
        part = "All" if whole else f"{one.matched:,} of"
        yield (
            f"{part} {_plural(one.received)} in the interval count: the {one.aggregation} is "
            f"{'no value' if one.quantity is None else plain(one.quantity)}."
        )
    yield from one.billing.unpriced[:1]
    if one.backfilling:
        yield f"{one.backfilling}; until that is done they are missing here (`weir backfill list`)."
    yield from _why_nothing_came(one)
    if one.voided:
        gone = sum(group.events for group in one.voided)
        why = "; ".join(f"{group.why}{_example(group)}" for group in one.voided[:MAX_FINDINGS])
        yield f"{_plural(gone)} of the interval {'was' if gone == 1 else 'were'} voided and count no longer: {why}. `weir voids` lists them."
    for group in sorted(one.filtered, key=lambda group: -group.events):
        yield (
            f"{_plural(group.events)} did not pass the filter {group.why}{_example(group)}: "
            "send what the filter asks for, or publish the meter with another filter."
        )
    for group in one.unmeterable:
        if group.why.startswith(TOO_MANY_DECIMALS):
            yield (
                f"{_plural(group.events)} came when a value with more than 12 decimals counted for nothing, and stay as"
                f" they were metered, {group.why}{_example(group)}; now it is rounded: publish the meter with a `start`"
                " before them, earlier than any it has, and they are backfilled."
            )
            continue
        yield f"{_plural(group.events)} had no value that can be measured, {group.why}{_example(group)}: mend the producer."
    for group in () if one.backfilling else one.too_early:
        yield (
            f"{_plural(group.events)} arrived before {one.profile_id} was published, so nothing measured them{_example(group)}: "
            "a new meter counts what arrives after it; publish it with a `start` in the past, and what came before is backfilled."
        )
    for group in one.not_valid:
        yield f"{_plural(group.events)} lie at a time at which no version was valid, {group.why}{_example(group)}: mind valid_from and retirement."
    for rejection in sorted(one.rejections, key=lambda rejection: -rejection.events):
        yield f"{_plural(rejection.events)} of the account were refused ({rejection.stage}, {rejection.reason}): {rejection.detail}"
    if one.waiting:
        yield f"{one.waiting:,} packed batches in the log are not metered yet: wait a moment; if it does not shrink, `weir status` tells whether a worker runs."
    for group in one.rounded:
        yield f"{_plural(group.events)} had more than 12 decimals {group.why}{_example(group)}: the value counts rounded to 12, half to even."
    yield from _unbilled(one)
    if not one.matched and one.received == 0 and one.duplicates:
        yield f"{_plural(one.duplicates)} came as duplicates of events outside the interval."


def _why_nothing_came(one: Diagnosis) -> Iterator[str]:
    if one.received:
        return
    if one.outside.before or one.outside.after:
        nearest = [
            text for text, count in ((f"the last before it at {one.outside.nearest_before}", one.outside.before),
            (f"the first after it at {one.outside.nearest_after}", one.outside.after)) if count
        ]  # fmt: skip
        count = one.outside.before + one.outside.after
        yield f"No event lies in the interval, but {_plural(count)} lie outside it, {' and '.join(nearest)}: ask for another period, or mend the timestamps."
    elif one.similar_names:
        yield (
            f"No event named {_names(one)} ever came from the account, but it sends {', '.join(map(repr, one.similar_names))}: "
            "correct the name in the producer, or publish the meter with that event_name."
        )
    elif one.other_names:
        sends = ", ".join(f"{name!r} ({count:,})" for name, count in one.other_names[:5])
        yield f"No event named {_names(one)} ever came from the account; it sends {sends}. Check which event the meter is meant for."
    elif one.similar_accounts:
        yield (
            f"No event ever came from account {one.account_id!r}, but from {', '.join(map(repr, one.similar_accounts))}: "
            "check account_id in the producer, or the account you asked for."
        )
    else:
        yield f"No event ever came from account {one.account_id!r} in namespace {one.namespace}: check that it is sent, with which key, and to which namespace."


def _unbilled(one: Diagnosis) -> Iterator[str]:
    if one.billing.charges:
        return
    if not one.billing.account_known and not one.billing.subscriptions:
        yield f"Account {one.account_id!r} is not in the catalog, so its usage is metered but not billed: publish the account and a subscription."
    elif not one.billing.subscriptions:
        yield f"Account {one.account_id!r} has no subscription in the interval, so its usage is metered but not billed: publish one."
    else:
        yield f"No charge of {', '.join(one.billing.subscriptions)} bills {one.profile_id}, so its usage is metered but not billed: add a charge to the plan."
