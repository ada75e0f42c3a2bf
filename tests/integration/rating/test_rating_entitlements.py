"""Entitlements and reservations over the real stack and real HTTP."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from threading import Lock
from typing import Any

import httpx
import pytest

from deploy.cli.connection import services_of
from ingest.client import Client, Refusal
from rating.api.entitlements.followed_book import FollowedBook
from rating.api.entitlements.reservation_log import ReservationLog
from rating.verify.difference import Findings
from rating.verify.fold_images import check_images
from rating.verify.scope import open_scope
from schemas.catalog.follower import read_catalog
from schemas.kafka.topics import RESERVATIONS
from schemas.ledgers.folds.fold_image import LEAST_BEHIND, image_path
from schemas.ledgers.folds.fold_row import Row
from schemas.ledgers.reservations.reservation_record import Reservation
from schemas.ledgers.reservations.valid_reservations import FOLLOWED_US
from schemas.settings import Settings
from schemas.values.instants import SECOND, micros
from tests.integration.rating.getting import getter
from tests.integration.rating.road import KEY, Road

pytestmark = pytest.mark.integration


def entitled(road: Road) -> Callable[..., Any]:
    """A plan with a limit of each kind, and an account that has used something today."""
    profiles = [
        {"code": code, "aggregation": aggregation, "property": "n", "unit": "token"}
        for code, aggregation in (("n", "sum"), ("top", "max"), ("users", "count_unique"), ("seats", "latest"))
    ]
    road.publish("meter", code="tokens", event_name="use", profiles=profiles)
    hard = [{"quantity": "100", "reset": "billing_period"}, {"quantity": "30", "rolling": "30 days", "hard": False}]
    road.publish("feature", code="model", profile="tokens.n", limits=hard)
    money = [{"amount": "5", "reset": "billing_period"}]
    for code in ("top", "users", "seats"):
        limits = [{"quantity": "50", "reset": "year"}]
        road.publish("feature", code=code, profile=f"tokens.{code}", limits=limits)
    road.publish("feature", code="spend", profile="tokens.n")
    road.publish("feature", code="support", value="by phone")
    road.publish("feature", code="other")
    road.publish("product", code="tokens", profile="tokens.n")
    price = {"model": "tiered", "tiers": [{"up_to": "20", "unit_amount": "0"}, {"up_to": None, "unit_amount": "0.1"}]}
    granted = [{"feature": code} for code in ("model", "top", "users", "seats", "support")]
    road.publish(
        "plan", code="basic", currency="USD", charges=[{"product": "tokens", "price": price}],
        features=[*granted, {"feature": "spend", "limits": money}],
    )  # fmt: skip
    road.publish("account", code="acme/ü", time_zone="Asia/Kathmandu")
    road.publish("account", code="nobody")
    road.publish("subscription", code="s", account="acme/ü", plan="basic", start="2013-01-01T00:00:00Z")
    at = datetime.now(UTC).isoformat()
    road.send([("use", "acme/ü", str(number), at, {"n": number}) for number in (5, 12, 40)])
    return lambda service, path, **query: service.get(
        f"/v1/accounts/acme%2F%C3%BC/entitlements{path}", params=query, headers={"Weir-Namespace": road.namespace}
    )


CHECK = "/v1/entitlements/check"
OF_ACME = "/v1/accounts/acme%2F%C3%BC/entitlements"
BAD = [
    ("GET", f"{OF_ACME}/model?quantity=-1", None, 422, ["query.quantity"]),
    ("GET", f"{OF_ACME}/model?quantity=1e400", None, 422, ["query.quantity"]),
    ("GET", f"{OF_ACME}/support?quantity=1", None, 422, ["query.quantity"]),  # not metered
    ("GET", f"{OF_ACME}/models", None, 404, []),
    ("GET", "/v1/accounts/who/entitlements/model", None, 404, []),
    ("POST", CHECK, '{"checks": []}', 422, ["body.checks"]),
    ("POST", CHECK, json.dumps({"checks": [{"account_id": "a", "feature": "f"}] * 101}), 422, ["body.checks"]),
    ("POST", CHECK, '{"checks": [{"account_id": "a", "feature": "f", "quantity": 1e400}]}', 422,
     ["body.checks.0.quantity"]),
    ("POST", CHECK, '{"checks": [{"account_id": "a", "feature": "support", "quantity": "1"}]}', 422,
     ["body.checks.0.quantity"]),
    ("POST", CHECK, "[" * 5000, 400, []),
    ("POST", f"{OF_ACME}/model/reservations", '{"quantity": "0"}', 422, ["body.quantity"]),
    ("POST", f"{OF_ACME}/model/reservations", '{"quantity": "1", "expires_in": 86401}', 422, ["body.expires_in"]),
    ("POST", f"{OF_ACME}/support/reservations", '{"quantity": "1"}', 422, ["path.feature"]),
    ("POST", f"{OF_ACME}/model/reservations/rsv_1/finalise", '{"quantity": "1"}', 404, []),
]  # fmt: skip
"""Method, path and body of bad requests, their status, and the place of what is wrong."""


def named_headers(road: Road) -> dict[str, str]:
    return {"Weir-Namespace": road.namespace, "Content-Type": "application/json"}


def test_entitlements_are_what_usage_and_the_invoice_of_this_moment_say(
    service: httpx.Client, road: Road, wait_until: Callable[..., Any]
) -> None:
    ask = entitled(road)
    get = getter(service, road)
    wait_until(lambda: ask(service, "/model").json()["used"] == "57")
    answer = ask(service, "/model").json()
    assert (answer["allowed"], answer["granted"], answer["remaining"], answer["unit"]) == (True, "100", "43", "token")
    assert (answer["limits"][1]["within"], answer["limits"][1]["overage"]) == (False, "27")  # soft
    assert answer["as_of"]["positions"]

    def compared() -> dict[str, str]:
        """What each feature says is used, which GET /v1/usage says of the same time, and the running invoice."""
        listed = ask(service, "").json()
        used: dict[str, str] = {}
        for item in listed["entitlements"]:
            for limit in item["limits"]:
                if limit["of"] == "quantity":
                    usage = get(
                        "/v1/usage", metric=item["metric"], account_id="acme/ü", from_=limit["from"], to=limit["to"]
                    )
                    assert limit["used"] == usage["total"]["quantity"], item
                else:
                    current = get("/v1/accounts/acme%2F%C3%BC/usage/current")
                    (running,) = current["subscriptions"]
                    assert current["as_of"]["positions"]
                    assert current["as_of"]["at"] == current["at"]
                    assert Decimal(limit["used"]) == Decimal(running["charges"][0]["amount"])
                used[item["feature"]] = item["used"] or item["value"]
        assert sorted(item["feature"] for item in listed["entitlements"]) == [
            "model", "seats", "spend", "support", "top", "users",
        ]  # fmt: skip
        return used

    assert compared() == {"model": "57", "seats": "5", "spend": "3.7", "top": "40", "users": "3"}
    assert ask(service, "/support").json()["value"] == "by phone"
    # What is used from now on is put to what is held, and what is voided is taken out of it.
    road.send([("use", "acme/ü", "7", datetime.now(UTC).isoformat(), {"n": 7})])
    road.void("40")
    wait_until(lambda: ask(service, "/model").json()["used"] == "24")
    wait_until(lambda: ask(service, "/seats").json()["used"] == "7")
    assert compared() == {"model": "24", "seats": "7", "spend": "0.4", "top": "12", "users": "3"}
    refused = ask(service, "/spend", quantity="47").json()  # 71 tokens cost 5.10
    assert (refused["allowed"], refused["reason"]) == (False, "limit_reached")
    assert ask(service, "/spend", quantity="46").json()["allowed"]
    road.close()  # as of a checkpoint, nothing else comes out
    assert compared() == {"model": "24", "seats": "7", "spend": "0.4", "top": "12", "users": "3"}
    for method, path, body, status, place in BAD:
        answer = service.request(method, path, content=body, headers=named_headers(road))
        told = answer.json()
        assert (answer.status_code, [error["path"] for error in told.get("errors", [])][:1]) == (status, place), told
    twice = {"checks": [{"account_id": "acme/ü", "feature": "model", "quantity": "1"}] * 100}
    (first, *others) = service.post(CHECK, json=twice, headers=named_headers(road)).json()["results"]
    assert others == [first] * 99


def test_nothing_is_allowed_while_prepaid_credit_is_at_its_floor_until_more_is_granted(
    service: httpx.Client, road: Road, wait_until: Callable[..., Any]
) -> None:
    """The balance is the top-ups' and the close's: what the running period would draw is off it at once."""
    road.publish("unit", code="token", name="Tokens")
    profiles = [{"code": "n", "aggregation": "sum", "property": "n"}]
    road.publish("meter", code="tokens", event_name="use", profiles=profiles)
    road.publish("feature", code="model", profile="tokens.n")
    road.publish("product", code="tokens", profile="tokens.n")
    charge = {"product": "tokens", "price": {"model": "per_unit", "unit_amount": "2"}}
    floor = {"currency": "token", "floor": "10", "block": True}
    road.publish(
        "plan", code="ai", currency="token", charges=[charge], features=[{"feature": "model", "credit_floor": floor}],
    )  # fmt: skip
    road.publish("account", code="acme")
    road.publish("subscription", code="s", account="acme", plan="ai", start="2013-01-01T00:00:00Z")
    road.publish("credit_grant", code="g", account="acme", currency="token", amount="100")
    named = {"Weir-Namespace": road.namespace}
    path = "/v1/accounts/acme/entitlements/model"

    def credit() -> tuple[bool, str | None, str | None]:
        answer = service.get(path, headers=named).json()
        return answer["allowed"], answer["reason"], answer["credit"]["balance"]

    assert wait_until(lambda: credit() == (True, None, "100"))
    # What is reserved counts at once, at the price, and what is asked for beside it.
    first = service.post(f"{path}/reservations", json={"quantity": "40"}, headers=named).json()
    told = service.get(path, params={"quantity": "6"}, headers=named).json()
    numbers = {name: told["credit"][name] for name in ("balance", "reserved", "cost", "remaining", "within")}
    assert numbers == {"balance": "100", "reserved": "80", "cost": "12", "remaining": "10", "within": False}
    assert (told["allowed"], told["reason"]) == (False, "floor_reached")
    assert told["credit"]["positions"]
    assert service.get(path, params={"quantity": "5"}, headers=named).json()["allowed"]
    refused = service.post(f"{path}/reservations", json={"quantity": "6"}, headers=named)
    assert (refused.status_code, refused.json()["reason"]) == (409, "floor_reached")
    released = service.post(f"{path}/reservations/{first['reservation_id']}/release", json={}, headers=named)
    assert released.json()["state"] == "released"
    road.send([("use", "acme", "1", datetime.now(UTC).isoformat(), {"n": 44})])
    assert wait_until(lambda: credit() == (True, None, "12"))
    road.send([("use", "acme", "2", datetime.now(UTC).isoformat(), {"n": 1})])
    assert wait_until(lambda: credit() == (False, "floor_reached", "10"))
    refused = service.post(f"{path}/reservations", json={"quantity": "1"}, headers=named)
    assert (refused.status_code, refused.json()["reason"]) == (409, "floor_reached")
    road.send([("use", "acme", "3", datetime.now(UTC).isoformat(), {"n": 10})])
    assert wait_until(lambda: credit() == (False, "floor_reached", "-10"))
    live = service.get("/v1/accounts/acme/balance", headers=named).json()
    assert live["balances"][0]["live"] == "0"
    road.publish("credit_grant", code="more", account="acme", currency="token", amount="21")
    assert wait_until(lambda: credit() == (True, None, "11"))
    assert service.post(f"{path}/reservations", json={"quantity": "1"}, headers=named).status_code == 409  # 9 are left
    assert service.post(f"{path}/reservations", json={"quantity": "0.5"}, headers=named).status_code == 201


def test_what_cannot_be_checked_says_so_and_stops_nothing_else(service: httpx.Client, road: Road) -> None:
    ask = entitled(road)
    other = ask(service, "/other").json()
    assert (other["allowed"], other["reason"], other["kind"]) == (False, "not_granted", None)
    assert ask(service, "/suport").status_code == 404
    assert "did you mean support?" in ask(service, "/suport").json()["detail"]
    for quantity in ("-1", "much"):
        assert ask(service, "/model", quantity=quantity).status_code == 422
    checks = [
        {"account_id": "acme/ü", "feature": "support"},
        {"account_id": "gone", "feature": "support"},
        {"account_id": "nobody", "feature": "support"},
        {"account_id": "acme/ü", "feature": "gone"},
    ]
    headers = {"Weir-Namespace": road.namespace}
    answer = service.post("/v1/entitlements/check", json={"checks": checks}, headers=headers).json()
    reasons = [item["reason"] for item in answer["results"]]
    assert reasons == [None, "unknown_account", "not_granted", "unknown_feature"]
    too_many = service.post("/v1/entitlements/check", json={"checks": checks * 26}, headers=headers)
    assert too_many.status_code == 422


def test_fifty_clients_of_two_services_reserve_no_more_than_there_is(
    service: httpx.Client, settings: Settings, road: Road, wait_until: Callable[..., Any]
) -> None:
    """Half of them ask the stack's own service. A third is gone without a word after its reservation."""
    ask = entitled(road)
    own = settings.model_copy(update={"namespace": road.namespace})
    with services_of(own).http("rating") as other:
        wait_until(lambda: ask(service, "/model").json()["used"] == "57")  # of 100
        wait_until(lambda: other.get("/v1/accounts/acme%2F%C3%BC/entitlements/model").json().get("used") == "57")
        urls = [(str(service.base_url), KEY), (str(other.base_url), settings.admin_key.get_secret_value())]
    knows = read_catalog(settings).next_offset
    used: list[int] = []
    lost: list[str] = []

    def work(number: int) -> str:
        url, key = urls[number % 2]
        with Client(url, key, road.namespace, rating_url=url) as client:
            try:
                reservation = client.reserve("acme/ü", "model", 4, expires_in=600)
            except Refusal as refused:
                return str(refused.problem["reason"])
            if number % 3 == 0:
                lost.append(reservation.reservation_id)
                return "lost"
            with reservation:
                quantity = 1 + number % 4
                event = ("use", "acme/ü", f"r{number}", datetime.now(UTC).isoformat(), {"n": quantity})
                road.send([event], knows)
                used.append(quantity)
                reservation.use(quantity)
            return reservation.state

    with ThreadPoolExecutor(50) as pool:
        ended = list(pool.map(work, range(50)))
    assert set(ended) <= {"finalised", "lost", "limit_reached"}
    assert "limit_reached" in ended
    most = 57 + sum(used) + 4 * len(lost)
    assert 100 - 4 - 3 * len(used) < most <= 100
    wait_until(lambda: ask(service, "/model").json()["used"] == str(57 + sum(used)))
    answer = ask(service, "/model", quantity="1").json()
    assert (answer["reserved"], answer["remaining"]) == (str(4 * len(lost)), str(100 - most))

    path = "/v1/accounts/acme%2F%C3%BC/entitlements/model/reservations"
    headers = {"Weir-Namespace": road.namespace}

    def ending(number: str, how: str, status: int, **body: Any) -> Any:
        response = service.post(f"{path}/{number}/{how}", json=body, headers=headers)
        assert response.status_code == status, response.text
        return response.json()

    listed = service.get(path, headers=headers).json()["reservations"]
    assert sorted(each["reservation_id"] for each in listed) == sorted(lost)
    for number in lost:
        assert ending(number, "release", 200)["state"] == "released"
    assert ask(service, "/model").json()["reserved"] == "0"
    new = {"quantity": "1", "idempotency_key": "mine"}
    [first, again] = [service.post(path, json=new, headers=headers) for _ in range(2)]
    assert (first.status_code, first.json()) == (201, again.json())
    number = first.json()["reservation_id"]
    assert ending(number, "finalise", 200, quantity="0.5", idempotency_key="a")["used"] == "0.5"
    assert ending(number, "finalise", 200, quantity="0.5", idempotency_key="a")["state"] == "finalised"
    assert ending(number, "finalise", 409, quantity="0.5")["reason"] == "reservation_finalised"
    assert ending(number, "release", 409)["reason"] == "reservation_finalised"
    assert ending("rsv_0", "release", 404)["reason"] == "unknown_reservation"
    for code, status, quantity in (("support", 422, 1), ("top", 422, 1), ("other", 409, 1), ("model", 422, 0)):
        elsewhere = path.replace("model", code)
        assert service.post(elsewhere, json={"quantity": quantity}, headers=headers).status_code == status


