"""One namespace over four closes: an upgrade, a cancellation and a trial inside a month, fees in advance, and a level
that is carried over; each line against amounts worked out by hand, late usage of a part, and `weir verify` over all of
it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from rating.invoicing.rated_items import CARRIED
from rating.verify.verification import verify
from schemas.ledgers.invoice_record import Line
from schemas.values.instants import rfc3339
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration

START = "2024-01-01"


def catalog(road: Road) -> None:
    """In New York, where February 2024 has 29 whole days: fees of 29 and 58 in advance, 1 and 2 a day."""
    profiles = [
        {"code": "number", "aggregation": "count"},
        {"code": "level", "aggregation": "latest", "property": "seats", "carry_over": True},
    ]
    road.publish("meter", code="calls", event_name="call", window="hour", profiles=profiles[:1])
    road.publish("meter", code="seats", event_name="seats", window="hour", profiles=profiles[1:])
    road.publish("product", code="calls", profile="calls.number")
    road.publish("product", code="level", profile="seats.level")
    road.publish("product", code="seat", kind="flat")
    for code, fee, free, each, least in (("basic", "29", "2", "1", "2.90"), ("pro", "58", "1", "0.5", None)):
        tiers = [{"up_to": free, "unit_amount": "0"}, {"up_to": None, "unit_amount": each}]
        price = {"model": "tiered", "tiers": tiers} | ({} if least is None else {"minimum_amount": least})
        seat = {"product": "seat", "in_advance": True, "price": {"model": "flat", "amount": fee}}
        road.publish(
            "plan", code=code, currency="USD", grace_seconds=0, charges=[{"product": "calls", "price": price}, seat]
        )
    level = {"product": "level", "price": {"model": "per_unit", "unit_amount": "2"}}
    road.publish("plan", code="levels", currency="USD", grace_seconds=0, charges=[level])
    for account, plan in {"up": "basic", "quit": "basic", "try": "basic", "one": "levels", "two": "levels"}.items():
        road.publish("account", code=account, time_zone="America/New_York")
        subscribe(road, account, plan=plan, **({"trial_end": "2024-02-11"} if account == "try" else {}))


def subscribe(road: Road, account: str, **fields: Any) -> None:
    road.publish("subscription", **{"code": account, "account": account, "plan_version": 1, "start": START} | fields)


def call(account: str, key: str, at: str) -> Any:
    return ("call", account, f"{account}-{key}", at, {})


def seats(account: str, key: str, at: str, number: int) -> Any:
    return ("seats", account, f"{account}-{key}", at, {"seats": number})


def closed(road: Road, as_of: str) -> dict[str, list[tuple[str, ...]]]:
    """What the close as of an instant publishes, of a dry run too: account → its lines."""
    dry = road.close(as_of, dry_run=True)
    real = road.close(as_of)
    assert real.problems == ()
    assert [told(one.lines) for one in dry.invoices] == [told(one.lines) for one in real.invoices]
    return {one.account_id: told(one.lines) for one in real.invoices}


def told(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    return [
        (
            f"{line.kind} {line.charge}",
            f"{rfc3339(line.period_start)[5:13]}..{rfc3339(line.period_end)[5:13]}",
            line.quantity,
            line.amount,
        )
        for line in lines
    ]


JANUARY, FEBRUARY, MARCH, APRIL = (
    "01-01T05..02-01T05",
    "02-01T05..03-01T05",
    "03-01T05..04-01T04",
    "04-01T04..05-01T04",
)


def test_a_year_begins_with_an_upgrade_a_cancellation_a_trial_and_a_level(road: Road) -> None:
    catalog(road)
    road.send(
        [
            *(call("up", str(hour), f"2024-02-14T{12 + hour}:00:00Z") for hour in range(3)),
            call("up", "last", "2024-02-15T04:59:59.999999Z"),  # still the 14th in New York
            call("up", "first", "2024-02-15T05:00:00Z"),
            call("up", "second", "2024-02-20T00:00:00Z"),
            *(call("try", str(day), f"2024-02-0{day}T12:00:00Z") for day in (2, 3, 4)),
            seats("one", "a", "2024-01-10T00:00:00Z", 7),
            seats("two", "a", "2024-01-05T00:00:00Z", 3),
            seats("two", "b", "2024-02-05T00:00:00Z", 4),
        ]
    )
    opening = [("flat seat", JANUARY, "", "29.00")]
    assert closed(road, "2024-01-01T05:00:00+00:00") == {"up": opening, "quit": opening}

    first = [("usage calls", JANUARY, "0", "2.90"), ("flat seat", FEBRUARY, "", "29.00")]
    assert closed(road, "2024-02-01T05:00:00+00:00") == {
        "up": first,
        "quit": first,
        "try": [("usage calls", JANUARY, "0", "0.00")],
        "one": [("usage level", JANUARY, "7", "14.00")],
        "two": [("usage level", JANUARY, "3", "6.00")],
    }

    subscribe(road, "up", plan="pro", change_at="2024-02-15")
    subscribe(road, "quit", plan="basic", end="2024-02-10")
    assert closed(road, "2024-03-01T05:00:00+00:00") == {
        "up": [
            ("usage calls", "02-01T05..02-15T05", "4", "2.00"),
            ("usage calls", "02-15T05..03-01T05", "2", "0.50"),
            ("flat seat", "02-15T05..03-01T05", "", "30.00"),  # 15 of 29 days of 58
            ("flat seat", MARCH, "", "58.00"),
            ("adjustment seat", FEBRUARY, "", "-15.00"),  # 14 of 29 in place of 29
        ],
        "quit": [
            ("usage calls", "02-01T05..02-10T05", "0", "0.90"),  # 9 of 29 days of the minimum
            ("adjustment seat", FEBRUARY, "", "-20.00"),
        ],
        "try": [
            ("usage calls", "02-01T05..02-11T05", "3", "0.00"),
            ("usage calls", "02-11T05..03-01T05", "0", "1.90"),
            ("flat seat", "02-11T05..03-01T05", "", "19.00"),
            ("flat seat", MARCH, "", "29.00"),
        ],
        "one": [("usage level", FEBRUARY, "7", "14.00")],
        "two": [("usage level", FEBRUARY, "4", "8.00")],
    }

    road.send(
        [
            call("up", "late", "2024-02-14T23:00:00Z"),
            call("try", "late", "2024-02-05T00:00:00Z"),  # in the trial: it changes no amount
            seats("one", "late", "2024-01-20T00:00:00Z", 9),  # nine from then on, for all that was carried over
        ]
    )
    last = road.close("2024-04-01T04:00:00+00:00")
    assert {one.account_id: told(one.lines) for one in last.invoices} == {
        "up": [
            ("usage calls", MARCH, "0", "0.00"),
            ("flat seat", APRIL, "", "58.00"),
            ("adjustment calls", "02-01T05..02-15T05", "5", "1.00"),
        ],
        "try": [("usage calls", MARCH, "0", "2.90"), ("flat seat", APRIL, "", "29.00")],
        "one": [
            ("usage level", MARCH, "9", "18.00"),
            ("adjustment level", JANUARY, "9", "4.00"),
            ("adjustment level", FEBRUARY, "9", "4.00"),
        ],
        "two": [("usage level", MARCH, "4", "8.00")],
    }
    notes = {line.note for one in last.invoices for line in one.lines if line.kind == "usage"}
    assert CARRIED in notes
    assert road.close("2024-04-01T04:00:00+00:00").invoices == ()
    for invoices in (None, True):
        assert verify(road.settings, namespace=road.namespace, invoices=invoices) == []
