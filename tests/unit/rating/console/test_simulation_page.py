"""The page that simulates a price: its form asks what the API takes, and its answer is drawn as it is."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from rating.api.simulations import SimulationRequest
from rating.console.frame import Frame
from rating.console.simulate.difference_bars import difference_bars
from rating.console.simulate.simulation_draft import filled_simulation, opened_simulation
from rating.console.simulate.simulation_page import simulation_page
from schemas.catalog.models import KINDS
from schemas.catalog.state import Catalog, NamespaceView, record_of
from schemas.http.openapi import JsonObject
from schemas.prices import parse_price
from tests.unit.rating.console.test_catalog_forms import PRICES, Sent

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FRAME = Frame("shop", may_change=True, token="t")


def view_with(price: JsonObject) -> NamespaceView:
    """Plan p, which charges calls at the price."""
    catalog = Catalog()
    plan = {"code": "p", "currency": "USD", "charges": [{"product": "calls", "price": price}]}
    model = KINDS["plan"].model_validate(plan)
    catalog.apply(record_of("shop", model, kind="plan", version=1, author="", claim_id=""), 0, 0)
    return catalog.view("shop")


@pytest.mark.parametrize("price", PRICES)
def test_the_form_opens_with_the_charges_price_and_sends_it_to_the_api(price: JsonObject) -> None:
    view = view_with(price)
    page = simulation_page(FRAME, opened_simulation(view, "p", "calls", NOW))
    fields = Sent(page.partition('class="entry"')[2].partition("</form>")[0]).fields
    assert (fields["period"], fields["plan"], fields["charge"]) == ("2026-02", "p", "calls")
    sent = filled_simulation(view, fields)
    assert (sent.faults, sent.general) == ({}, ())
    body = sent.request(5)
    assert SimulationRequest.model_validate(body).prices == body["prices"]
    assert parse_price(body["prices"]["calls"], "USD") == parse_price(price, "USD")


def test_another_plan_goes_before_a_price_and_faults_stand_at_their_fields() -> None:
    view = view_with({"model": "flat", "amount": "1"})
    typed = {"period": "2026-01", "charge": "calls", "price.model": "tiered", "price.tiers.0.up_to": "x"}
    wrong = filled_simulation(view, typed)
    assert "price.tiers.0.up_to" in wrong.faults
    page = simulation_page(FRAME, wrong)
    assert 'href="#f-price.tiers.0.up_to"' in page
    moved = filled_simulation(view, typed | {"to_plan": "p"})
    assert (moved.faults, moved.request(1)) == ({}, {"period": "2026-01", "limit": 1, "to_plan": "p"})
    told = moved.with_faults([("period", "is none"), ("prices.calls", "no plan has it"), ("other", "odd")])
    assert (told.faults, told.general) == ({"period": "is none", "charge": "no plan has it"}, ("other: odd",))


def test_who_pays_less_is_drawn_to_the_left_and_who_pays_more_to_the_right() -> None:
    def compared(account: str, before: str, difference: str, pays: str) -> JsonObject:
        after = str(float(before) + float(difference))
        amounts = {"before": before, "after": after, "difference": difference}
        return {"account_id": account, "subscription": f"s-{account}", "currency": "USD", "pays": pays} | amounts

    rows = [compared("a<b>", "10", "-5", "less"), compared("c", "0", "2.5", "more")]
    total = {"currency": "USD", "before": "10", "after": "7.5", "difference": "-2.5", "subscriptions": 3,
             "pay_less": 1, "pay_more": 1, "pay_the_same": 1}  # fmt: skip
    answer = {"period": "2026-02", "totals": [total], "problems": ["odd <one>"], "subscriptions": rows, "left_out": 7}
    page = simulation_page(FRAME, opened_simulation(view_with({"model": "flat", "amount": "1"}), "", "", NOW), answer)
    assert "a&lt;b&gt;: −5 USD" in page
    assert "c: +2.5 USD" in page
    assert "−50.0 %" in page
    assert "7 subscriptions between those" in page
    assert "odd &lt;one&gt;" in page
    bars = difference_bars([("a", Decimal(-5)), ("b", Decimal("2.5"))], "USD")
    assert [
        bars.index(part) for part in ('class="less-paid" rx="1.5" x="300.0"', 'class="more-paid" rx="1.5" x="650.0"')
    ]


def test_without_a_period_that_has_ended_it_says_so() -> None:
    answer = {"period": "2026-02", "totals": [], "problems": [], "subscriptions": [], "left_out": 0}
    draft = opened_simulation(Catalog().view("shop"), "", "", NOW)
    assert "No billing period of these customers begins in 2026-02" in simulation_page(FRAME, draft, answer)
