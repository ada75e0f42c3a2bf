"""Which floor applies, and what the balance is below which it is asked for: with what is left to be paid in money."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from rating.alerts.observations import observe_state
from rating.alerts.watched import Watching
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.prepaid_floors import PrepaidLeft
from rating.estimates import account_state
from rating.estimates.account_state import AccountState
from rating.estimates.prepaid_left import prepaid_left
from rating.subscriptions.timeline import timeline
from rating.topups.floors import floor_owners, floors_of
from schemas.ledgers.checkpoints import Checkpoints
from tests.unit.rating.alerts.builders import NO_CLIENT
from tests.unit.rating.builders import ACCOUNT, PLAN, SUBSCRIPTION, Shelf, shelf, us

NOW = us("2013-02-10T12:00:00-05:00")


def top_up(target: int, currency: str = "USD") -> dict[str, str]:
    return {"currency": currency, "floor": "10", "target": str(target), "daily_limit": "500"}


def state(held: Shelf) -> AccountState:
    view = held.view()
    lines = [line for code in ("acme-basic", "acme-other") if (line := timeline(view, code)) is not None]
    return AccountState(view, ["acme"], NOW, lines, {}, [])


def targets(held: Shelf) -> dict[str, str]:
    accounts = state(held)
    floors = floors_of(accounts.view, ["acme"], list(accounts.running({})))
    return {currency: str(floor.target) for currency, floor in floors.get("acme", {}).items()}


def test_an_account_says_more_than_its_subscriptions_and_these_than_their_plans() -> None:
    held = shelf()
    assert (targets(held), bool(floor_owners(held.view()))) == ({}, False)
    other = {"code": "other", "top_ups": [top_up(30), top_up(20, "EUR")]}
    held.add("plan", PLAN | other)
    held.add("subscription", SUBSCRIPTION | {"code": "acme-other", "plan": "other"})
    assert targets(held) == {"USD": "30", "EUR": "20"}
    watching = Watching([], floor_owners(held.view()))
    assert (watching.accounts(held.view()), watching.may_watch(held.view(), "acme")) == ({"acme"}, True)
    held.add("subscription", SUBSCRIPTION | {"top_ups": [top_up(29)]})
    assert targets(held) == {"USD": "30", "EUR": "20"}, "of two subscriptions the higher target"
    held.add("subscription", SUBSCRIPTION | {"code": "acme-other", "plan": "other", "top_ups": [top_up(28)]})
    assert targets(held) == {"USD": "29", "EUR": "20"}
    held.add("account", ACCOUNT | {"top_ups": [top_up(15)]})
    assert targets(held) == {"USD": "15", "EUR": "20"}


@pytest.mark.parametrize(
    ("grants", "balance"),
    [
        ([], "-10"),
        ([{"amount": "4"}], "-6"),
        ([{"amount": "100"}], "90"),
        ([{"amount": "100", "expires": "2013-02-01"}], "-5"),  # it pays January, which has ended
        ([{"amount": "7", "products": ["fee"]}, {"amount": "30", "products": ["seat"]}], "27"),
        ([{"amount": "40", "currency": "EUR"}, {"amount": "11"}], "1"),
        ([{"amount": "40", "effective": "2014-01-01"}], "-10"),
    ],
)
def test_what_periods_would_leave_to_pay_in_money_is_below_zero(
    grants: list[dict[str, Any]], balance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """January and February, of 5.00 each, are not billed yet."""
    monkeypatch.setattr(account_state, "find_late", lambda *_, **__: {})
    monkeypatch.setattr(account_state, "measure", lambda *_, **__: {})
    held = shelf()
    held.add("product", {"code": "seat", "kind": "flat"})
    for number, grant in enumerate(grants):
        held.add("credit_grant", {"code": f"g{number}", "account": "acme", "currency": "USD"} | grant)
    assert observe_state(NO_CLIENT, Checkpoints(), [], state(held), True).balances == []
    held.add("account", ACCOUNT | {"top_ups": [top_up(50)]})
    look = observe_state(NO_CLIENT, Checkpoints(), [], state(held), True)
    assert [(account, floor.target, amount) for account, floor, amount in look.balances] == [
        ("acme", Decimal(50), Decimal(balance))
    ]
    assert not look.failures | look.problems
    # What a grant's credit_floor is compared with is the same.
    monkeypatch.setattr("rating.estimates.prepaid_left.read_accounts", lambda *_: state(held))
    places = [("acme", "USD"), ("acme", "EUR")]
    as_of = MeasuredAsOf({}, NOW)
    left = prepaid_left(NO_CLIENT, held.view(), places, Checkpoints(), as_of)
    assert left["acme", "USD"] == PrepaidLeft(Decimal(balance), NOW, as_of=as_of)
    euros = [Decimal(grant["amount"]) for grant in grants if grant.get("currency") == "EUR"]
    assert left["acme", "EUR"].left == sum(euros)
    unplanned = replace(state(held), unplanned={"acme-basic": "no plan"})
    monkeypatch.setattr("rating.estimates.prepaid_left.read_accounts", lambda *_: unplanned)
    left = prepaid_left(NO_CLIENT, held.view(), places, Checkpoints(), as_of)
    assert left["acme", "USD"] == PrepaidLeft(None, NOW, "subscription acme-basic: no plan")