def test_a_start_goes_on_from_the_file_of_the_process_before_it(settings: Settings, road: Road, tmp_path: Path) -> None:
    """Written once it is far behind, read by the next process, the same as the log gives; `weir verify` compares."""
    settings = settings.model_copy(update={"snapshot_dir": str(tmp_path)})
    since_us = micros(datetime.now(UTC)) - FOLLOWED_US
    generations = read_catalog(settings).generations.state
    records = [
        Reservation(road.namespace, f"a{number % 50}", "f", f"k{number}", Decimal(1), since_us + FOLLOWED_US
            + 3600 * SECOND, micros(datetime.now(UTC)), "", 2**40, f"c{number}")
        for number in range(LEAST_BEHIND + 10)
    ]  # fmt: skip

    def followed(write: Sequence[Reservation]) -> tuple[FollowedBook, list[Row]]:
        book, log = FollowedBook({}, Lock()), ReservationLog(settings, lambda: generations)
        try:
            log.follow(book, since_us)
            for first in range(0, len(write), 1000):
                log.write(write[first : first + 1000])
        finally:
            log.close()
        return book, sorted(book.rows())

    _, written = followed(records)
    path = Path(image_path(str(tmp_path), RESERVATIONS))
    book, read_from_log = followed([])
    assert len(book) >= len(records)
    assert read_from_log == written
    assert path.exists(), "by whoever saw it so far ahead"
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM fold WHERE part = 'reservation'").fetchone()[0] >= LEAST_BEHIND
    assert followed([])[1] == written
    assert followed(records[:1])[1][0] != written[0], "one more record, which is void"
    scope, findings = open_scope(settings, None), Findings()
    with closing(scope):
        check_images(scope, findings, lambda *_: None)
        assert findings.differences() == []
        with sqlite3.connect(path) as database:
            database.execute("DELETE FROM fold WHERE key = (SELECT min(key) FROM fold WHERE part = 'reservation')")
        check_images(scope, findings, lambda *_: None)
    [difference] = findings.differences()
    assert (difference.where[:11], difference.found) == ("reservation", "no entry")
