"""The demo's rules: rows to events, and what is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from deploy.demo.demo_requests import BATCH, BROKEN_AT, broken, events_sent, requests
from deploy.demo.events import event
from deploy.demo.season import CATALOG
from schemas.catalog.models import KINDS, Namespace
from schemas.events.acceptance import accept
from schemas.events.event_types import NO_TYPES
from schemas.events.raw_events import Refused, decode_batch

ROW = {
    "year": "2013", "month": "3", "day": "10", "dep_time": "1857", "sched_dep_time": "1900", "dep_delay": "-3",
    "carrier": "UA", "flight": "1545", "tailnum": "N14228", "origin": "EWR", "dest": "IAH", "air_time": "227",
    "distance": "1400",
}  # fmt: skip


def test_a_departure() -> None:
    assert event(ROW) == {
        "event_name": "flight_departed", "account_id": "UA", "idempotency_key": "2013-3-10-UA-1545-EWR-1900",
        "timestamp": "2013-03-10T19:00:00-04:00",
        "properties": {
            "flight": 1545, "tailnum": "N14228", "origin": "EWR", "dest": "IAH", "distance": 1400, "air_time": 227,
            "dep_delay": -3,
        },
    }  # fmt: skip


@pytest.mark.parametrize("none", ["", "NA"])
def test_a_cancellation_has_no_properties_that_the_file_has_not(none: str) -> None:
    result = event(ROW | dict.fromkeys(("dep_time", "dep_delay", "tailnum", "air_time"), none))
    assert result["event_name"] == "flight_cancelled"
    assert set(result["properties"]) == {"flight", "origin", "dest", "distance"}


@pytest.mark.parametrize(
    ("month", "day", "clock", "utc"),
    [
        ("3", "10", "130", "2013-03-10T06:30"),
        ("3", "10", "500", "2013-03-10T09:00"),
        ("11", "3", "5", "2013-11-03T04:05"),
        ("11", "3", "2359", "2013-11-04T04:59"),
    ],
)
def test_scheduled_minutes_across_daylight_saving(month: str, day: str, clock: str, utc: str) -> None:
    result = event(ROW | {"month": month, "day": day, "sched_dep_time": clock})
    assert datetime.fromisoformat(result["timestamp"]).astimezone(UTC) == datetime.fromisoformat(utc + "+00:00")


def test_a_row_that_breaks_the_form_is_refused() -> None:
    with pytest.raises(ValueError, match="distance"):
        event(ROW | {"distance": "1400.5"})


def flight(number: int) -> dict[str, Any]:
    return event(ROW | {"flight": str(number)})


def test_every_batch_goes_out_a_few_twice_and_some_broken() -> None:
    batches = [[{"n": number}] for number in range(3368)]
    sent = list(requests(batches))
    full_items = [events for events in sent if len(events) == 1 and set(events[0]) == {"n"}]
    assert {events[0]["n"] for events in full_items} == set(range(3368))
    assert len(full_items) - 3368 == 68
    assert len(sent) - len(full_items) == len(BROKEN_AT)


@pytest.mark.parametrize("rows", [1, 99, 100, 5_000, 5_001, 10_050, 336_776])
def test_the_progress_bar_knows_how_much_is_sent(rows: int) -> None:
    events: list[dict[str, Any]] = [{"n": 0}] * rows
    batches = [events[start : start + BATCH] for start in range(0, rows, BATCH)]
    assert sum(map(len, requests(batches))) == events_sent(rows)


@pytest.mark.parametrize("kind", range(len(BROKEN_AT)))
def test_a_broken_request_is_refused_as_a_whole(kind: int) -> None:
    import json

    good = [flight(number) for number in range(3)]
    settings = Namespace(code="n", max_event_age_seconds=None)
    now = 1_800_000_000_000_000

    def take(events: list[Any]) -> int:
        raws = decode_batch(json.dumps({"events": events}).encode())
        return len(accept("n", settings, raws, now_us=now, mint_key=str, types=NO_TYPES))

    assert take(good) == 3
    with pytest.raises(Refused) as refused:
        take(list(broken(good, kind)))
    assert refused.value.index == 2


def test_the_catalog_is_valid_and_uses_the_prices_it_promises() -> None:
    document = yaml.safe_load(CATALOG.read_text())
    KINDS["namespace"].model_validate(document["namespace"])
    for kind in ("event_type", "meter", "product", "plan", "account", "subscription"):
        for body in document[f"{kind}s"]:
            KINDS[kind].model_validate(body)
    models = {charge["price"]["model"] for plan in document["plans"] for charge in plan["charges"]}
    assert models == {"flat", "per_unit", "tiered", "volume", "package"}
    assert document["namespace"]["max_event_age_seconds"] is None
    assert {account["time_zone"] for account in document["accounts"]} == {"America/New_York"}
    assert len(document["accounts"]) == len(document["subscriptions"]) == 16
