"""Own units at publication: what is priced or granted in one that nobody declared is refused, with its place."""

from __future__ import annotations

import pytest

from schemas.catalog.state import Catalog
from tests.unit.ingest.catalog.builders import BASE, applied, faults, plan

UNITS = "units: [{code: token, name: Tokens}]"
TOP_UP = "{currency: %s, floor: 1, target: 5, daily_limit: 9, cost: {currency: USD, rate: '0.01'}}"
OF_TOKENS = f"""
{BASE.replace("currency: USD", "currency: token").replace("0.10", "2").replace("12.50", "7")}
credit_grants: [{{code: g, account: NO, currency: token, amount: 5}}]
alert_rules: [{{code: low, measure: balance, currency: token, thresholds: [1]}}]
"""


def test_a_unit_is_declared_before_anything_is_in_it() -> None:
    missing = "no unit token; declare it"
    text = OF_TOKENS.replace("time_zone: America/New_York", f"top_ups: [{TOP_UP % 'token'}]")
    assert faults(Catalog(), text) == {
        "$.plans[0].currency": missing,
        "$.credit_grants[0].currency": missing,
        "$.alert_rules[0].currency": missing,
        "$.accounts[0].top_ups[0].currency": missing,
    }
    catalog = applied(text + UNITS)
    assert plan(catalog, text + UNITS).to_publish() == []
    near = text.replace("currency: token, amount", "currency: tokens, amount")
    assert faults(catalog, near) == {"$.credit_grants[0].currency": "no unit tokens; did you mean token?"}


def test_a_unit_in_use_is_not_retired() -> None:
    catalog = applied(OF_TOKENS + UNITS)
    for kept, user in (("credit_grants: []\n", "plan pro"), ("plans: []\nsubscriptions: []\n", "credit_grant g")):
        text = f"namespace: shop\nprune: true\n{kept}alert_rules: []\nunits: []"
        detail = f"{user} (not in this document) at currency: unit token is retired here; remove it there first"
        assert faults(catalog, text) == {"$": detail}


@pytest.mark.parametrize("owner", ["plans[0]", "subscriptions[0]"])
def test_a_unit_of_a_floor_is_declared_and_not_retired(owner: str) -> None:
    floor = "features: [{feature: sso, credit_floor: {currency: token, floor: 5}}]"
    places = {"plans[0]": "", "subscriptions[0]": ""} | {owner: ", " + floor}
    text = f"""
namespace: shop
features: [{{code: sso}}]
accounts: [{{code: NO}}]
plans: [{{code: usd, currency: USD, charges: []{places["plans[0]"]}}}]
subscriptions: [{{code: s, account: NO, plan: usd, start: 2026-01-01{places["subscriptions[0]"]}}}]
"""
    missing = "no unit token; declare it"
    assert faults(Catalog(), text) == {f"$.{owner}.features[0].credit_floor.currency": missing}
    (detail,) = faults(applied(text + UNITS), "namespace: shop\nprune: true\nunits: []").values()
    assert detail.endswith("credit_floor.currency: unit token is retired here; remove it there first")


@pytest.mark.parametrize(
    ("owner", "others"),
    [
        ("accounts: [{code: NO, %s}]", "subscriptions: [{code: s, account: NO, plan: usd, start: 2026-01-01}]"),
        ("subscriptions: [{code: s, account: NO, plan: usd, start: 2026-01-01, %s}]", "accounts: [{code: NO}]"),
        ("plans: [{code: usd, currency: USD, charges: [], %s}]", "accounts: [{code: NO}]"),
    ],
)
def test_a_unit_that_only_a_top_up_names_is_not_retired(owner: str, others: str) -> None:
    top_up = f"top_ups: [{TOP_UP % 'token'}]"
    plan = "" if owner.startswith("plans") else "\nplans: [{code: usd, currency: USD, charges: []}]"
    catalog = applied(f"namespace: shop\nunits: [{{code: token}}]\n{owner % top_up}\n{others}{plan}")
    (detail,) = faults(catalog, "namespace: shop\nprune: true\nunits: []").values()
    assert detail.endswith("at top_ups[0].currency: unit token is retired here; remove it there first")


def test_the_grant_of_a_paid_top_up_is_nobodys_to_declare_and_prune_leaves_it_alone() -> None:
    code = "top_" + "a1" * 12
    grant = f"credit_grants: [{{code: {code}, account: NO, currency: USD, amount: 5}}]"
    assert faults(applied(), f"namespace: shop\n{grant}") == {
        "$.credit_grants[0].code": f"{code} is a code of top-ups, which only a payment makes; write another one"
    }
