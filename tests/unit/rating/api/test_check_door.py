"""What the door answers is what the route would: answer, status and headers, whoever asks for whatever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from rating.api.context import Rating
from rating.api.entitlements import usage_keeper
from rating.api.usage import check_door, entitlements
from rating.app import build_app
from rating.entitlements.held_entries import UsageKey
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.held_values import Held
from rating.entitlements.measuring import LogState
from rating.entitlements.questions import RollingNeed
from rating.usage import Usage, UsageGroup
from schemas.catalog.models import KINDS
from schemas.catalog.state import Catalog, record_of
from schemas.http.api_keys import key_hash, key_text
from schemas.http.second_looks import SecondLooks
from schemas.settings import load_settings

ADMIN = "k" * 40
KEYS = {scope: key_text("default", scope, bytes(32)) for scope in ("read", "ingest")}
NOW = datetime(2026, 3, 14, 15, 9, 26, 535_897, UTC)
USED = Usage(Decimal(60), 3)
ENTRIES: list[tuple[str, dict[str, Any]]] = [
    ("namespace", {"code": "default"}),
    ("namespace", {"code": "other"}),
    ("meter", {"code": "plays", "event_name": "e", "profiles": [{"code": "n", "aggregation": "count"}]}),
    *(
        ("feature", {"code": code, "profile": "plays.n", "limits": limits})
        for code, limits in (
            ("plays", [{"quantity": "100", "reset": "month"}, {"quantity": "50", "rolling": "5 hours", "hard": False}]),
            ("balance", [{"quantity": "60", "reset": "minute"}]),
        )
    ),
    ("feature", {"code": "unlimited", "profile": "plays.n"}),
    ("feature", {"code": "sso"}),
    ("plan", {"code": "basic", "currency": "USD", "charges": [],
              "features": [{"feature": "plays"}, {"feature": "balance"}, {"feature": "unlimited"}]}),
    *(("account", {"code": code}) for code in ("a", "b", "a/entitlements", "a/entitlements/plays", "a b")),
    *(
        ("subscription", {"code": f"s{number}", "account": code, "plan": "basic", "start": "2026-01-01T00:00:00Z"})
        for number, code in enumerate(("a", "a/entitlements", "a/entitlements/plays", "a b"))
    ),
    *(
        ("api_key", {"code": scope, "name": "", "hash": key_hash(text), "scopes": [scope]})
        for scope, text in KEYS.items()
    ),
]  # fmt: skip


def whole(_client: Any, _name: str, keys: Iterable[UsageKey], as_of: MeasuredAsOf) -> dict[UsageKey, Held]:
    """The same number whatever is asked."""
    return {
        key: Held((), {as_of.at_us // key[1].step_us * key[1].step_us: USED}, 0, as_of.at_us)
        if isinstance(key[1], RollingNeed)
        else Held((UsageGroup(USED),), asked_us=as_of.at_us)
        for key in keys
    }


class Asker:
    """In place of ClickHouse."""

    async def ask(self, question: Callable[[Any], Any]) -> Any:
        return question(None)

    def stop(self) -> None:
        pass


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("WEIR_ADMIN_KEY", ADMIN)
    monkeypatch.setattr(usage_keeper, "whole", whole)
    monkeypatch.setattr(usage_keeper, "log_state", lambda _client: LogState({(1, 0): 7}, 0))
    monkeypatch.setattr(Rating, "now", staticmethod(lambda: NOW))
    app = build_app(load_settings())
    rating: Any = app.state.rating
    keeper = rating.usage_keeper
    keeper._pool = keeper._refreshing = keeper._remeasuring = Asker()
    rating.reservations.held = lambda *_: Decimal(5)
    rating.keys._fresh = lambda: True
    rating.second_looks = SecondLooks(lambda _moment: True)  # the catalog is as recent as each request
    catalog: Catalog = rating._catalog.catalog
    for offset, (kind, body) in enumerate(ENTRIES):
        model = KINDS[kind].model_validate(body)
        catalog.apply(record_of("default", model, kind=kind, version=1, author="t", claim_id=str(offset)), offset, 1)
    return app


def answers(app: Any, requests: Iterable[tuple[Any, ...]]) -> list[tuple[int, dict[str, str], str]]:
    """``requests``: path, headers and, of a POST, the body."""

    async def all_of_them() -> list[tuple[int, dict[str, str], str]]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            got = [
                await client.request("POST" if body else "GET", url, headers=headers, content=b"".join(body))
                for url, headers, *body in requests
            ]
        app.state.rating.usage_keeper.stop()
        return [(each.status_code, dict(each.headers), each.text) for each in got]

    return asyncio.run(all_of_them())


ADMINS = {"Authorization": f"Bearer {ADMIN}"}
PATHS = [
    *(f"/v1/accounts/{account}/entitlements/{feature}{query}"
      for account in ("a", "b", "a%20b", "a/entitlements", "a/entitlements/plays", "nobody")
      for feature in ("plays", "balance", "unlimited", "sso", "play")
      for query in ("", "?quantity=40", "?quantity=40.5")),
    *(f"/v1/accounts/a/entitlements/plays{query}"
      for query in ("?quantity=", "?quantity=-1", "?quantity=x", "?quantity=1&quantity=2", "?quantty=1", "?&", "?x")),
    *(f"/v1/accounts/{account}/entitlements{query}"
      for account in ("a", "b", "a%20b", "a/entitlements", "a/entitlements/plays", "nobody", "")
      for query in ("", "?limit=1", "?limit=0", "?cursor=plays", "?x=1")),
    "/v1/accounts/a/entitlements/", "/v1/accounts/entitlements/plays",
]  # fmt: skip
JSON = {"Content-Type": "application/json"}
CHECKED = [
    b'{"checks": [{"account_id": "a", "feature": "plays", "quantity": "40.5"}, {"account_id": "a", "feature": "sso"}]}',
    b'{"checks": [{"account_id": "nobody", "feature": "plays"}, {"account_id": "a", "feature": "plays", "quantity": 7},'
    b' {"account_id": "a b", "feature": "nothing"}, {"account_id": "a", "feature": "plays", "quantity": null}]}',
    *(
        b'{"checks": [%s]}' % b", ".join([b'{"account_id": "a", "feature": "unlimited"}'] * number)
        for number in (0, 25, 100, 101)
    ),
    b'{"checks": [{"account_id": "a", "feature": "plays", "quantity": 1.5}]}', b'{"checks": []', b"[]", b"{}",
    b'{"checks": [{"account_id": "a", "feature": "plays", "quantity": "-1"}]}', b"\xff", b'{"checks": NaN}',
    b'{"checks": [{"account_id": "a", "feature": "plays", "more": 1}]}', b'{"checks": [{"account_id": "a\\u0000"}]}',
    b'{"checks": [{"account_id": "\\ud800", "feature": "plays"}]}', b" " * 20_000 + b"{}",
    b'{"checks": [{"account_id": "a", "feature": "plays", "quantity": 123456789012345678901234567890}]}',
    b'{"checks": [{"account_id": "a", "feature": "sso", "quantity": 1}]}', b"[" * 5_000,
]  # fmt: skip
REQUESTS: list[tuple[Any, ...]] = [
    *((path, ADMINS) for path in PATHS),
    *(
        ("/v1/accounts/a/entitlements/plays", headers)
        for headers in (
            {}, {"Authorization": "Bearer x"}, {"Authorization": f"Bearer {KEYS['read']}"},
            {"Authorization": f"bearer {KEYS['ingest']}"}, ADMINS | {"Weir-Namespace": "other"},
            ADMINS | {"Weir-Namespace": "none"}, ADMINS | {"Weir-Namespace": ""},
            {"Authorization": f"Bearer {KEYS['read']}", "Weir-Namespace": "other"},
        )
    ),
    *((check_door.CHECKS, ADMINS | JSON, body) for body in CHECKED),
    *(
        (check_door.CHECKS + query, headers, CHECKED[0])
        for query, headers in (
            ("", ADMINS), ("", ADMINS | {"Content-Type": "text/plain"}), ("?x=1", ADMINS | JSON), ("", JSON),
            ("", JSON | {"Authorization": f"Bearer {KEYS['read']}"}), ("", ADMINS | JSON | {"Weir-Namespace": "none"}),
            ("", JSON | {"Authorization": f"Bearer {KEYS['ingest']}"}),
        )
    ),
]  # fmt: skip


async def nothing() -> None:
    """Nothing is plain."""


def test_the_door_answers_as_the_route_does(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    answers(app, REQUESTS)  # what accounts are granted is worked out by the route
    at_the_door = answers(app, REQUESTS)
    monkeypatch.setattr(check_door.CheckDoor, "_plain", lambda *_: nothing())
    for request, answer, of_route in zip(REQUESTS, at_the_door, answers(app, REQUESTS), strict=True):
        assert answer == of_route, request
    assert {status for status, _, _ in at_the_door} == {200, 307, 400, 401, 403, 404, 422}


def test_plain_checks_do_not_reach_the_route_and_are_counted_as_its(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain: list[Any] = [
        (f"/v1/accounts/a/entitlements/{feature}?quantity=1", ADMINS) for feature in ("plays", "unlimited")
    ]
    plain.append(("/v1/accounts/a/entitlements/sso", ADMINS))
    plain += [("/v1/accounts/a/entitlements", ADMINS), (check_door.CHECKS, ADMINS | JSON, CHECKED[0])]
    answers(app, plain)
    for name in ("check_answer", "checks_answer", "account_json"):
        monkeypatch.setattr(entitlements, name, None)
    *at_the_door, (_, _, metrics) = answers(app, [*plain, ("/metrics", {})])
    assert [status for status, _, _ in at_the_door] == [200] * 5
    for route, number in ((check_door.ROUTE, 6), (check_door.LIST, 2), (check_door.CHECKS, 2)):
        assert f'weir_rating_requests_total{{route="{route}",status="200"}} {number}.0' in metrics


def test_others_come_to_run_between_the_parts_of_a_hundred_checks(app: Any) -> None:
    request = (check_door.CHECKS, ADMINS | JSON, CHECKED[4])
    assert b'"unlimited"' in CHECKED[4]
    answers(app, [request])
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def beside_others() -> int:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            await client.get("/healthz")
            other = asyncio.create_task(others())
            path, headers, body = request
            before = turns
            response = await client.post(path, headers=headers, content=body)
            other.cancel()
        app.state.rating.usage_keeper.stop()
        assert len(response.json()["results"]) == 100
        return turns - before

    assert asyncio.run(beside_others()) >= 18, "each ten are decided, and written, apart from the next"
