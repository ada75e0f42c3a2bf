"""Features and grants that do not fit what measures and what charges them are refused at their place."""

from __future__ import annotations

import pytest

from schemas.catalog.state import Catalog
from tests.unit.ingest.catalog.builders import applied, codes, faults, plan

TEXT = """
namespace: shop
meters:
  - code: calls
    profiles: [{code: n, aggregation: count}, {code: m, aggregation: AGGREGATION, property: size}]
features:
  - {code: api, profile: calls.n, limits: [{quantity: 10, rolling: 5 hours}]}
  - {code: size, profile: calls.m}
  - {code: support}
  - {code: seats, value: 5}
products: [{code: call, profile: calls.n}]
plans:
  - code: pro
    currency: USD
    charges: [{product: call, price: {model: per_unit, unit_amount: 1}}]
    features: [PLAN]
accounts: [{code: NO}]
subscriptions: [{code: s, account: NO, plan: pro, start: 2026-01-01, features: [OWN]}]
"""


def document(granted: str = "", own: str = "", aggregation: str = "max") -> str:
    return TEXT.replace("PLAN", granted).replace("OWN", own).replace("AGGREGATION", aggregation)


def test_features_are_granted_in_quantity_in_money_and_with_values() -> None:
    granted = "{feature: api, limits: [{amount: 5, reset: billing_period}]}, {feature: support, value: by phone}"
    assert len(codes(plan(Catalog(), document(granted, "{feature: size, limits: []}")), "created")) == 10


@pytest.mark.parametrize(
    ("granted", "below", "detail"),
    [
        ("{feature: apis}", "feature", "no feature apis; did you mean api?"),
        ("{feature: api, value: x}", "value", "feature api is metered by calls.n; write limits, or remove the value"),
        (
            "{feature: seats, value: many}",
            "value",
            "'many' is a text, and seats has a whole number (5); write such a one",
        ),
        (
            "{feature: seats, value: true}",
            "value",
            "'True' is true or false, and seats has a whole number (5); write such a one",
        ),
        (
            "{feature: support, limits: [{quantity: 1}]}",
            "limits",
            "feature support is not metered; name its profile, or remove the limits",
        ),
        (
            "{feature: size, limits: [{quantity: 2}, {amount: 1, reset: billing_period}]}",
            "limits[1].amount",
            "plan pro charges nothing for calls.m, so its use has no cost; limit the quantity instead",
        ),
    ],
)
def test_a_grant_that_cannot_hold_is_told_on_plan_and_subscription(granted: str, below: str, detail: str) -> None:
    assert faults(Catalog(), document(granted)) == {f"$.plans[0].features[0].{below}": detail}
    assert faults(Catalog(), document(own=granted)) == {f"$.subscriptions[0].features[0].{below}": detail}


LATEST = (
    "calls.m is the latest value, which no window of time has a part of; write a reset in place of the rolling window"
)


def test_the_latest_value_has_no_rolling_window_also_where_the_meter_changes_later() -> None:
    rolling = "{feature: size, limits: [{quantity: 1, rolling: 1 hour}]}"
    assert faults(Catalog(), document(rolling, aggregation="latest")) == {
        "$.plans[0].features[0].limits[0].rolling": LATEST
    }
    catalog = applied(document(rolling))
    meter = document(aggregation="latest").partition("features:")[0]
    place = "plan pro (not in this document) at features[0].limits[0].rolling: "
    assert list(faults(catalog, meter).values()) == [place + LATEST]


def test_a_feature_that_is_granted_is_not_retired() -> None:
    catalog = applied(document("{feature: support}"))
    (detail,) = faults(catalog, "namespace: shop", retire=[("feature", "support")]).values()
    place = "plan pro (not in this document) at features[0].feature: "
    assert detail == place + "feature support is retired here; remove it there first"
