"""What a scenario changes in the catalog, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from rating.subscriptions.timeline import pinned_plan
from rating.whatif import Scenario, ScenarioError, catalog
from rating.whatif.draft import draft_versions
from schemas.catalog.meters import Meter
from schemas.catalog.models import KINDS, Plan
from schemas.catalog.profiles import BEGINNING, FOREVER
from schemas.catalog.state import Catalog, NamespaceView, record_of


def unit(amount: str) -> dict[str, Any]:
    return {"model": "per_unit", "unit_amount": amount}


def shop() -> NamespaceView:
    """Accounts a and b, on plans basic and pro, and a prepaid credit."""
    item = Catalog()

    def publish(kind: str, version: int = 1, **body: Any) -> None:
        model = KINDS[kind].model_validate(body)
        record = record_of("s", model, kind=kind, version=version, author="", claim_id="")
        assert item.apply(record, item.next_offset, 1) is not None

    publish("product", code="calls", profile="m.p")
    publish("plan", code="basic", currency="USD", charges=[{"product": "calls", "price": unit("1")}])
    publish("plan", code="pro", currency="USD", charges=[{"code": "cheap", "product": "calls", "price": unit("0.5")}])
    for account, plan in (("a", "basic"), ("b", "pro")):
        publish("account", code=account)
        publish(
            "subscription",
            code=f"sub-{account}",
            account=account,
            plan=plan,
            plan_version=1,
            start="2026-01-01T00:00:00Z",
        )
    publish("plan", 2, code="basic", currency="USD", charges=[{"product": "calls", "price": unit("2")}])
    publish("credit_grant", code="gift", account="a", amount="5", currency="USD")
    return item.view("s")


def prices(view: NamespaceView) -> dict[str, list[tuple[str, str]]]:
    """Subscription → (charge, unit amount) of the plan it is on."""
    return {
        entry.code: [(charge.key, charge.price["unit_amount"]) for charge in pinned_plan(view, entry).model.charges]
        for entry in view.all("subscription")
    }


def test_another_price_is_that_of_every_plan_with_the_charge_and_of_nothing_else() -> None:
    view = shop()
    scenario = Scenario({"calls": unit("9")})
    assert (
        prices(catalog.as_it_is(view, scenario))
        == prices(view)
        == {"sub-a": [("calls", "1")], "sub-b": [("cheap", "0.5")]}
    )
    assert prices(catalog.as_it_would_be(view, scenario)) == {"sub-a": [("calls", "9")], "sub-b": [("cheap", "0.5")]}
    assert prices(view)["sub-a"] == [("calls", "1")]  # the catalog is as it was


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        (Scenario(to_plan="pro"), {"sub-a": [("cheap", "0.5")], "sub-b": [("cheap", "0.5")]}),
        (Scenario(to_plan="basic"), {"sub-a": [("calls", "2")], "sub-b": [("calls", "2")]}),
        (Scenario(to_plan="basic", to_version=1, plan="pro"), {"sub-b": [("calls", "1")]}),
        (Scenario(to_plan="pro", account_id="a"), {"sub-a": [("cheap", "0.5")]}),
        (
            Scenario(to_plan=Plan.model_validate({"code": "new", "currency": "USD",
                "charges": [{"product": "calls", "price": unit("3")}]})),
            {"sub-a": [("calls", "3")], "sub-b": [("calls", "3")]},
        ),
        (
            Scenario(to_plan=Plan.model_validate({"code": "basic", "currency": "USD",
                "charges": [{"product": "calls", "price": unit("4")}]})),
            {"sub-a": [("calls", "4")], "sub-b": [("calls", "4")]},
        ),
    ],
)  # fmt: skip
def test_another_plan_is_that_of_the_chosen_subscriptions(scenario: Scenario, expected: Any) -> None:
    assert prices(catalog.as_it_would_be(shop(), scenario)) == expected
    assert set(prices(catalog.as_it_is(shop(), scenario))) == set(expected)


def test_prepaid_credits_are_no_price() -> None:
    view = shop()
    assert len(view.all("credit_grant")) == 1
    for side in (catalog.as_it_is, catalog.as_it_would_be):
        assert side(view, Scenario(to_plan="pro")).all("credit_grant") == []


@pytest.mark.parametrize(
    ("scenario", "place", "part"),
    [
        (Scenario(), "prices", "give either"),
        (Scenario({"calls": unit("1")}, to_plan="pro"), "prices", "give either"),
        (Scenario({"nothing": unit("1")}), "prices.nothing", "known: calls, cheap"),
        (Scenario({"calls": unit("1")}, plan="pro"), "prices.calls", "known: cheap"),
        (Scenario({"calls": {"model": "per_unit"}}), "prices.calls", "unit_amount"),
        (Scenario(to_plan="gold"), "to_plan", "no plan gold; known: basic, pro"),
        (Scenario(to_plan="basic", to_version=7), "to_plan", "version 7"),
        (Scenario(to_plan="pro", account_id="zed"), "account_id", "no account 'zed'"),
        (Scenario(to_plan="pro", plan="gold"), "plan", "no plan gold"),
    ],
)
def test_a_scenario_that_cannot_be_names_its_field(scenario: Scenario, place: str, part: str) -> None:
    with pytest.raises(ScenarioError, match=part) as refused:
        catalog.as_it_would_be(shop(), scenario)
    assert refused.value.field_path == place


def test_a_draft_is_valid_at_all_times() -> None:
    meter = Meter.model_validate(
        {
            "code": "m",
            "profiles": [{"code": "p", "aggregation": "count"}, {"code": "q", "aggregation": "max", "property": "x"}],
        }
    )
    versions = draft_versions("s", meter)
    assert [version.profile_id for version in versions] == ["m.p", "m.q"]
    assert {(version.valid_from_us, version.valid_to_us) for version in versions} == {(BEGINNING, FOREVER)}
