"""The analysts' views say what the API says."""

from __future__ import annotations

import json
import re
import string
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

import deploy
import schemas
from rating.close.checkpoint import end_offsets, wait_metered
from tests.integration.rating.road import Road
from tests.integration.world import World

pytestmark = pytest.mark.integration

METER = {
    "code": "gb",
    "event_name": "Stored",
    "profiles": [
        {"code": "sum", "aggregation": "sum", "property": "n"},
        {"code": "count", "aggregation": "count"},
        {"code": "max", "aggregation": "max", "property": "n"},
        {"code": "min", "aggregation": "min", "property": "n"},
        {"code": "latest", "aggregation": "latest", "property": "n"},
        {"code": "count_unique", "aggregation": "count_unique", "property": "disk"},
    ],
}


def test_views_return_the_totals_of_the_api(world: World) -> None:
    world.apply(meters=[METER])
    world.send(
        [
            {
                "event_name": "Stored",
                "account_id": f"acct_{number % 3}",
                "idempotency_key": f"v{number}",
                "timestamp": f"2026-03-{1 + number % 31:02d}T{number % 24:02d}:00:00Z",
                "properties": {"n": f"{number}.000000000001", "disk": number % 7},
            }
            for number in range(90)
        ]
    )
    world.metered()
    for profile in METER["profiles"]:
        code = profile["code"]
        view = world.rows(
            f"SELECT account_id, {code} FROM usage_total(namespace = '{world.namespace}', profile_id = 'gb.{code}',"
            " period_start = '2026-03-02 00:00:00', period_end = '2026-03-30 12:00:00') ORDER BY account_id"
        )
        rows = world.usage(f"gb.{code}", start="2026-03-02T00:00:00Z", end="2026-03-30T12:00:00Z")
        api = {row["account_id"]: Decimal(row["quantity"]) for row in rows}
        assert len(api) == 3
        assert {account: Decimal(value) for account, value in view} == api, code
    days = world.rows(
        "SELECT sum(count), sum(sum) FROM usage_daily WHERE namespace = {n:String} AND profile_id = 'gb.sum'"
    )
    assert days == [(90, sum(Decimal(f"{number}.000000000001") for number in range(90)))]


def documented() -> list[str]:
    """The queries of schemas/README.md."""
    text = (Path(schemas.__file__).parent / "README.md").read_text()
    return re.findall(r"```sql\n(.*?)```", text, re.DOTALL)


class Template(string.Template):
    """As Grafana writes its variables."""

    braceidpattern = "[a-z_:]+"


def of_dashboard() -> list[tuple[str, str]]:
    """Title and query of each panel of the analysts' dashboard, and label and query of its variables."""
    text = (Path(deploy.__file__).parent / "monitoring" / "analysts.json").read_text()
    dashboard = json.loads(text)
    variables = [(one["label"], one["query"]) for one in dashboard["templating"]["list"] if one["type"] == "query"]
    return variables + [(panel["title"], panel["targets"][0]["rawSql"]) for panel in dashboard["panels"]]


@pytest.fixture
def billed(road: Road, service: httpx.Client) -> Road:
    """January of three accounts: acme moved to another plan and has prepaid credits, bolt paid a part and was credited
    of the rest, void's invoice is void; two events are voided. Seats of the plan team are billed in advance."""
    road.publish(
        "meter", code="calls", event_name="call", profiles=[{"code": "n", "aggregation": "sum", "property": "n"}]
    )
    road.publish("product", code="call", name="Calls", profile="calls.n")
    road.publish("product", code="seat", kind="flat")
    priced = {"product": "call", "price": {"model": "per_unit", "unit_amount": "1"}}
    seat = {"product": "seat", "price": {"model": "flat", "amount": "31"}, "in_advance": True}
    for code, charges in (("payg", [priced]), ("team", [priced, seat])):
        road.publish("plan", code=code, currency="USD", grace_seconds=0, charges=charges)
    for account in ("acme", "bolt", "void"):
        road.publish("account", code=account, time_zone="America/New_York")
        body: dict[str, Any] = {"code": account, "account": account, "plan": "payg", "start": "2013-01-01"}
        road.publish("subscription", **body)
        if account == "acme":
            road.publish("subscription", **body | {"plan": "team", "change_at": "2013-01-16"})
    road.publish("credit_grant", code="paid", account="acme", amount="25", currency="USD")
    days = ("2013-01-10", "2013-01-20")
    road.send(
        [
            ("call", name, f"{name}{day}", f"{day}T04:30:00Z", {"n": "10"})
            for name in ("acme", "bolt", "void")
            for day in days
        ]
    )
    road.send([("call", "bolt", "wrong", "2013-01-11T12:00:00Z", {"n": "1000"})])
    road.void("wrong")
    wait_metered(road.client, end_offsets(road.settings), lambda *_: None)
    road.close("2013-02-02T00:00:00+00:00")
    ids = {
        one["account_id"]: one["invoice_id"]
        for one in listed(road, service)
        if one["service_end"] > one["service_start"]
    }

    def post(account: str, what: str, **body: Any) -> None:
        answer = service.post(
            f"/v1/invoices/{ids[account]}/{what}", json=body, headers={"Weir-Namespace": road.namespace}
        )
        assert answer.is_success, answer.text

    post("void", "void", reason="wrong customer")
    post("bolt", "payments", amount="5", reference="p1")
    post("bolt", "payments", amount="-1", reference="p2")
    post("bolt", "credit-notes", amount="2.50", reference="c1", reason="goodwill")
    return road


