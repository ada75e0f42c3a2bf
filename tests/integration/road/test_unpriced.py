"""One mistyped model: nothing else of the customer waits for it, everybody says so with what helps, and each of that
helps. By the command line, the API and the console, as people meet it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from deploy.cli.main import app
from deploy.local.stack import Stack
from tests.integration.world import World

pytestmark = pytest.mark.integration


def plan(*cells: tuple[str, str], **more: Any) -> dict[str, Any]:
    matrix = {
        "model": "matrix", "dimensions": ["model"], "included_units": "1",
        "cells": [{"values": [value], "unit_amount": amount} for value, amount in cells],
    }  # fmt: skip
    charges = [{"product": "fee", "price": {"model": "flat", "amount": "10"}}, {"product": "tokens", "price": matrix}]
    return {"code": "daily", "currency": "USD", "interval": "day", "grace_seconds": 0, "charges": charges} | more


CATALOG: dict[str, Any] = {
    "meters": [{"code": "tok", "event_name": "call", "window": "hour",
                "profiles": [{"code": "in", "aggregation": "sum", "property": "n", "dimensions": ["model"]}]}],
    "products": [{"code": "tokens", "profile": "tok.in"}, {"code": "fee", "kind": "flat"}],
    "plans": [plan(("a", "2"))],
    "accounts": [{"code": "acme"}, {"code": "beta"}],
}  # fmt: skip
START = "2026-06-01T00:00:00Z"


def subscribed(account: str, **more: Any) -> dict[str, Any]:
    return {
        "code": f"s-{account}",
        "account": account,
        "plan": "daily",
        "start": START,
        "end": "2026-06-06T00:00:00Z",
    } | more


def call(account: str, key: str, day: int, model: str, number: int) -> dict[str, Any]:
    return {
        "event_name": "call",
        "account_id": account,
        "idempotency_key": f"{account}-{key}",
        "timestamp": f"2026-06-0{day}T12:00:00Z",
        "properties": {"model": model, "n": number},
        "source": "the app",
    }


def test_a_value_without_a_cell_stops_nothing_and_each_remedy_that_is_named_works(
    stack: Stack, world: World, tmp_path: Path
) -> None:
    def weir(*arguments: str, code: int = 0) -> str:
        env = {"WEIR_DATA_DIR": str(stack.data_dir), "WEIR_NAMESPACE": world.namespace, "COLUMNS": "400"}
        done = CliRunner().invoke(app, list(arguments), env=env)
        assert done.exit_code == code, (arguments, done.output, done.exception)
        return done.output

    def apply(**entries: Any) -> None:
        path = tmp_path / "catalog.yaml"
        path.write_text(yaml.safe_dump(entries))
        weir("apply", "-f", str(path))

    def billed(as_of: str) -> dict[str, list[str]]:
        found = world.close(f"2026-06-0{as_of}T00:00:00+00:00")
        assert found.problems == ()
        return {
            one.account_id: [f"{line.kind} {line.charge} {line.amount}" for line in one.lines] for one in found.invoices
        }

    world.apply(**CATALOG, subscriptions=[subscribed("acme"), subscribed("beta")])
    world.send([call("acme", "1", 1, "a", 4), call("beta", "1", 1, "a", 4), call("beta", "typo", 1, "A", 5)])
    world.metered()
    told = weir("close", "--as-of", "2026-06-02")
    assert "check unpriced_usage: 1 quantities" in told
    assert "account beta, charge tokens: model=A has no price in plan daily version 1" in told
    assert "the first beta-typo of 2026-06-01T12:00:00Z" in told
    assert "2 invoices published" in told
    assert "1 billed quantity has no price, `weir late` names them" in told

    # One that comes late for a billed period, and one in the running period: the rest goes on.
    world.send([call("acme", "late", 1, "A", 3), call("acme", "now", 3, "V", 7), call("acme", "2", 3, "a", 2)])
    world.metered()
    assert billed("3")["acme"] == ["flat fee 10.00", "usage tokens 0.00", "adjustment tokens 0.00"]
    with world.http("rating") as client:
        answer = client.get("/v1/accounts/acme/usage/current", params={"at": "2026-06-03T13:00:00Z"})
        assert answer.status_code == 200
        (running,) = answer.json()["subscriptions"]
        (fee, tokens) = running["charges"]
        assert (running["estimated_total"], fee["amount"], tokens["amount"], tokens["quantity"]) == (
            "12.00",
            "10.00",
            "2.00",
            "9",
        )
        (lacking,) = tokens["unpriced"]
        assert (lacking["dimensions"], lacking["quantity"], lacking["first_event"]["idempotency_key"]) == (
            {"model": "V"},
            "7",
            "acme-now",
        )
        assert "`weir void acme-now --source 'the app' --reason …`" in lacking["remedy"]
        assert "plan_version 2 and `change_at` 2026-06-03T00:00:00Z or earlier" in lacking["remedy"]
    late = weir("late", code=1)
    assert "no late usage" not in late
    assert "account acme, charge tokens: model=A has no price" in late
    assert "account beta, charge tokens: model=A has no price" in late
    examined = weir("doctor", "acme", "tok.in", "--period", "2026-06")
    assert "no price: account acme, charge tokens: model=A" in examined
    assert "no price: account acme, charge tokens: model=V" in examined

    # Remedy 1: take it back. Remedy 2: a version, with `change_at` where the period is not billed yet.
    (named,) = [
        one["remedy"] for one in json.loads(weir("late", "--json", code=1))["unpriced"] if one["account_id"] == "beta"
    ]
    weir(*shlex.split(named.split("`")[-2].replace("…", "'a typo'"))[1:])
    apply(plans=[plan(("a", "9"), ("A", "2"), ("V", "3"))])
    apply(subscriptions=[subscribed("acme", plan_version=2, change_at="2026-06-03T00:00:00Z")])
    assert "plan daily version 2 has one" not in weir("late", code=0)
    world.metered()
    assert billed("4") == {
        "acme": [
            "flat fee 10.00",
            "usage tokens 30.00",
            "adjustment tokens 6.00",
        ],  # (2 − 1 included) × 9 + 7 × 3; 3 × 2
        "beta": ["flat fee 10.00", "usage tokens 0.00", "adjustment tokens 0.00"],
    }
    assert "no late usage" in weir("late")
    assert json.loads(weir("late", "--json"))["unpriced"] == []
    told = weir("close", "--as-of", "2026-06-04T00:00:00Z")
    assert "nothing is due" in told
    assert "price" not in told
    weir("verify")
    weir("verify", "--invoices")
