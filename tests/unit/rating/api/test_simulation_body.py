"""A whole plan in a simulation's body is judged where the simulation runs, in a thread of its tenant's share."""

from __future__ import annotations

import pytest
from fastapi.exceptions import RequestValidationError

from rating.api.simulations import SimulationRequest
from schemas.catalog.models import Plan

CHARGE = {"product": "p", "price": {"model": "flat", "amount": "1"}}


def request(to_plan: object) -> SimulationRequest:
    return SimulationRequest.model_validate({"period": "2026-01", "to_plan": to_plan})


def test_a_plan_is_judged_with_its_scenario_and_not_with_the_body(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[object] = []
    validate = Plan.model_validate
    monkeypatch.setattr(Plan, "model_validate", lambda value: judged.append(value) or validate(value))
    document = {"code": "b", "currency": "USD", "charges": [CHARGE]}
    body = request(document)
    assert judged == []
    plan = body.scenario().to_plan
    assert isinstance(plan, Plan)
    assert (plan.code, judged) == ("b", [document])


def test_what_is_wrong_in_it_is_named_with_its_place() -> None:
    body = request({"code": "b", "currency": "USD", "charges": [CHARGE | {"product": 7}]})
    with pytest.raises(RequestValidationError) as raised:
        body.scenario()
    assert [fault["loc"] for fault in raised.value.errors()] == [("body", "to_plan", "charges", 0, "product")]


def test_a_code_is_a_code() -> None:
    assert request("pro").scenario().to_plan == "pro"
    assert request(None).scenario().to_plan is None
    with pytest.raises(ValueError, match="to_plan"):
        request(7)