def listed(road: Road, service: httpx.Client) -> list[dict[str, Any]]:
    found = service.get("/v1/invoices", params={"limit": 100}, headers={"Weir-Namespace": road.namespace})
    return list(found.json()["invoices"])


def test_views_of_invoices_add_up_to_what_the_api_says(billed: Road, service: httpx.Client, wait_until: Any) -> None:
    def asked(sql: str, **more: str) -> list[dict[str, Any]]:
        return answered(sql, {"namespace": billed.namespace} | more)

    def answered(sql: str, parameters: dict[str, str] | None = None) -> list[dict[str, Any]]:
        found = billed.client.query(sql, parameters=parameters)
        return [dict(zip(found.column_names, row, strict=True)) for row in found.result_rows]

    def voided() -> bool:
        states = asked("SELECT state FROM invoices FINAL WHERE namespace = {namespace:String}")
        return [one["state"] for one in states].count("void") == 1 and all(
            one["number"] for one in listed(billed, service)
        )

    wait_until(voided)
    wait_until(lambda: any(one["credit_notes"] for one in listed(billed, service)))
    api = {one["invoice_id"]: one for one in listed(billed, service) if one["state"] != "void"}
    view = {
        one["invoice_id"]: one for one in asked("SELECT * FROM standing_invoices WHERE namespace = {namespace:String}")
    }
    assert view.keys() == api.keys()
    for name, one in view.items():
        for column in ("total", "subtotal", "credits_applied", "amount_paid", "amount_due"):
            assert one[column] == Decimal(api[name][column]), (name, column)
        assert (str(one["due_date"]), one["number"]) == (api[name]["due_date"], api[name]["number"])
    assert [one["account_id"] for one in view.values() if one["amount_credited"]] == ["bolt"]
    of_acme = {one["period_start"] == one["period_end"]: one for one in view.values() if one["account_id"] == "acme"}
    assert [(one["subtotal"], one["credits_applied"]) for one in of_acme.values()] != []
    # Of January acme's first half is payg's; its seat for the second half, billed by an invoice over no time, is
    # team's.
    lines = asked(
        "SELECT * FROM standing_invoice_lines WHERE namespace = {namespace:String} ORDER BY invoice_id, number"
    )
    assert list(lines[0])[-2:] == ["plan", "plan_version"]
    for name, one in api.items():
        whole = service.get(f"/v1/invoices/{name}", headers={"Weir-Namespace": billed.namespace}).json()
        assert [
            (line["number"], line["plan"], line["plan_version"], line["amount"])
            for line in lines
            if line["invoice_id"] == name
        ] == [(line["number"], line["plan"], line["plan_version"], Decimal(line["amount"])) for line in whole["lines"]]
        if whole["period_start"] == whole["period_end"]:
            assert (whole["service_start"], whole["service_end"]) == ("2013-01-16T05:00:00Z", "2013-02-01T05:00:00Z")
            assert (whole["plan"], {line["plan"] for line in whole["lines"] if line["kind"] == "flat"}) == (
                "payg",
                {"team"},
            )
        assert one["service_start"] < one["service_end"]
    assert {line["plan"] for line in lines if line["account_id"] == "acme" and line["kind"] == "usage"} == {
        "payg",
        "team",
    }
    # The documented queries.
    bound = {
        "profile_id": "calls.n",
        "account_id": "bolt",
        "period_start": "2013-01-01T00:00:00-05:00",
        "period_end": "2013-02-01T05:00:00Z",
    }
    answers = [asked(sql, **bound) for sql in documented()]
    revenue, by_plan, is_open, by_day, by_hour, by_month, by_product, per_unit, credit, events = answers
    assert sum(one["to_pay"] for one in revenue) == sum(Decimal(one["total"]) for one in api.values())
    assert sum(one["revenue"] for one in by_plan) == sum(one["revenue"] for one in revenue)
    assert {one["plan"] for one in by_plan} == {"payg", "team"}
    assert sum(one["amount_due"] for one in is_open) == sum(Decimal(one["amount_due"]) for one in api.values())
    assert {str(one["hour"])[:13]: (one["quantity"], one["greatest"], one["distinct_values"]) for one in by_hour} == {
        "2013-01-10 04": (30, 10, 0),
        "2013-01-20 04": (30, 10, 0),
    }
    assert sorted((one["account_id"], one["quantity"], one["growth"]) for one in by_month) == [
        (account, 20, 20) for account in ("acme", "bolt", "void")
    ]
    assert {one["product"] for one in by_product} == {"Calls", "seat"}
    assert sum(one["revenue"] for one in by_product) == sum(one["revenue"] for one in revenue)
    assert [(one["product"], one["used"], one["revenue"], one["per_unit"]) for one in per_unit] == [
        ("call", 40, 40, Decimal("1"))
    ]
    assert sum(one["from_credit"] for one in credit) == sum(Decimal(one["credits_applied"]) for one in api.values())
    assert [(one["idempotency_key"], one["profile_id"], one["quantity"]) for one in events] == [
        ("bolt2013-01-10", "calls.n", 10),
        ("wrong", "", 0),
        ("bolt2013-01-20", "calls.n", 10),
    ]
    # Those of the dashboard, with Grafana's variables filled in.
    filled = {
        "namespace": billed.namespace,
        "profile": "calls.n",
        "zone": "America/New_York",
        "__from:date:iso": "2013-01-01T05:00:00.000Z",
        "__to:date:iso": "2013-02-01T05:00:00.000Z",
    }
    panels = {title: answered(Template(sql).substitute(filled)) for title, sql in of_dashboard()}
    assert [row["quantity"] for row in panels["Usage by hour"]] == [30, 30]
    assert len(panels["Usage by local day and account"]) == 6
    assert sum(row["revenue"] for row in panels["Revenue by product"]) == sum(one["revenue"] for one in revenue)
    assert panels["Metric"] == [{"profile_id": "calls.n"}]
    assert [name for name, rows in panels.items() if not rows] == ["Periods that wait for their invoice"]
    days = {(one["account_id"], str(one["day"])): one["quantity"] for one in by_day}
    for account in ("acme", "bolt"):
        asked_of = {"metric": "calls.n", "account_id": account, "from": "2013-01", "group_by": "day"}
        found = service.get("/v1/usage", params=asked_of, headers={"Weir-Namespace": billed.namespace}).json()["rows"]
        used = [row for row in found if row["events"]]
        assert [Decimal(row["quantity"]) for row in used] == [days[account, "2013-01-09"], days[account, "2013-01-19"]]
    assert ("bolt", "2013-01-11") not in days
    raw = asked("SELECT count() AS n FROM usage_records FINAL WHERE namespace = {namespace:String}")[0]["n"]
    counted = asked("SELECT count() AS n FROM counted_usage_records WHERE namespace = {namespace:String}")[0]["n"]
    assert (raw, counted) == (7, 6)
    told = asked("SELECT comment FROM system.tables WHERE database = currentDatabase() AND name = 'usage_records'")
    assert "counted_usage_records" in told[0]["comment"]


def test_the_estimate_is_what_the_invoice_will_say(billed: Road, service: httpx.Client) -> None:
    named = {"Weir-Namespace": billed.namespace}
    billed.send([("call", "acme", "february", "2013-02-05T00:00:00Z", {"n": "7"})])
    wait_metered(billed.client, end_offsets(billed.settings), lambda *_: None)
    asked = service.get("/v1/accounts/acme/usage/current", params={"at": "2013-02-27T00:00:00Z"}, headers=named)
    (running,) = asked.json()["subscriptions"]
    assert running["last_period"]["period_end"] == running["period_start"]
    billed.close("2013-03-02T00:00:00+00:00")
    (february,) = [
        one for one in listed(billed, service) if one["account_id"] == "acme" and one["period_start"] > "2013-01-15"
    ]
    assert (running["estimated_subtotal"], running["estimated_total"]) == (february["subtotal"], february["total"])
    # Nobody billed March: the period directly before has no invoice, and no older one is compared with.
    asked = service.get("/v1/accounts/acme/usage/current", params={"at": "2013-04-10T00:00:00Z"}, headers=named)
    (later,) = asked.json()["subscriptions"]
    assert (later["last_period"], {charge["trend"] for charge in later["charges"]}) == (None, {None})
