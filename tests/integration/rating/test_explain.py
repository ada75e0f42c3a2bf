"""Explain on the real stack: its events give every line's quantity, as of the line's checkpoint, whatever came
later."""

from __future__ import annotations

import csv
import io
import json
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from deploy.cli.connection import base_url
from schemas.settings import Settings
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration

ZONE = "Asia/Kathmandu"  # +05:45: a local day never begins at an hour of UTC
PROFILES: list[dict[str, Any]] = [
    {"code": "number", "aggregation": "count"},
    {"code": "km", "aggregation": "sum", "property": "km", "dimensions": ["class"]},
    {
        "code": "top",
        "aggregation": "max",
        "property": "km",
        "filters": [{"property": "class", "operator": "eq", "value": "a"}],
    },
    {"code": "low", "aggregation": "min", "property": "km", "dimensions": ["class"]},
    {"code": "last", "aggregation": "latest", "property": "km", "dimensions": ["class"]},
    {"code": "cars", "aggregation": "count_unique", "property": "car", "dimensions": ["class"]},
]
UNIT = {"model": "per_unit", "unit_amount": "0.01"}
MATRIX = {
    "model": "matrix",
    "dimensions": ["class"],
    "cells": [{"values": ["a"], "unit_amount": "0.1"}],
    "default_unit_amount": "0.3",
}
Get = Callable[..., Any]


def ride(number: int, at: str, **change: Any) -> Any:
    return (
        "ride",
        "acme",
        f"k{number}",
        at,
        {"km": f"{number}.25", "class": "ab"[number % 2], "car": number % 3} | change,
    )


@pytest.fixture(scope="module")
def road(settings: Settings) -> Iterator[Road]:
    """January and February billed, with a price change of the meter in between and late events in two waves."""
    road = Road(settings, f"t{uuid.uuid4().hex[:12]}")
    road.publish("meter", code="ride", unit="km", profiles=PROFILES)
    charges: list[dict[str, Any]] = [{"product": "fee", "price": {"model": "flat", "amount": "10"}}]
    road.publish("product", code="fee", kind="flat")
    for profile in ("number", "km", "top", "low", "last", "cars"):
        road.publish("product", code=profile, profile=f"ride.{profile}")
        charges.append({"product": profile, "price": UNIT})
    charges += [
        {"code": f"{name}-by-class", "product": name, "price": MATRIX} for name in ("km", "low", "last", "cars")
    ]
    road.publish("plan", code="basic", currency="USD", grace_seconds=0, charges=charges)
    road.publish("account", code="acme", time_zone=ZONE)
    road.publish(
        "subscription", code="s", account="acme", plan="basic", plan_version=1,
        start="2012-12-31T18:15:00Z", end="2013-02-28T18:15:00Z",
    )  # fmt: skip
    january = [ride(number, f"2013-01-{1 + number % 28:02d}T{number % 24:02d}:45:00Z") for number in range(40)]
    edges = [
        ride(90, "2012-12-31T18:15:00Z"), ride(91, "2012-12-31T18:14:59.999999Z"),
        ride(92, "2013-01-31T18:14:59.999999Z"), ride(93, "2013-01-31T18:15:00Z"),
    ]  # fmt: skip
    big = ride(94, "2013-01-05T00:00:00Z", km=39.25, **{"class": "a"})
    road.send([*january, *january[:7], *edges, big])
    road.close("2013-02-01T00:00:00+00:00")
    road.send([ride(200, "2013-01-10T00:00:00Z"), ride(201, "2013-02-10T00:00:00Z", km="-3.5")])
    road.close("2013-03-01T00:00:00+00:00")
    road.send(
        [ride(300, "2013-01-10T00:00:00Z", km="0.125"), ride(301, "2013-01-11T00:00:00Z", km="500", **{"class": "a"})]
    )
    road.close()
    yield road
    road.client.close()


