"""Features, their limits and grants: what is taken, what is refused and how, and what an earlier release stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.catalog.base import STORED
from schemas.catalog.entitlements.credit_floors import CreditFloor
from schemas.catalog.entitlements.features import Feature, FeatureGrant, FeatureLimit
from schemas.catalog.entitlements.rolling import seconds_of, step_seconds
from schemas.catalog.models import Plan
from schemas.catalog.state import record_of


def refusal(model: type[Any], **fields: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        model.model_validate(fields)
    (problem,) = caught.value.errors()
    return ".".join(map(str, problem["loc"])) + ": " + problem["msg"].removeprefix("Value error, ")


LIMIT = {"quantity": "5", "reset": "month"}


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"quantity": "-1"}, "quantity: -1 is negative; write 0 or more"),
        ({}, ": a limit is in quantity or in amount (money); give one of them"),
        ({"quantity": "1", "amount": "1"}, ": a limit is in quantity or in amount (money); give one of them"),
        (
            {"quantity": "1", "reset": "day", "rolling": "1 day"},
            ": a limit has a reset or a rolling window; give one of them, or two limits",
        ),
        (
            {"quantity": "1", "block": True},
            ": a hard limit refuses use beyond it, paid or not; write hard: false, or remove block",
        ),
        (
            {"quantity": "1", "rolling": "5 parsecs"},
            "rolling: 'parsecs' is no unit of a rolling window; write minutes, hours or days, such as 5 hours"
            " or 30 days",
        ),
        (
            {"quantity": "1", "rolling": "367 days"},
            "rolling: '367 days' is not between 1 minute and 366 days; write minutes, hours or days, such as 5 hours"
            " or 30 days",
        ),
    ],
)
def test_a_limit_that_cannot_stand_names_the_remedy(fields: dict[str, Any], detail: str) -> None:
    assert refusal(FeatureLimit, **fields) == detail


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"limits": [LIMIT]}, ": feature f: limits need a profile, which measures the use; name one"),
        ({"limit": "5"}, ": feature f: limit and reset need a profile"),
        ({"profile": "m.p", "value": "x"}, ": feature f: it has a value or a profile; remove one of them"),
        (
            {"profile": "m.p", "limit": "5", "limits": [LIMIT]},
            ": feature f: limit and reset stand beside limits; move them into the list",
        ),
        (
            {"profile": "m.p", "limits": [{"quantity": "1", "rolling": "1 day"}, {"quantity": "2", "rolling": "24h"}]},
            "limits.1.rolling: 'h' is no unit of a rolling window; write minutes, hours or days, such as 5 hours"
            " or 30 days",
        ),
        (
            {
                "profile": "m.p",
                "limits": [{"quantity": "1", "rolling": "1 day"}, {"quantity": "2", "rolling": "24 hours"}],
            },
            ": limits[1] counts quantity over the same time as limits[0]; keep one of them",
        ),
    ],
)
def test_a_feature_that_cannot_stand_names_the_remedy(fields: dict[str, Any], detail: str) -> None:
    assert refusal(Feature, code="f", **fields) == detail


def test_a_grant_is_taken_away_or_has_terms_and_stands_once() -> None:
    detail = ": feature f: granted is false; remove value, limits, block and credit_floor, or grant it"
    assert refusal(FeatureGrant, feature="f", granted=False, value="x") == detail
    assert refusal(FeatureGrant, feature="f", granted=False, credit_floor={"currency": "USD"}) == detail
    twice = [{"feature": "f"}, {"feature": "f", "value": "x"}]
    assert refusal(Plan, code="p", currency="USD", features=twice) == ": features: f stands twice; grant it once"


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"floor": "-1"}, "floor: -1 is negative; write 0 or more"),
        ({"floor": "0.001"}, ": floor 0.001 has more than USD's 2 decimals; round it"),
        ({"currency": "token", "floor": "0.5"}, ": floor 0.5 has more than token's 0 decimals; round it"),
        ({"currency": "USX"}, ": 'USX' is not an ISO 4217 currency code; write a three-letter code such as USD"),
    ],
)
def test_a_floor_that_cannot_stand_names_the_remedy(fields: dict[str, Any], detail: str) -> None:
    assert refusal(CreditFloor, **{"currency": "USD"} | fields) == detail


def test_what_an_earlier_release_stored_means_the_same() -> None:
    body = {"code": "api", "name": "", "profile": "calls", "limit": "1000.50", "reset": "week"}
    feature = Feature.model_validate(body, context=STORED)
    assert feature.all_limits == (FeatureLimit.model_validate({"quantity": "1000.5", "reset": "week"}),)
    assert feature.all_limits[0].hard
    unlimited = Feature.model_validate(body | {"limit": None, "reset": None}, context=STORED)
    assert unlimited.all_limits == ()


def test_an_earlier_release_reads_what_uses_nothing_new() -> None:
    feature = Feature.model_validate({"code": "f", "profile": "m.p", "limit": "5"})
    record = record_of("n", feature, kind="feature", version=1, author="", claim_id="")
    assert set(json.loads(record["body"])) == {"code", "name", "profile", "limit", "reset"}
    plan = record_of("n", Plan(code="p", currency="USD"), kind="plan", version=1, author="", claim_id="")
    assert "features" not in json.loads(plan["body"])
    granting = Plan(code="p", currency="USD", features=(FeatureGrant(feature="f"),))
    body = json.loads(record_of("n", granting, kind="plan", version=1, author="", claim_id="")["body"])
    assert set(body["features"][0]) == {"feature", "granted", "value", "limits"}


@pytest.mark.parametrize("window", ["1 minute", "61 minutes", "5 hours", "8783 hours", "527039 minutes", "366 days"])
def test_a_rolling_window_moves_in_few_steps_whatever_its_length(window: str) -> None:
    seconds = seconds_of(window)
    step = step_seconds(seconds)
    assert 60 <= seconds / step <= 366
