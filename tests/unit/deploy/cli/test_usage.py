"""`weir usage` and GET /v1/usage are one reader: the same question, and for the same wrong input the same error."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from deploy.cli.connection import Services
from deploy.cli.events.usage import parameters
from deploy.cli.main import app
from rating.api import context
from rating.api.usage import totals
from rating.usage.usage_parameters import UsageParameterError, UsageParameters, range_of_period, read_parameters
from schemas.catalog.state import NamespaceView
from schemas.http.problems import Problem
from schemas.values.instants import rfc3339
from tests.unit.rating.builders import Shelf

NOW = datetime(2026, 3, 1, 2, tzinfo=UTC)  # still February in New York


def view() -> NamespaceView:
    shelf = Shelf()
    profile = {"code": "in", "aggregation": "sum", "property": "n", "dimensions": ["model", "hour"]}
    shelf.add("meter", {"code": "tok", "unit": "t", "profiles": [profile]})
    shelf.add("account", {"code": "acme", "time_zone": "America/New_York"})
    return shelf.view()


class InProcess(httpx.BaseTransport):
    """Requests to an ASGI application, each on a loop of its own."""

    def __init__(self, service: FastAPI) -> None:
        self._service = service

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self._service)) as client:
                return await client.get(request.url)

        answer = asyncio.run(ask())
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


@pytest.fixture
def rating(monkeypatch: pytest.MonkeyPatch) -> httpx.Client:
    """The route over that catalog. Its totals are the question itself: what would be asked of ClickHouse."""
    service = FastAPI()
    service.include_router(totals.router)
    service.exception_handler(Problem)(lambda request, error: error.response())
    service.dependency_overrides[context.authorized] = lambda: SimpleNamespace(now_of=lambda view: NOW)
    service.dependency_overrides[context._view] = view

    async def answer(rating: Any, question: Any, checkpoint: int | None) -> dict[str, Any]:
        return totals._json(question, [], totals.Usage(None, 0), checkpoint)

    monkeypatch.setattr(totals, "answer_usage", answer)

    def client() -> httpx.Client:
        return httpx.Client(base_url="http://rating", transport=InProcess(service))

    monkeypatch.setattr(Services, "http", lambda self, service, timeout=1.0: client())
    monkeypatch.setenv("WEIR_RATING_URL", "http://rating")
    monkeypatch.setenv("WEIR_KEY", "k")
    return client()


@pytest.mark.parametrize(
    ("options", "query", "place"),
    [
        (["tik"], {"metric": "tik"}, ""),
        (["tok", "-p", "2013-13"], {"metric": "tok", "from": "2013-13"}, "--period: "),
        (["tok", "-p", "2013-02..2013-01"], {"metric": "tok", "from": "2013-02", "to": "2013-01"}, "--period: "),
        (["tok", "-p", "2013-02.."], {"metric": "tok", "from": "2013-02", "to": ""}, "--period: "),
        (["tok", "-p", "2013-02-01T00:00:00Z"], {"metric": "tok", "from": "2013-02-01T00:00:00Z"}, "--period: "),
        (["tok", "--tz", "Mars"], {"metric": "tok", "time_zone": "Mars"}, "--tz: "),
        (
            ["tok", "-p", "2013..2016", "--by", "hour"],
            {"metric": "tok", "from": "2013", "to": "2016", "group_by": "hour"},
            "--by, --dimension: ",
        ),
        (["tok", "-d", "modle"], {"metric": "tok", "group_by": "modle"}, "--by, --dimension: "),
        (
            ["tok", "-d", "model", "-d", "model"],
            {"metric": "tok", "group_by": ["model", "model"]},
            "--by, --dimension: ",
        ),
    ],
)
def test_the_same_wrong_input_is_the_same_error(
    rating: httpx.Client, options: list[str], query: dict[str, Any], place: str
) -> None:
    refused = rating.get("/v1/usage", params=query)
    assert refused.is_client_error
    body = refused.json()
    detail = body["errors"][0]["detail"] if "errors" in body else body["detail"]
    shown = CliRunner().invoke(app, ["usage", *options])
    assert (str(shown.exception), getattr(shown.exception, "code", None)) == (place + detail, 2)


def test_more_accounts_than_one_question_takes_are_refused(rating: httpx.Client) -> None:
    accounts = [option for number in range(totals.MAX_ACCOUNTS + 1) for option in ("-a", f"a{number}")]
    shown = CliRunner().invoke(app, ["usage", "tok", *accounts])
    assert str(shown.exception).startswith("--account: stands 1001 times; ask for at most 1000 at once")


def test_the_same_question_is_the_same_answer(rating: httpx.Client) -> None:
    shown = CliRunner().invoke(app, ["usage", "tok", "-a", "acme", "--json"])
    head = {"metric": "tok.in", "aggregation": "sum", "time_zone": "America/New_York"}
    answer = rating.get("/v1/usage", params={"metric": "tok", "account_id": "acme", "group_by": "account"}).json()
    assert (answer["from"], answer["to"]) == ("2026-02-01T05:00:00Z", "2026-03-01T05:00:00Z")
    assert json.loads(shown.output) == head | {"start": answer["from"], "end": answer["to"], "rows": []}


def test_options_are_parameters() -> None:
    question = parameters("tok", ["a", "b"], "2013-01..2013-03", "UTC", "day", ["model", "hour"], total=False)
    assert question.to_query() == {
        "metric": "tok",
        "account_id": ["a", "b"],
        "from": "2013-01",
        "to": "2013-03",
        "time_zone": "UTC",
        "group_by": ["account", "day", "dimension:model", "dimension:hour"],
    }
    assert parameters("tok", (), "", "", "", (), total=True).to_query() == {"metric": "tok"}
    assert [range_of_period(text) for text in ("", "2013-Q1", "A .. B", "A..")] == [
        (None, None),
        ("2013-Q1", None),
        ("A", "B"),
        ("A", ""),
    ]


def test_dates_are_those_of_the_only_account_and_without_any_it_is_its_present_month() -> None:
    def span(**changes: Any) -> tuple[str, str, str]:
        question = read_parameters(view(), UsageParameters("tok", **changes), NOW)
        return rfc3339(question.query.start_us), rfc3339(question.query.end_us), question.zone.key

    assert span(account_ids=("acme", "acme")) == ("2026-02-01T05:00:00Z", "2026-03-01T05:00:00Z", "America/New_York")
    assert span(account_ids=("acme", "other")) == ("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z", "UTC")
    with pytest.raises(UsageParameterError, match="needed beside to") as caught:
        span(end="2026-04")
    assert caught.value.parameter == "from"
    with pytest.raises(LookupError):
        read_parameters(view(), UsageParameters("nothing"), NOW)
