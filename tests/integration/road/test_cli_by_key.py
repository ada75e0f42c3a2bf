"""With two URLs and a read key alone — no password of ClickHouse, no address of Kafka — the commands that go by HTTP
answer what the stores have."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from deploy.cli.connection import base_url
from rating.close import run_close
from tests.integration.world import World, declare
from tests.weir_command import run_weir

pytestmark = pytest.mark.integration

PROFILES = [{"code": "n", "aggregation": "sum", "property": "n", "dimensions": ["way"]}]
PRICE = {"model": "per_unit", "unit_amount": "0.25"}


class ByKey:
    """``weir`` in a folder without a stack."""

    def __init__(self, world: World, folder: Path, key: str) -> None:
        urls = {f"WEIR_{service.upper()}_URL": base_url(world.settings, service) for service in ("gateway", "rating")}
        self._variables = urls | {"WEIR_KEY": key, "WEIR_DATA_DIR": str(folder)}

    def __call__(self, *arguments: str, code: int = 0, **variables: str) -> str:
        """Standard output; where it fails, standard error."""
        done = run_weir(*arguments, variables=self._variables | variables)
        assert done.returncode == code, (arguments, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout


@pytest.fixture
def weir(world: World, tmp_path: Path) -> ByKey:
    """A namespace with a billed year."""
    world.apply(
        meters=[{"code": "calls", "event_name": "call", "unit": "s", "profiles": PROFILES}],
        products=[{"code": "time", "profile": "calls.n"}],
        plans=[{"code": "basic", "currency": "USD", "charges": [{"product": "time", "price": PRICE}]}],
        accounts=[{"code": "acme", "time_zone": "Asia/Tokyo"}],
        subscriptions=[
            {"code": "s", "account": "acme", "plan": "basic", "start": "2025-12-31T15:00:00Z", "end": "2026-03-01"}
        ],
    )
    world.send(
        [
            {
                "event_name": "call",
                "account_id": account,
                "timestamp": f"2026-01-{day:02}T16:00:00Z",
                "idempotency_key": f"{account}{day}",
                "properties": {"n": day + 0.5, "way": way},
            }
            for account in ("acme", "stray")
            for day, way in ((3, "in"), (4, "out"), (9, "out"))
        ]
    )
    world.metered()
    world.close("2026-02-05T00:00:00+00:00")
    with world.http("gateway") as client:
        key = client.post("/v1/api-keys", json={"name": "reader", "scopes": ["read"]}).json()["key"]
    return ByKey(world, tmp_path, key)


def test_what_is_read_needs_a_key_alone(weir: ByKey, world: World, tmp_path: Path) -> None:
    (invoice,) = world.invoices()
    name = invoice["invoice_id"]
    assert json.loads(weir("invoices", "--json")) == [invoice]
    assert json.loads(weir("invoice", name, "--json")) == invoice
    assert "4.38 USD" in weir("invoice", name)
    assert name in weir("invoices")
    (listed,) = csv.DictReader(io.StringIO(weir("invoices", "--csv")))
    assert (listed["total"], listed["state"]) == ("4.38", "finalized")
    assert json.loads(weir("ledger", "--json")) == world.books()

    days = json.loads(weir("usage", "calls", "-a", "acme", "-p", "2026-01", "--by", "day", "--json"))
    assert [(row["from"], row["quantity"]) for row in days["rows"]] == [
        ("2026-01-04T00:00:00+09:00", "3.5"),
        ("2026-01-05T00:00:00+09:00", "4.5"),
        ("2026-01-10T00:00:00+09:00", "9.5"),
    ]
    both = weir("usage", "calls", "-a", "acme", "-a", "stray", "-p", "2026", "--total", "-d", "way", "--csv")
    assert both.split() == ["way,quantity,unit,events", "in,7,s,2", "out,28,s,4"]
    months = json.loads(weir("usage", "calls", "-p", "2026", "--total", "--by", "month", "--json"))
    assert [(row["from"], row["events"]) for row in months["rows"]] == [("2026-01-01T00:00:00+00:00", 6)]

    explained = json.loads(weir("explain", name, "1", "--json"))
    assert (explained["quantity"]["billed"], explained["quantity"]["agrees"]) == ("17.5", True)
    events = json.loads(weir("explain", name, "1", "--events", "--json"))
    assert [event["idempotency_key"] for event in events] == ["acme3", "acme4", "acme9"]
    assert "time (Asia/Tokyo)" in weir("explain", name, "1", "--events")

    out = tmp_path / "lines.parquet"
    weir("invoices", "export", "--format", "parquet", "-o", str(out))
    assert pq.read_table(out).num_rows == 1
    assert len(weir("invoices", "export").splitlines()) == 2

    simulated = json.loads(
        weir("simulate", "-p", "2026-01", "--price", 'time={"model": "per_unit", "unit_amount": 0.5}', "--json")
    )
    assert [(total["before"], total["after"]) for total in simulated["totals"]] == [("4.38", "8.75")]
    for command in (["backfill", "list"], ["late"], ["voids"], ["credits", "acme"], ["webhook", "status"]):
        json.loads(weir(*command, "--json"))


def test_a_catalog_key_is_enough_to_publish_and_to_learn_what_a_start_in_the_past_means(
    weir: ByKey, world: World, tmp_path: Path
) -> None:
    with world.http("gateway") as client:
        key = client.post("/v1/api-keys", json={"name": "author", "scopes": ["catalog"]}).json()["key"]
    document = tmp_path / "catalog.json"
    meter = {"code": "later", "event_name": "call", "start": "2026-01-04T00:00:00Z", "profiles": PROFILES}
    document.write_text(json.dumps({"meters": [meter]}))
    away = weir("apply", "-f", str(document), "--dry-run", WEIR_KEY=key, WEIR_RATING_URL="http://127.0.0.1:9")
    assert "1 would be published" in away
    assert "counts from 2026-01-04T00:00:00Z on: its stored events are backfilled; `weir backfill list`" in away
    published = weir("apply", "-f", str(document), WEIR_KEY=key)
    assert "1 published" in published
    assert json.loads(weir("audit", "--json", "--limit", "1", WEIR_KEY=key))[0]["code"] == "later"
    assert "4 stored events to backfill, the oldest of 2026-01-04T16:00:00Z; `weir backfill list`" in published


def test_what_became_of_events_and_what_a_draft_would_make_of_them_needs_a_read_key_alone(
    weir: ByKey, world: World, tmp_path: Path
) -> None:
    told = json.loads(weir("doctor", "acme", "calls", "-p", "2026-01", "--json"))
    assert (told["received"], told["matched"], told["quantity"]) == (3, 3, "17.5")
    # January of the account's own zone; as text, the same findings.
    text = weir("doctor", "acme", "calls", "-p", "2026-01")
    assert "2025-12-31T15:00:00Z to 2026-01-31T15:00:00Z" in text
    assert told["findings"][0] in text
    assert "known: calls.n" in weir("doctor", "acme", "nothing", code=2)
    assert "--tz: " in weir("doctor", "acme", "calls", "--tz", "Mars", code=2)

    draft = tmp_path / "meter.json"
    going_out = {"property": "way", "operator": "eq", "value": "out"}
    profiles = [{"code": "out", "aggregation": "sum", "property": "n", "filters": [going_out]}]
    draft.write_text(json.dumps({"code": "calls", "event_name": "call", "unit": "s", "profiles": profiles}))
    trial = json.loads(weir("profile", "try", "-f", str(draft), "-p", "2026-01", "--json"))
    (profile,) = trial["profiles"]
    assert (trial["time_zone"], trial["events"], profile["matched"], profile["quantity"]) == ("UTC", 6, 4, "28")
    shown = weir("profile", "try", "-f", str(draft), "-p", "2026-01", "-a", "acme")
    assert "3 events call from 2026-01-01T00:00:00+09:00 to 2026-02-01T00:00:00+09:00" in shown
    assert "calls.out: 2 match, 1 do not; sum 14 s; not published yet" in shown
    assert "--period: " in weir("profile", "try", "-f", str(draft), "-p", "soon", code=2)


def test_what_was_refused_is_listed_by_a_read_key_without_what_is_anybodys(weir: ByKey, world: World) -> None:
    event = {"event_name": "call", "timestamp": "2026-01-05T00:00:00Z", "properties": {"n": 1}}
    for number in range(3):
        assert world.post([event | {"idempotency_key": f"r{number}"}]).status_code == 422
    listed = world.wait(lambda: _three(json.loads(weir("rejected", "list", "--json"))))
    assert {(one["reason"], one["namespace"], one["stage"]) for one in listed} == {
        ("no_account", world.namespace, "gateway")
    }
    received = [one["received_at"] for one in listed]
    assert received == sorted(received, reverse=True)
    assert json.loads(weir("rejected", "list", "--json", "--limit", "2")) == listed[:2]
    assert json.loads(weir("rejected", "list", "--json", "--reason", "too_old")) == []
    assert json.loads(weir("rejected", "list", "--json", "--since", "2099-01-01")) == []
    with world.http("rating") as client:
        first = client.get("/v1/rejections", params={"limit": 2}).json()
        cursor = first["next_cursor"]
        last = client.get("/v1/rejections", params={"limit": 2, "cursor": cursor, "reason": "no_account"}).json()
        assert (first["rejections"][:2], last["rejections"], last["next_cursor"]) == (listed[:2], listed[2:], None)
        assert client.get("/v1/rejections", params={"cursor": "x"}).status_code == 422
    assert "names a service alone: set WEIR_KAFKA_BOOTSTRAP" in weir(
        "rejected", "replay", "--reason", "no_account", code=1
    )


def _three(rejections: list[dict[str, str]]) -> list[dict[str, str]] | None:
    return rejections if len(rejections) == 3 else None


def test_an_admin_key_is_enough_to_void_and_correct_and_a_read_key_is_not(weir: ByKey, world: World) -> None:
    with world.http("gateway") as client:
        key = client.post("/v1/api-keys", json={"name": "support", "scopes": ["admin"]}).json()["key"]
    assert "403" in weir("void", "acme3", "--reason", "r", code=1)
    assert "WEIR_RATING_URL is not set" in weir("void", "acme3", "--reason", "r", code=1, WEIR_RATING_URL="")
    said = weir("void", "acme3", "--reason", "never was", WEIR_KEY=key)
    assert said.strip() == "'acme3': voided 'call' of acme at 2026-01-03T16:00:00Z (calls.n)"
    properties = '{"n": 0.10000000000000000001, "way": "out"}'
    correction = ("correct", "acme4", "--reason", "typo", "--properties", properties, "--json")
    done = json.loads(weir(*correction, WEIR_KEY=key))
    assert [void["outcome"] for void in done["voids"]] == ["voided"]
    assert json.loads(weir(*correction, WEIR_KEY=key)) == {"corrected": "acme4", "by": "acme4#corrected", "voids": []}
    assert "corrected before, otherwise" in weir(
        "correct", "acme4", "--reason", "typo", "--properties", '{"n": 0.1, "way": "out"}', WEIR_KEY=key, code=1
    )
    with world.http("rating") as client:
        answer = client.get("/v1/counted-event", params={"idempotency_key": "acme4#corrected"})
        assert '"n":0.10000000000000000001' in answer.text.replace(" ", "")
        assert client.get("/v1/counted-event", params={"idempotency_key": "nobody"}).json() == {"event": None}
        assert client.get("/v1/voids/1/0/9000000000").json()["outcome"] == "pending"
    assert "no event with key 'nobody'" in weir(
        "correct", "nobody", "--reason", "r", "--properties", "{}", WEIR_KEY=key, code=1
    )


def test_what_a_key_may_not_or_cannot_is_said(weir: ByKey) -> None:
    assert "admin" in weir("webhook", "secret", code=2)
    assert "belongs to namespace" in weir("ledger", "-n", "elsewhere", code=2)
    assert "there is no invoice inv_0" in weir("invoice", "inv_0", code=2)
    assert "did you mean way" in weir("usage", "calls", "-d", "waay", code=2)
    assert "names a service alone: set WEIR_KAFKA_BOOTSTRAP" in weir("verify", code=1)
    assert "401" in weir("ledger", code=2, WEIR_KEY="nonsense", WEIR_NAMESPACE="default")
    assert "no answer" in weir("ledger", code=1, WEIR_RATING_URL="http://127.0.0.1:9")


def test_a_sandboxs_clock_is_advanced_and_events_estimates_and_closes_go_by_it(world: World, tmp_path: Path) -> None:
    code = f"box{world.namespace}"[:40]
    declare(world.settings, {"namespace": {"code": code, "sandbox": True}})
    box = World(world.settings, code, world.wait)
    start = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    following = (start + timedelta(days=32)).replace(day=1)
    charge = {"product": "time", "price": PRICE}
    box.apply(
        meters=[{"code": "calls", "event_name": "call", "profiles": PROFILES}],
        products=[{"code": "time", "profile": "calls.n"}],
        features=[{"code": "calling", "profile": "calls.n", "limits": [{"quantity": 10, "reset": "billing_period"}]}],
        plans=[
            {
                "code": "basic",
                "currency": "USD",
                "grace_seconds": 0,
                "charges": [charge],
                "features": [{"feature": "calling"}],
            }
        ],
        accounts=[{"code": "acme"}],
        subscriptions=[{"code": "s", "account": "acme", "plan": "basic", "start": start.isoformat()}],
    )
    with box.http("gateway") as client:
        key = client.post("/v1/api-keys", json={"name": "tester", "scopes": ["admin"]}).json()["key"]
    weir = ByKey(box, tmp_path, key)
    event = {"event_name": "call", "account_id": "acme", "properties": {"n": 8}}
    box.send([event | {"idempotency_key": "before"}])
    assert json.loads(weir("sandbox", "clock", "--json"))["clock_ahead_seconds"] == 0
    of_calling = "/v1/accounts/acme/entitlements/calling"

    def checked(used: str) -> Any:
        """The check's answer once it counts so much, and the reservations that hold something."""
        with box.http("rating") as client:
            answer = box.wait(lambda: (check := client.get(of_calling).json())["used"] == used and check)
            return answer, client.get(f"{of_calling}/reservations").json()["reservations"]

    def reserve(quantity: int) -> Any:
        with box.http("rating") as client:
            return client.post(f"{of_calling}/reservations", json={"quantity": quantity, "expires_in": 86_400})

    box.metered()
    checked("8")
    reserved = reserve(2).json()
    answer, open_now = checked("8")
    assert (answer["reserved"], answer["resets_at"][:10], len(open_now)) == ("2", str(following.date()), 1)
    to = (following + timedelta(days=2)).isoformat()
    advanced = json.loads(weir("sandbox", "advance", "--to", to, "--json"))
    assert advanced["now"] >= to[:19]
    assert "goes only forward" in weir("sandbox", "advance", "--to", start.isoformat(), code=2)
    box.send([event | {"idempotency_key": "after", "properties": {"n": 4}}])
    assert box.post([event | {"idempotency_key": "old", "timestamp": "2020-01-01T00:00:00Z"}]).status_code == 422
    box.metered()
    with box.http("rating") as client:
        current = client.get("/v1/accounts/acme/usage/current").json()
    (running,) = current["subscriptions"]
    assert (current["at"][:10], running["period_start"][:10]) == (to[:10], str(following.date()))
    assert (running["estimated_total"], running["charges"][0]["quantity"]) == ("1.00", "4")
    # Checks and reservations go by it: the period's limit is new, and what was reserved before has expired.
    answer, open_now = checked("4")
    assert (answer["reserved"], answer["remaining"], answer["as_of"]["at"][:10], open_now) == ("0", "6", to[:10], [])
    with box.http("rating") as client:
        late = client.post(f"{of_calling}/reservations/{reserved['reservation_id']}/finalise", json={"quantity": 1})
    assert late.json()["reason"] == "reservation_expired"
    second = reserve(6).json()
    assert (second["state"], second["reserved_at"][:10]) == ("open", to[:10])
    assert reserve(1).json()["reason"] == "limit_reached"
    ahead = timedelta(seconds=advanced["clock_ahead_seconds"])
    closed = run_close(box.settings, code, None, datetime.now(UTC), lambda *_: None, ahead=ahead)
    assert len(closed.invoices) == 1
    (invoice,) = box.invoices()
    assert (invoice["total"], invoice["period_end"][:10], invoice["as_of"][:10]) == (
        "2.00",
        str(following.date()),
        to[:10],
    )
    assert box.differences() == []
    live = ByKey(world, tmp_path, world.settings.admin_key.get_secret_value())
    assert "is live" in live("sandbox", "advance", "--days", "1", code=2, WEIR_NAMESPACE=world.namespace)
    with world.http("gateway") as client:
        body = {"namespace": {"code": world.namespace, "clock_ahead_seconds": 60}}
        assert client.post("/v1/catalog/apply", json=body).status_code == 422