@pytest.fixture(scope="module")
def get(settings: Settings, road: Road) -> Iterator[Get]:
    headers = {"Authorization": f"Bearer {settings.admin_key.get_secret_value()}", "Weir-Namespace": road.namespace}
    with httpx.Client(base_url=base_url(settings, "rating"), headers=headers, timeout=60) as client:

        def ask(path: str, status: int = 200, **parameters: Any) -> Any:
            answer = client.get(path, params=parameters)
            assert answer.status_code == status, answer.text
            return json.loads(answer.text, parse_float=Decimal)

        yield ask


def pages(get: Get, line: str, **more: Any) -> list[dict[str, Any]]:
    """All events of a line, thirty a page."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = get(f"{line}/explain/events", limit=30, **cursor, **more)
        found += page["events"]
        if page["next_cursor"] is None:
            return found
        assert len(page["events"]) == 30
        cursor = {"cursor": page["next_cursor"]}


def lines(get: Get) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(path, line, its invoice) of every line of every invoice, oldest first."""
    found = []
    for head in sorted(get("/v1/invoices")["invoices"], key=lambda one: (one["period_start"], one["sequence"])):
        whole = get(f"/v1/invoices/{head['invoice_id']}")
        found += [(f"/v1/invoices/{head['invoice_id']}/lines/{line['number']}", line, whole) for line in whole["lines"]]
    return found


def folded(aggregation: str, events: list[dict[str, Any]], by: str | None) -> Decimal:
    """The quantity from the events, by the meaning of the word; a matrix's is the sum of its classes."""
    groups: dict[Any, list[dict[str, Any]]] = {}
    for event in events:
        groups.setdefault(event["properties"].get(by) if by else None, []).append(event)
    total = Decimal(0)
    for group in groups.values():
        values = [Decimal(str(event["properties"]["km"])) for event in group]
        total += {
            "sum": sum(values),
            "count": len(group),
            "count_unique": len({str(event["properties"]["car"]) for event in group}),
            "max": max(values),
            "min": min(values),
            "latest": max(
                (event["timestamp"], event["idempotency_key"], value)
                for event, value in zip(group, values, strict=True)
            )[2],
        }[aggregation]
    return total


def test_events_make_up_every_quantity_as_of_its_own_checkpoint(get: Get) -> None:
    seen = set()
    for path, line, whole in lines(get):
        if line["profile"] is None:
            continue
        seen.add(line["kind"])
        answer = get(f"{path}/explain")
        aggregation, by = answer["profile"]["aggregation"], "class" if line["price"]["model"] == "matrix" else None
        deciding, considered = pages(get, path), pages(get, path, all="true")
        quantity = answer["quantity"]
        assert quantity["agrees"], answer
        assert len(considered) == line["events"]
        assert len(deciding) == quantity["events_shown"]
        assert len({json.dumps(event["position"]) for event in considered}) == len(considered)
        assert all(
            line["period_start"] <= event["timestamp"] < line["period_end"] or "." in event["timestamp"]
            for event in considered
        )
        for events in (deciding, considered):
            assert folded(aggregation, events, by) == Decimal(line["quantity"]), (aggregation, by)
        if aggregation in ("sum", "count", "count_unique"):
            assert sum(Decimal(event["quantity"]) for event in deciding) == Decimal(line["quantity"])
        else:
            assert {event["quantity"] for event in deciding} <= {event["quantity"] for event in considered}
            assert len(deciding) <= (2 if by else 1) + (aggregation in ("max", "min"))
        assert answer["period"]["local_start"].endswith("00:00:00+05:45")
        assert answer["checkpoint"]["number"] == whole["checkpoint"]
        assert sum(row["events"] for row in quantity["by_day"]) == line["events"]
        if quantity["days_add_up"]:
            assert sum(Decimal(row["quantity"]) for row in quantity["by_day"]) == Decimal(line["quantity"])
        if by:
            assert sum(Decimal(row["quantity"]) for row in quantity["by_dimensions"]) == Decimal(line["quantity"])
        assert sum(Decimal(step["amount"]) for step in answer["steps"]) == sum(
            Decimal(step["amount"]) for step in line["steps"]
        )
    assert seen == {"usage", "adjustment"}


