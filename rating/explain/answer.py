"""The whole explanation of one line, as JSON values."""

from __future__ import annotations

from typing import Final

from clickhouse_connect.driver.client import Client

from rating.explain.adjusted import adjustment
from rating.explain.counted_events import RULES, count_events
from rating.explain.locked_line import locked
from rating.explain.recomputed import by_day, by_dimensions, plain_or_none, total
from rating.explain.subject import Ledgers, Subject
from schemas.catalog.profiles import BEGINNING, FOREVER, ProfileVersion
from schemas.ledgers.generations import written_offsets
from schemas.values.currency import exponent
from schemas.values.instants import SECOND, instant, rfc3339
from schemas.values.json_text import JsonObject

_ADDING: Final = ("sum", "count")


def explain(client: Client, ledgers: Ledgers, subject: Subject) -> JsonObject:
    """Where the amount of a line comes from, as JSON. A line without usage has no quantity, and a sentence says why.
    Blocking."""
    head, line = subject.head, subject.line
    answer: JsonObject = {
        "invoice_id": head.invoice_id,
        "invoice_version": head.version,
        "state": head.state,
        "line": line.number,
        "kind": line.kind,
        "charge": line.charge,
        "product": line.product,
        "description": line.description,
        "namespace": head.namespace,
        "account_id": head.account_id,
        "subscription": head.subscription,
        "plan": head.plan,
        "plan_version": head.plan_version,
        "period": _period(subject),
        "checkpoint": _checkpoint(ledgers, subject),
        "profile": None,
        "quantity": None,
        "price": dict(line.price),
        "steps": list(line.steps),
        "rounding": _rounding(subject),
        "note": line.note,
        "adjustment": None,
        "locked": None,
    }
    if subject.need is not None:
        answer |= {"profile": _profile(subject), "quantity": _quantity(client, subject)}
        if line.adjusts:
            answer["adjustment"] = adjustment(client, ledgers, subject)
        else:
            answer["locked"] = locked(client, ledgers, subject)
    return answer | {"sentence": sentence(answer)}


def _period(subject: Subject) -> JsonObject:
    line, zone = subject.line, subject.zone
    start, end = line.period_start_us, line.period_end_us
    return {
        "start": rfc3339(start),
        "end": rfc3339(end),
        "time_zone": zone.key,
        "local_start": instant(start).astimezone(zone).isoformat(),
        "local_end": instant(end).astimezone(zone).isoformat(),
        "seconds": (end - start) // SECOND,
    }


def _checkpoint(ledgers: Ledgers, subject: Subject) -> JsonObject:
    head = subject.head
    cut = subject.cut or ledgers.cut(head.checkpoint)
    return {
        "number": head.checkpoint,
        "as_of": rfc3339(head.as_of_us),
        "run_id": head.run_id,
        "catalog_offset": head.catalog_offset,
        "offsets": written_offsets(cut.offsets),
    }


def _profile(subject: Subject) -> JsonObject:
    assert subject.need is not None, "asked for lines with usage only"
    measured = subject.need.profile
    return {
        "id": measured.profile_id,
        "aggregation": measured.aggregation,
        "unit": measured.unit,
        "versions": [_version(version) for version in subject.versions],
    }


def _version(version: ProfileVersion) -> JsonObject:
    return {
        "version": version.version,
        "event_name": version.event_name,
        "aggregation": version.aggregation,
        "property": list(version.property) if version.property else None,
        "filters": [condition.model_dump(mode="json") for condition in version.filters],
        "dimensions": [".".join(path) for path in version.dimensions],
        "valid_from": None if version.valid_from_us == BEGINNING else rfc3339(version.valid_from_us),
        "valid_to": None if version.valid_to_us == FOREVER else rfc3339(version.valid_to_us),
    }


def _quantity(client: Client, subject: Subject) -> JsonObject:
    line, query = subject.line, subject.query
    aggregation = query.profile.aggregation
    recomputed = total(client, query)
    shown = count_events(client, query)
    return {
        "billed": plain_or_none(line.quantity),
        "events": line.events,
        "unit": line.unit,
        "recomputed": plain_or_none(recomputed.quantity),
        "recomputed_events": recomputed.events,
        "agrees": (line.quantity or 0) == (recomputed.quantity or 0) and line.events == recomputed.events,
        "rule": RULES.get(aggregation, "all events are shown"),
        "events_shown": shown,
        "days_add_up": aggregation in _ADDING,
        "by_day": by_day(client, subject),
        "by_dimensions": by_dimensions(client, subject),
        "events_at": f"/v1/invoices/{subject.head.invoice_id}/lines/{line.number}/explain/events",
    }


def _rounding(subject: Subject) -> JsonObject:
    head, line = subject.head, subject.line
    return {
        "unrounded": line.unrounded,
        "amount": line.amount,
        "currency": head.currency,
        "digits": exponent(head.currency),
        "rule": "once, half away from zero",
    }


def sentence(answer: JsonObject) -> str:
    """The explanation in one sentence, from the answer of ``explain``."""
    rounding, quantity, change = answer["rounding"], answer["quantity"], answer["adjustment"]
    amount = f"{rounding['amount']} {rounding['currency']}"
    if quantity is None:
        why = (
            "it does not depend on usage"
            if answer["kind"] == "flat"
            else "it follows from other lines or terms, as its steps say"
        )
        return f"{amount}, a line of kind {answer['kind']}: {why}, so no events stand behind it."
    profile = answer["profile"]
    what = f"{profile['aggregation']} of {profile['id']}: {quantity['billed']} {quantity['unit']}".rstrip()
    measured = f"{what} from {_events(quantity['events'])} as of checkpoint {answer['checkpoint']['number']}"
    if change is None:
        behind = _left_out(answer["locked"])
        return f"{measured}, priced at {rounding['unrounded']} and rounded to {amount}{behind}."
    if change["before"] is None:
        return f"{measured}; what was billed before is no longer to be read."
    earlier = change["before"]
    late, voided = change["late_events"]["count"], change["voided_events"]["count"]
    came = [f"{_events(late)} came late"] if late or not voided else []
    came += [f"{_events(voided)} {'was' if voided == 1 else 'were'} voided"] if voided else []
    return (
        f"{measured}, {earlier['quantity']} as of checkpoint {earlier['checkpoint']}:"
        f" {' and '.join(came)} between them;"
        f" {change['now']['amount']} in place of {earlier['amount']} billed so far makes {amount}."
    )


def _left_out(locked_by: JsonObject | None) -> str:
    if locked_by is None:
        return ""
    late, voided = locked_by["late_events"], locked_by["voided_events"]
    beyond = f"{_events(late)} that came and {_events(voided)} voided after checkpoint {locked_by['checkpoint']}"
    return f"; its period lies behind the lock date {locked_by['lock_date']}, so {beyond} are on no invoice"


def _events(count: int | None) -> str:
    return "1 event" if count == 1 else f"{count or 0} events"
