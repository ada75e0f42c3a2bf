"""Checks, alerts, balances and estimates of a moment say what an invoice of that moment says: one number for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.alerts import observations
from rating.alerts.observations import observe_state
from rating.alerts.watched import ActiveRule
from rating.api.entitlements.check_charges import CheckCharges, Turns
from rating.api.entitlements.checks import AskedGrant, FeatureCheck, MeasuredCheck, ReservedBeside
from rating.api.usage import current
from rating.entitlements.decision import EntitlementDecision
from rating.entitlements.granted import granted_to
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.prepaid_floors import FlooredCredit
from rating.estimates import account_state, prepaid_left
from rating.estimates.account_state import AccountState
from rating.estimates.prepaid_draws import drawn_in_all
from rating.invoices.amounts.prepaid.live_balances import live_balances
from rating.invoicing.need import Need
from rating.subscriptions.timeline import timeline
from rating.usage import UsageGroup
from schemas.catalog.alerts import AlertRule
from schemas.ledgers.checkpoints import Checkpoints
from schemas.values.instants import DAY
from tests.unit.rating.alerts.builders import NO_CLIENT
from tests.unit.rating.builders import Shelf
from tests.unit.rating.invoicing.builders import FEBRUARY, JANUARY, SUBSCRIPTION, Books, Used, amounts_of, catalog

NOW = JANUARY + 20 * DAY
TIERS = [{"up_to": "10", "unit_amount": "0.5", "flat_amount": "3"}, {"up_to": None, "unit_amount": "0.255"}]
PRICES: list[dict[str, Any]] = [
    {"model": "per_unit", "unit_amount": "0.013"}, {"model": "tiered", "tiers": TIERS},
    {"model": "volume", "tiers": TIERS}, {"model": "package", "package_size": "7", "package_amount": "1"},
    {"model": "per_unit", "unit_amount": "2", "included_units": "3", "minimum_amount": "5"},
]  # fmt: skip
RULES = [
    {"measure": "spend", "account": "acme", "currency": "USD", "thresholds": ["1"]},
    {"measure": "usage", "profile": "m.p", "interval": "month", "thresholds": ["1"]},
    {"measure": "balance", "currency": "USD", "direction": "falling", "thresholds": ["1"]},
]


def shop(price: dict[str, Any], granted: str, **subscription: Any) -> Shelf:
    """An account with limits in quantity and in money, with prepaid credit and a floor under it."""
    shelf = catalog(price)
    limits = [{"quantity": "40", "reset": "billing_period"}, {"amount": "9", "reset": "billing_period"}]
    shelf.add("feature", {"code": "f", "profile": "m.p", "limits": limits})
    grant = {"feature": "f", "credit_floor": {"currency": "USD", "floor": "1", "block": False}}
    shelf.add("subscription", SUBSCRIPTION | subscription | {"features": [grant]})
    shelf.add("credit_grant", {"code": "g", "account": "acme", "currency": "USD", "amount": granted})
    return shelf


class Moment:
    """What each part of Weir says at NOW of what the books have, by its own way."""

    def __init__(self, shelf: Shelf, books: Books, patch: pytest.MonkeyPatch) -> None:
        def measure(_client: Any, _name: str, needs: Mapping[Need, Any], *_: Any, **__: Any) -> Any:
            return books.measure(needs)

        self.view, self.measure = shelf.view(), books.measure
        line = timeline(self.view, "s")
        assert line is not None
        self.state = AccountState(self.view, ["acme"], NOW, [line], {}, [])
        for module in (account_state, observations):
            patch.setattr(module, "measure", measure)
        patch.setattr(account_state, "find_late", lambda *_, **__: {})
        patch.setattr(current, "read_progress", lambda _client: {})
        for reading in (prepaid_left, current):
            patch.setattr(reading, "read_accounts", lambda *_: self.state)

    def checked(self) -> EntitlementDecision:
        granted, charges = granted_to(self.view, "acme", NOW), CheckCharges(self.view, Turns())
        (grant,) = granted.grants["f"]
        limits = charges.limits(grant, "UTC", NOW)
        assert not isinstance(limits, str)
        assert grant.credit_floor is not None
        as_of = MeasuredAsOf({}, NOW)
        left = prepaid_left.prepaid_left(NO_CLIENT, self.view, [("acme", "USD")], Checkpoints(), as_of)
        credit = FlooredCredit(grant.credit_floor, left["acme", "USD"])
        usage: dict[Any, tuple[UsageGroup, ...]] = {}
        for asked in (asked for question in limits for asked in question.asked):
            assert isinstance(asked, Need)
            usage["acme", asked] = tuple(self.measure([asked])[asked]["acme"])
        check = FeatureCheck("acme", "f")
        measured = MeasuredCheck(check, (AskedGrant(grant, limits, credit),), usage, (), NOW, as_of)
        return measured.decision(ReservedBeside())

    def alerted(self) -> dict[str, Decimal | None]:
        rules = [ActiveRule(AlertRule.model_validate({"code": "r"} | rule), 1) for rule in RULES]
        look = observe_state(NO_CLIENT, Checkpoints(), rules, self.state)
        assert (look.problems, look.failures) == ({}, {})
        return {active.rule.measure: observation.value for active, observation in look.observed}

    def live(self) -> Decimal:
        used, problems = drawn_in_all(self.state.estimate(NO_CLIENT, Checkpoints()))
        assert problems == []
        (balance,) = live_balances(self.view, "acme", used, NOW)
        return balance.live

    def current(self) -> dict[str, Any]:
        class Service:
            checkpoints = Checkpoints()

            async def ask(self, question: Callable[[Any], Any]) -> Any:
                return question(NO_CLIENT)

        service: Any = Service()
        answer = asyncio.run(current.running(service, self.view, "acme", NOW))
        (running,) = answer["subscriptions"]
        return running


@given(
    st.sampled_from(PRICES), st.integers(1, 60).map(str),
    st.lists(st.decimals(0, 30, places=2), min_size=1, max_size=5),
    st.fixed_dictionaries({}, optional={"minimum_commitment": st.just("12"), "discounts": st.just(
        [{"code": "off", "percent": "12.5"}, {"code": "less", "amount": "0.75", "periods": 2}])}),
)  # fmt: skip
def test_every_answer_of_a_moment_is_what_its_invoice_says(
    price: dict[str, Any], granted: str, quantities: list[Decimal], terms: dict[str, Any]
) -> None:
    """The invoice is a close's, at the end of the period, of what was used by the moment."""
    shelf = shop(price, granted, **terms)
    books = Books(shelf, [Used(quantity, JANUARY + DAY) for quantity in quantities])
    with pytest.MonkeyPatch.context() as patch:
        moment = Moment(shelf, books, patch)
        checked, alerted, live, running = moment.checked(), moment.alerted(), moment.live(), moment.current()
    (invoice,) = books.close(FEBRUARY)
    usage = next(line for line in invoice.lines if line.kind == "usage")
    drawn = -sum((Decimal(line.amount) for line in invoice.lines if line.kind == "credit"), Decimal(0))
    subtotal, total = map(Decimal, amounts_of(invoice))
    in_quantity, in_money = checked.uses
    assert (
        in_quantity.used
        == alerted["usage"]
        == Decimal(usage.quantity or 0)
        == Decimal(running["charges"][0]["quantity"])
    )
    assert in_money.used == Decimal(usage.amount) == Decimal(running["charges"][0]["amount"])
    assert alerted["spend"] == subtotal == Decimal(running["estimated_subtotal"])
    assert total == Decimal(running["estimated_total"])
    assert live == alerted["balance"] == Decimal(granted) - drawn
    assert checked.credit is not None
    assert checked.credit.prepaid.left == live - total, "what is left to be paid in money is below zero"
    assert total == subtotal - drawn
