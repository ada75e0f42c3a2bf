"""Alert rules at publication: what cannot be evaluated is refused, with its place and the remedy."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.catalog.alerts import MAX_RULES, AlertRule
from schemas.catalog.state import Catalog
from tests.unit.ingest.catalog.builders import BASE, applied, codes, faults, plan, publish

RULE: dict[str, Any] = {"code": "r", "measure": "spend", "plan": "pro", "budget": "500", "thresholds": [10, "80.0%"]}
QUOTA: dict[str, Any] = {"measure": "entitlement", "feature": "f", "budget": None, "thresholds": ["80%"]}
ODD: dict[str, Any] = {"measure": "anomaly", "profile": "calls.n", "plan": None, "budget": None, "thresholds": None}


def written(*rules: dict[str, Any]) -> str:
    return f"{BASE}\nalert_rules: {[*rules]}"


def test_a_rule_is_published_once_and_thresholds_have_one_writing() -> None:
    catalog = applied(written(RULE))
    assert plan(catalog, written(RULE | {"thresholds": ["10.00", "80%"]})).to_publish() == []
    rule = catalog.view("shop").get("alert_rule", "r").model
    assert (rule.thresholds, rule.falling) == (("10", "80%"), False)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"measure": "usage"}, "usage needs a profile"),
        ({"profile": "call"}, "spend takes no profile"),
        ({"account": "NO"}, "plan and account are both given; name one"),
        ({"interval": "day"}, "spend takes no interval"),
        ({"plan": None}, "spend needs a currency here"),
        ({"currency": "USD"}, "it is the plan's"),
        ({"measure": "balance"}, "balances are of accounts"),
        ({"measure": "usage", "profile": "call", "budget": None}, "percentages of usage need a budget"),
        ({"thresholds": ["10"]}, "a budget is what percentages are of"),
        ({"plan": None, "currency": "ZZZ"}, "ZZZ"),
        ({"thresholds": ["80%", "80.0%"]}, "a threshold stands twice"),
        ({"thresholds": ["-1"]}, "-1 is negative"),
        ({"thresholds": ["much"]}, "is not a decimal number"),
        ({"thresholds": []}, "at least 1 item"),
        ({"thresholds": list(range(21))}, "at most 20 items"),
        ({"threshold": "1"}, "Extra inputs are not permitted"),
        ({"thresholds": ["80%", "400"]}, "400 and 80% are both 400 of budget 500; leave one out"),
        ({"feature": "f"}, "spend takes no feature"),
        (QUOTA | {"feature": None}, "entitlement needs a feature"),
        (QUOTA | {"budget": "5"}, "leave out currency and budget"),
        (QUOTA | {"thresholds": ["80%", "80"]}, "percentages of what is granted; write e.g. 80%"),
        (QUOTA | {"thresholds": ["80%", "80.0%"]}, "a threshold stands twice"),
        (ODD | {"profile": None}, "anomaly needs a profile"),
        (ODD | {"plan": "pro"}, "leave out plan, name an account, or none"),
        (ODD | {"thresholds": ["5"]}, "anomaly takes no thresholds"),
        (ODD | {"interval": "day"}, "anomaly takes no interval"),
        (ODD | {"measure": "usage"}, "thresholds are missing; write at least 1"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(change: dict[str, Any], said: str) -> None:
    body = {name: value for name, value in (RULE | change).items() if value is not None}
    with pytest.raises(ValueError, match="(?s)" + said):
        AlertRule.model_validate(body)


def test_references_that_lead_nowhere_and_percentages_of_nothing_are_refused() -> None:
    usage = {"code": "u", "measure": "usage", "profile": "cal", "thresholds": ["5"]}
    text = written(usage, RULE | {"plan": "pr"}, RULE | {"code": "p", "budget": None, "thresholds": ["5%"]})
    assert faults(Catalog(), text.replace("None", "null")) == {
        "$.alert_rules[0].profile": "no meter cal; did you mean calls?",
        "$.alert_rules[1].plan": "no plan pr; did you mean pro?",
        "$.alert_rules[2].budget": "plan pro has no minimum_commitment for percentages to be of; write budget",
    }
    quota = {"code": "q", "measure": "entitlement", "feature": "switch", "thresholds": ["80%"]}
    odd = {"code": "o", "measure": "anomaly", "profile": "high.most"}
    high = {"code": "high", "profiles": [{"code": "most", "aggregation": "max", "property": ["x"]}]}
    catalog = applied(f"namespace: shop\nmeters: {[high]}\nfeatures: {[{'code': 'switch'}]}")
    wrong = f"namespace: shop\nalert_rules: {[quota, quota | {'code': 'r', 'feature': 'gone'}, odd]}"
    assert faults(catalog, wrong) == {
        "$.alert_rules[0].feature": "feature switch has no profile, so nothing of it is used; name a metered one",
        "$.alert_rules[1].feature": "no feature gone; declare it",
        "$.alert_rules[2].profile": "high.most is max, which has no value on a day without events; name a sum or count",
    }
    of_account = {"code": "a", "measure": "spend", "currency": "USD", "account": "NO", "thresholds": ["5"]}
    assert "$" in faults(applied(written(of_account)), "namespace: shop", [("account", "NO")])


def test_the_number_of_rules_is_bounded() -> None:
    rules = [RULE | {"code": f"r{number}"} for number in range(MAX_RULES)]
    catalog = Catalog()
    full = plan(catalog, written(*rules))
    assert len(codes(full, "created")) > MAX_RULES
    publish(catalog, full)
    assert faults(catalog, written(RULE)) == {
        "$.alert_rules": "101 alert rules, and a namespace has at most 100; retire others first"
    }


def test_a_code_keeps_what_its_alerts_are_of() -> None:
    catalog = applied(written(RULE))
    assert codes(plan(catalog, written(RULE | {"budget": "9"})), "changed") == [("alert_rule", "r", 2)]
    falling = faults(catalog, written(RULE | {"direction": "falling"}))
    assert list(falling) == ["$.alert_rules[0].direction"]
    usage = {"code": "r", "measure": "usage", "profile": "calls.volume", "thresholds": ["5"]}
    assert "$.alert_rules[0].measure" in faults(catalog, written(usage))


def test_percentages_of_a_subscription_without_a_commitment_need_a_budget() -> None:
    of_subscription = {"code": "s", "measure": "spend", "subscription": "s1", "thresholds": ["80%"]}
    assert list(faults(Catalog(), written(of_subscription))) == ["$.alert_rules[0].budget"]
    started = "plan: pro, start: 2013-03-10"
    assert plan(Catalog(), written(of_subscription).replace(started, f"{started}, minimum_commitment: 5")).changes


def test_how_many_thresholds_there_are_is_said_with_the_place_and_what_to_write() -> None:
    for thresholds, said in (
        ([], {"$.alert_rules[0].thresholds": "has 0 items; write at least 1"}),
        ([*range(21)], {"$.alert_rules[0].thresholds": "has 21 items; write at most 20"}),
        (["much"], {"$.alert_rules[0].thresholds[0]": "'much' is not a decimal number; write e.g. \"0.25\""}),
    ):
        assert faults(Catalog(), written(RULE | {"budget": 5, "thresholds": thresholds})) == said
