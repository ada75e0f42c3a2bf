"""The command line by HTTP: two URLs and a key are enough, and every command says in its help what it needs."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from typer.models import CommandInfo
from typer.testing import CliRunner

from deploy.cli import connection as connections
from deploy.cli.billing.explain import _events
from deploy.cli.connection import Services, answered, connection, services
from deploy.cli.errors import Failure
from deploy.cli.main import app
from deploy.cli.unknown_names import hint_accounts
from schemas.http.api_keys import key_text

KEY = key_text("air", "key_1", b"s" * 32)
REMOTE = {"WEIR_RATING_URL": "https://rating.example/", "WEIR_GATEWAY_URL": "https://gateway.example", "WEIR_KEY": KEY}


def by_handler(monkeypatch: pytest.MonkeyPatch, handler: Any) -> Services:
    """Services whose requests ``handler`` answers."""

    def http(self: Services, service: str, *, timeout: float = 1.0) -> httpx.Client:
        transport = httpx.MockTransport(handler)
        return httpx.Client(base_url=f"http://{service}", headers=self.headers(), transport=transport)

    monkeypatch.setattr(Services, "http", http)
    return Services("http://gateway", "http://rating", KEY, "air")


def test_two_urls_and_a_key_are_all_and_the_namespace_is_the_keys_own(tmp_path: Path) -> None:
    known = services(folder=tmp_path, environ=REMOTE)
    assert known == Services("https://gateway.example", "https://rating.example", KEY, "air")
    assert known.headers() == {"authorization": f"Bearer {KEY}", "weir-namespace": "air"}
    assert services("sea", folder=tmp_path, environ=REMOTE).namespace == "sea"
    assert services(folder=tmp_path, environ=REMOTE | {"WEIR_NAMESPACE": "land"}).namespace == "land"
    stores = {"WEIR_KAFKA_BOOTSTRAP": "k:9092", "WEIR_KEY": KEY}
    assert connection(folder=tmp_path, environ=stores).namespace == "air"  # so that both ways mean one
    admin = {"WEIR_RATING_URL": "http://r", "WEIR_ADMIN_KEY": "root"}
    assert services(folder=tmp_path, environ=admin) == Services("", "http://r", "root", "default")


def test_what_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "admin-key").write_text("weir_admin_secret")  # of the local stack: never for a URL that is named
    with pytest.raises(Failure, match="WEIR_KEY is not set"):
        services(folder=tmp_path, environ={"WEIR_RATING_URL": "http://elsewhere"})
    alone = services(folder=tmp_path, environ={"WEIR_RATING_URL": "http://r", "WEIR_KEY": "k"})
    with pytest.raises(Failure, match="WEIR_GATEWAY_URL is not set"):
        alone.url("gateway")
    with pytest.raises(Failure, match="weir up"):
        services(folder=tmp_path, environ={})


def test_a_command_on_the_stores_does_not_take_the_local_stack_for_the_one_that_urls_name(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="WEIR_RATING_URL names a service alone: set WEIR_KAFKA_BOOTSTRAP"):
        connection(folder=tmp_path, environ={"WEIR_RATING_URL": "http://r", "WEIR_KEY": "k"})


def commands(group: typer.Typer, prefix: str = "weir") -> Iterator[tuple[str, CommandInfo]]:
    for command in group.registered_commands:
        assert command.callback is not None
        yield f"{prefix} {command.name or command.callback.__name__}", command
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        yield from commands(inner.typer_instance, f"{prefix} {inner.name}")


def test_the_help_of_every_command_says_what_it_needs() -> None:
    needs = (connections.STORES, "By HTTP: a key with the scope", "Of the local stack", "Needs no stack")
    silent = [name for name, command in commands(app) if not (command.epilog or "").startswith(needs)]
    assert silent == []
    stores = {name for name, command in commands(app) if (command.epilog or "").startswith(connections.STORES)}
    assert stores == {
        "weir init",
        "weir close",
        "weir backfill run",
        "weir rejected replay",
        "weir generation show",
        "weir generation change",
        "weir generation recover",
        "weir log show",
        "weir log give-up",
        "weir replay",
        "weir copies rebuild",
        "weir verify",
    }
    for name, command in commands(app):
        source = inspect.getsource(command.callback) if command.callback is not None else ""
        asks_stores = re.search(r"\b_?connect(ion|ed)\(", source) is not None
        assert not asks_stores or name in stores or (command.epilog or "").startswith("Of the local stack"), name
    assert "a key is not enough" in " ".join(CliRunner().invoke(app, ["verify", "--help"]).output.split())


def response(status: int, body: dict[str, Any]) -> httpx.Response:
    return httpx.Response(status, json=body, request=httpx.Request("GET", "http://rating/v1/usage"))


def test_a_refusal_names_the_option_and_an_undeclared_namespace_its_remedy() -> None:
    wrong = {"title": "T", "detail": "from: no date", "errors": [{"path": "query.from", "detail": "no date"}]}
    with pytest.raises(Failure, match=r"^--period: no date$") as failed:
        answered(response(422, wrong), {"from": "--period"})
    assert failed.value.code == 2
    missing = {"title": "T", "detail": "there is no namespace 'x'; known: air"}
    with pytest.raises(Failure, match=r"known: air\. Declare it with `weir apply`"):
        answered(response(404, missing))
    with pytest.raises(Failure, match="GET /v1/usage answered 403: this needs a key"):
        answered(response(403, {"title": "T", "detail": "this needs a key with the scope read"}))
    with pytest.raises(Failure, match="answered 503: busy") as failed:
        answered(response(503, {"title": "T", "detail": "busy"}))
    assert failed.value.code == 1


def test_another_server_at_the_url_is_told_from_a_service() -> None:
    page = httpx.Response(200, text="<html>", request=httpx.Request("GET", "http://proxy.example/v1/ledger"))
    with pytest.raises(Failure, match=r"without JSON: proxy.example is no service of Weir's; see .*WEIR_RATING_URL"):
        answered(page)


def test_an_account_that_nobody_declared_is_hinted_at(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def catalog(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/accounts":
            return httpx.Response(200, json={"items": [{"code": "acme"}, {"code": "bolt"}], "next_cursor": None})
        return httpx.Response(200 if request.url.path in ("/v1/accounts/acme", "/v1/accounts/old") else 404, json={})

    known = by_handler(monkeypatch, catalog)
    hint_accounts(known, ["acme", "old", "acmee", "zzz"])
    assert capsys.readouterr().err == (
        "account acmee is not known in air; did you mean acme?\naccount zzz is not known in air\n"
    )

    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody listens")

    hint_accounts(by_handler(monkeypatch, away), ["zzz"])
    assert capsys.readouterr().err == ""


def test_the_events_behind_a_line_keep_their_properties_to_the_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {
        None: b'{"events":[{"properties":{"n":1.50,"big":12345678901234567890.1}}],"next_cursor":"c"}',
        "c": b'{"events":[{"properties":{"n":2}}],"next_cursor":null}',
    }
    known = by_handler(
        monkeypatch, lambda request: httpx.Response(200, content=pages[request.url.params.get("cursor")])
    )
    with known.http("rating") as client:
        assert [bytes(event) for event in _events(client, "/events", everything=False)] == [
            b'{"properties":{"n":1.50,"big":12345678901234567890.1}}',
            b'{"properties":{"n":2}}',
        ]


def test_invoices_of_other_namespaces_are_told_of_as_far_as_the_key_may_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/v1/namespaces":
            return httpx.Response(200, json={"items": [{"code": "air"}, {"code": "sea"}], "next_cursor": None})
        sea = request.headers["weir-namespace"] == "sea"
        return httpx.Response(200, json={"invoices": [{}] if sea else [], "next_cursor": None})

    by_handler(monkeypatch, answer)
    for name, value in REMOTE.items():
        monkeypatch.setenv(name, value)
    shown = CliRunner().invoke(app, ["invoices"])
    assert shown.output == ("no invoices in air; `weir close` makes those that are due; there are some in sea (-n)\n")
    assert json.loads(CliRunner().invoke(app, ["invoices", "--json"]).output) == []


def test_lists_of_an_account_are_read_page_after_page(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.query.decode())
        first = "cursor" not in request.url.params
        listed = [{"number": number} for number in ((1, 2) if first else (3,))]
        ends = {"next_cursor": "c" if first else None, "as_of": {"at": "first" if first else "second"}}
        return httpx.Response(200, json={"entitlements": listed, "entries": listed, "reservations": listed} | ends)

    by_handler(monkeypatch, answer)
    for name, value in REMOTE.items():
        monkeypatch.setenv(name, value)
    features = json.loads(CliRunner().invoke(app, ["entitlements", "acme", "--json"]).output)
    assert [item["number"] for item in features["entitlements"]] == [1, 2, 3]
    assert (features["next_cursor"], features["as_of"]) == (None, {"at": "first"})
    entries = json.loads(CliRunner().invoke(app, ["balance", "acme", "--entries", "--json"]).output)
    assert [item["number"] for item in entries["entries"]] == [3, 2, 1]
    assert asked == ["", "cursor=c", "limit=500", "limit=500&cursor=c"]
    held = json.loads(CliRunner().invoke(app, ["entitlements", "acme", "tokens", "--reservations", "--json"]).output)
    assert [item["number"] for item in held["reservations"]] == [1, 2, 3]
    refused = CliRunner().invoke(app, ["entitlements", "acme", "--reservations"])
    assert "name the feature" in str(refused.exception)
