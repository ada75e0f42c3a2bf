"""What a diagnosis says in sentences, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from rating.doctor.diagnosis import Diagnosis, Group
from schemas.prices import plain
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.quantity import TOO_MANY_DECIMALS

MAX_FINDINGS: Final = 3


def findings_of(diagnosis: Diagnosis) -> tuple[str, ...]:
    """One to three sentences: what is the matter, most telling first, and what to do next."""
    return tuple(_findings(diagnosis))[:MAX_FINDINGS]


def diagnosis_json(diagnosis: Diagnosis) -> JsonObject:
    """A diagnosis with its findings, ready for json.dumps."""
    written: JsonObject = {field.name: _json(getattr(diagnosis, field.name)) for field in fields(diagnosis)}
    written["interval"] = {"start": _text(diagnosis.interval.start), "end": _text(diagnosis.interval.end)}
    written["other_names"] = dict(diagnosis.other_names)
    return written | {"findings": list(findings_of(diagnosis))}


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """A diagnosis for people: counts first, then the findings."""
    return "\n".join([*_lines(diagnosis), "", *(f"- {finding}" for finding in findings_of(diagnosis))])


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
