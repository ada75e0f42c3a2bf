"""Bad input of features, limits, units, rules and prepaid credit: its fault names the place and what to write."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.catalog.alerts import AlertRule
from schemas.catalog.base import STORED
from schemas.catalog.state import Catalog
from tests.unit.ingest.catalog.builders import BASE, applied, faults, plan

DIGITS = "9" * 60
MANY = "'999999999999999999999999999999999999… has more than 38 digits; write a shorter number"
VALUE = "is no static value; write true, false, a whole number of 64 bits, or a text of at most 1024 characters"
UNIT = (
    "cannot stand here; write 3 to 24 small letters, digits and _, a letter first, and behind a dot its decimals, 1 to"
    " 12, where it has some: token, credit.2"
)
CODE = "cannot stand here; write at most 64 letters, digits, _ and -, a letter or digit first"


def limited(**limit: Any) -> dict[str, Any]:
    return {"code": "f", "profile": "calls", "limits": [limit]}


def rule(**fields: Any) -> dict[str, Any]:
    return {"code": "r", "measure": "usage", "profile": "calls", "thresholds": ["5"]} | fields


def grant(**fields: Any) -> dict[str, Any]:
    return {"code": "g", "account": "NO", "amount": "5", "currency": "USD"} | fields


def topped_up(**fields: Any) -> dict[str, Any]:
    given = {"currency": "USD", "floor": "10", "target": "50", "daily_limit": "200"} | fields
    return {"code": "a", "top_ups": [given]}


def granting(**fields: Any) -> dict[str, Any]:
    return {"code": "p", "currency": "USD", "features": [{"feature": "api"} | fields]}


def charging(terms: dict[str, Any]) -> dict[str, Any]:
    price = {"model": "per_unit", "unit_amount": "1"}
    return terms | {"charges": [{"product": "call", "price": price}]}


@pytest.mark.parametrize(
    ("name", "entry", "below", "detail"),
    [
        ("features", limited(quantity="-1"), ".limits[0].quantity", "-1 is negative; write 0 or more"),
        (
            "features",
            limited(quantity="NaN"),
            ".limits[0].quantity",
            "'NaN' is not a decimal number; write e.g. \"0.25\"",
        ),
        (
            "features",
            limited(quantity="1e400"),
            ".limits[0].quantity",
            "'1E+400' has more than 38 digits; write a shorter number",
        ),
        ("features", limited(amount=DIGITS), ".limits[0].amount", MANY),
        (
            "features",
            limited(quantity="1", every="day"),
            ".limits[0].every",
            "no such field; there are amount, block, hard, quantity, reset, rolling",
        ),
        ("features", limited(quantity="1", resets="day"), ".limits[0].resets", "no such field; did you mean reset?"),
        ("features", {"code": "f", "limitt": 5}, ".limitt", "no such field; did you mean limit or limits?"),
        ("features", {"code": "f", "value": 1.5}, ".value", f"1.5 {VALUE}"),
        ("features", {"code": "f", "value": [1]}, ".value", f"[1] {VALUE}"),
        ("features", {"code": "f", "value": 2**63}, ".value", f"9223372036854775808 {VALUE}"),
        ("features", {"code": "a b"}, ".code", f"'a b' {CODE}"),
        ("units", {"code": "Token"}, ".code", f"'Token' {UNIT}"),
        ("units", {"code": "credit.13"}, ".code", f"'credit.13' {UNIT}"),
        ("units", {"code": "usd"}, "", "usd is the currency USD in small letters; write another code"),
        ("plans", {"code": "p", "currency": "gem"}, ".currency", "no unit gem; declare it"),
        (
            "plans",
            {"code": "p", "currency": "Gem"},
            ".currency",
            "'Gem' cannot stand here; write a currency such as USD, or a unit of your own such as token or credit.2",
        ),
        (
            "plans",
            {"code": "p", "currency": "USD", "invoice_threshold": "0"},
            ".invoice_threshold",
            "0 is not above 0; write more than 0",
        ),
        (
            "plans",
            granting(credit_floor={"currency": "gem"}),
            ".features[0].credit_floor.currency",
            "no unit gem; declare it",
        ),
        (
            "plans",
            granting(value=5),
            ".features[0].value",
            "feature api is metered by calls; write limits, or remove the value",
        ),
        (
            "alert_rules",
            rule(thresholds=["80%"]),
            "",
            "alert rule r: percentages of usage need a budget, which they are of",
        ),
        ("alert_rules", rule(thresholds=["5", "5.0"]), "", "alert rule r: a threshold stands twice; leave one out"),
        (
            "alert_rules",
            rule(thresholds=["50%", "200", "100%"], budget="400"),
            "",
            "alert rule r: 200 and 50% are both 200 of budget 400; leave one out",
        ),
        ("alert_rules", rule(thresholds=["-1"]), ".thresholds[0]", "-1 is negative; write 0 or more"),
        ("alert_rules", rule(account="nobody"), ".account", "no account nobody; declare it"),
        ("credit_grants", grant(amount="0"), ".amount", "0 is not above 0; write more than 0"),
        (
            "credit_grants",
            grant(expires="99999-01-01"),
            ".expires",
            "'99999-01-01' is no date and no instant; write a date such as 2026-01-31, or an instant such as"
            " 2026-01-31T12:00:00Z",
        ),
        (
            "credit_grants",
            grant(effective="2026-02-01", expires="2026-01-01"),
            "",
            "credit grant g, effective and expires: the second must be after the first",
        ),
        ("accounts", topped_up(target="5"), ".top_ups[0]", "target 5 must be above floor 10"),
        ("accounts", topped_up(daily_limit="-1"), ".top_ups[0].daily_limit", "-1 is not above 0; write more than 0"),
        (
            "accounts",
            {"code": "a", "top_ups": [{"currency": "USD", "floor": "10", "target": "50"}]},
            ".top_ups[0].daily_limit",
            "is missing; write it",
        ),
        ("accounts", topped_up(floor="0.001"), ".top_ups[0]", "floor 0.001 has more than USD's 2 decimals; round it"),
        (
            "features",
            limited(quantity="1", reset="months"),
            ".limits[0].reset",
            "'months' cannot stand here; did you mean month? There are billing_period, minute, hour, day, week, month,"
            " quarter, year",
        ),
        (
            "features",
            limited(quantity="1", hard="often"),
            ".limits[0].hard",
            "'often' is neither true nor false; write one of them",
        ),
        (
            "credit_grants",
            grant(source="given"),
            ".source",
            "'given' cannot stand here; write one of paid, promotional",
        ),
        ("credit_grants", grant(priority="first"), ".priority", "'first' is no whole number; write one such as 60"),
        ("credit_grants", grant(priority=1.5), ".priority", "1.5 is no whole number; write one such as 60"),
        ("credit_grants", grant(priority=-1), ".priority", "is -1; write 0 or more"),
        (
            "credit_grants",
            grant(amount="0.001"),
            "",
            "credit grant g: amount 0.001 has more than USD's 2 decimals; round it",
        ),
        (
            "alert_rules",
            rule(budget="5", thresholds=["0%"]),
            "",
            "alert rule r: threshold 0% is reached before anything is used; write more than 0, or direction: falling",
        ),
        (
            "alert_rules",
            rule(measure="spend", profile=None, currency="USD", thresholds=["0"]),
            "",
            "alert rule r: threshold 0 is reached before anything is used; write more than 0, or direction: falling",
        ),
        (
            "plans",
            charging(granting(limits=[{"amount": "0.001"}])),
            ".features[0].limits[0].amount",
            "0.001 has more than USD's 2 decimals; round it",
        ),
        (
            "subscriptions",
            {"code": "s1", "account": "NO", "plan": "pro", "start": "2013-03-10", "invoice_threshold": "0.001"},
            ".invoice_threshold",
            "0.001 has more than USD's 2 decimals; round it",
        ),
        (
            "subscriptions",
            {"code": "s1", "account": "NO", "plan": "pro", "start": "2013-03-10"}
            | {"features": [{"feature": "api", "limits": [{"amount": "0.001"}]}]},
            ".features[0].limits[0].amount",
            "0.001 has more than USD's 2 decimals; round it",
        ),
    ],
)
def test_it_is_refused_at_its_place_with_the_remedy(name: str, entry: dict[str, Any], below: str, detail: str) -> None:
    document = json.dumps({"namespace": "shop", name: [entry]})
    assert faults(applied(BASE), document) == {f"$.{name}[0]{below}": detail}


FALLING = (
    "begins each period at 0, so a falling rule fires as the period begins, and recovers above; write rising, if more"
    " of it is what you want to know"
)
SPEND = {"measure": "spend", "profile": None, "currency": "USD", "thresholds": ["80%"]}
SHARE = {"measure": "entitlement", "profile": None, "feature": "api", "thresholds": ["80%"]}


@pytest.mark.parametrize(
    ("name", "entry", "below", "detail"),
    [
        (
            "credit_grants", grant(expires="2026-01-01"), "expires",
            "it expired at 2026-01-01T05:00:00Z, so it pays for nothing that is used now; name an instant to come",
        ),
        ("credit_grants", grant(expires="2026-01-02"), "", ""),
        (
            "alert_rules", rule(**SPEND), "thresholds",
            "no plan in USD has a minimum_commitment, so these percentages are of nothing; write budget",
        ),
        ("alert_rules", rule(**SPEND, budget="5"), "", ""),
        (
            "alert_rules", rule(**SPEND, account="NO"), "thresholds",
            "no plan in USD has a minimum_commitment, so these percentages are of nothing; write budget",
        ),
        ("alert_rules", rule(**SHARE), "", ""),
        (
            "alert_rules", rule(**SHARE, interval="day"), "thresholds",
            "feature api has no limit that resets by day, so these percentages are of nothing; give it one",
        ),
        ("alert_rules", rule(direction="falling"), "direction", f"usage {FALLING}"),
        ("alert_rules", rule(**SPEND, budget="5", direction="falling"), "direction", f"spend {FALLING}"),
        ("alert_rules", rule(profile="size.top", direction="falling"), "", ""),
        ("alert_rules", rule(profile="size.top", thresholds=["0"]), "", ""),
        (
            "alert_rules", rule(thresholds=["0"]), "thresholds",
            "0 is reached as each period begins, so it fires then; write more than 0",
        ),
    ],
)  # fmt: skip
def test_what_is_to_no_effect_is_taken_with_a_warning(
    name: str, entry: dict[str, Any], below: str, detail: str
) -> None:
    document = json.dumps({"namespace": "shop", name: [entry]})
    warnings = plan(applied(BASE), document, now_us=1_767_249_000_000_000).warnings  # 2026-01-01 01:30 in New York
    assert [(fault.path, fault.detail) for fault in warnings] == ([(f"$.{name}[0].{below}", detail)] if below else [])


@pytest.mark.parametrize("thresholds", [("80%", "4"), ("0%", "80%")])
def test_a_rule_that_was_stored_with_thresholds_that_are_refused_now_is_read(thresholds: tuple[str, ...]) -> None:
    stored = rule(thresholds=thresholds, budget="5")
    assert AlertRule.model_validate(stored, context=STORED).thresholds == thresholds


def test_what_is_wrong_in_many_places_is_told_at_each() -> None:
    entry = {"code": "f", "profile": "calls", "limits": [{"quantity": "-1"}, {"quantity": "1", "rolling": "5 parsecs"}]}
    document = json.dumps({"namespace": "shop", "features": [entry]})
    assert list(faults(Catalog(), document)) == ["$.features[0].limits[0].quantity", "$.features[0].limits[1].rolling"]