def test_an_adjustment_shows_both_totals_both_checkpoints_and_what_came_between(get: Get) -> None:
    found = [(path, line, whole) for path, line, whole in lines(get) if line["kind"] == "adjustment"]
    kilometres = [(path, line, whole) for path, line, whole in found if line["charge"] == "km"]
    answers = [get(f"{path}/explain") for path, _, _ in kilometres]
    late = [[event["idempotency_key"] for event in one["adjustment"]["late_events"]["events"]] for one in answers]
    assert late == [["k200"], ["k300", "k301"]]
    first, second = (one["adjustment"] for one in answers)
    assert (first["before"]["quantity"], first["now"]["quantity"]) == ("1011.75", "1212")
    assert second["before"] == first["now"] | {"recomputed": "1212"}
    assert second["now"]["checkpoint"] > second["before"]["checkpoint"] > answers[0]["checkpoint"]["number"] - 1
    for (_, line, _), one in zip(kilometres, (first, second), strict=True):
        assert Decimal(one["now"]["amount"]) - Decimal(one["before"]["amount"]) == Decimal(line["amount"])
        gained = sum(Decimal(event["quantity"]) for event in one["late_events"]["events"])
        assert Decimal(one["now"]["quantity"]) - Decimal(one["before"]["quantity"]) == gained
    assert [item["kind"] for item in second["billed_before"]] == ["usage", "adjustment"]
    assert "1 event came late between them" in answers[0]["sentence"]


def test_a_flat_line_has_no_events_and_says_so(get: Get) -> None:
    path, line, _ = next(one for one in lines(get) if one[1]["kind"] == "flat")
    answer = get(f"{path}/explain")
    assert (answer["quantity"], answer["profile"]) == (None, None)
    assert "no events stand behind it" in answer["sentence"]
    assert answer["rounding"]["amount"] == line["amount"] == "10.00"
    assert get(f"{path}/explain/events") == {"events": [], "next_cursor": None}


def test_what_is_not_there_is_told(get: Get) -> None:
    path = lines(get)[1][0]
    assert "no line 99" in get(path.rsplit("/", 1)[0] + "/99/explain", 404)["detail"]
    assert "no invoice" in get("/v1/invoices/inv_none/lines/1/explain", 404)["detail"]
    for cursor in ("1_2", "1_1_1_9999999999999999999_1_1"):  # the latter is beyond any offset
        assert "no cursor" in get(f"{path}/explain/events", 422, cursor=cursor)["detail"]


def test_lines_are_exported_for_accounting(settings: Settings, road: Road, get: Get) -> None:
    headers = {"Authorization": f"Bearer {settings.admin_key.get_secret_value()}", "Weir-Namespace": road.namespace}
    with httpx.Client(base_url=base_url(settings, "rating"), headers=headers, timeout=60) as client:
        text = client.get("/v1/invoices/export", params={"format": "csv"})
        parquet = client.get("/v1/invoices/export", params={"format": "parquet", "account_id": "acme"})
        nothing = client.get("/v1/invoices/export", params={"account_id": "nobody"})
    assert text.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(text.text)))
    table = pq.read_table(io.BytesIO(parquet.content)).to_pylist()
    expected = {(whole["invoice_id"], line["number"]): line for _, line, whole in lines(get)}
    assert {(row["invoice_id"], int(row["line"])) for row in rows} == set(expected)
    for row, typed in zip(rows, table, strict=True):
        line = expected[row["invoice_id"], int(row["line"])]
        assert (row["amount"], row["quantity"] or None, row["kind"]) == (line["amount"], line["quantity"], line["kind"])
        assert (typed["amount"], typed["line"]) == (Decimal(line["amount"]), line["number"])
        assert typed["quantity"] == (None if line["quantity"] is None else Decimal(line["quantity"]))
    assert len(nothing.text.splitlines()) == 1
