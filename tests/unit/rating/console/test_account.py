"""The account page where a charge has no price for some usage, or a subscription cannot be estimated: everything else
stays on it."""

from __future__ import annotations

from rating.console.account_page import estimate

CHARGE = {
    "charge": "tokens",
    "metric": "tok.in",
    "unit": "token",
    "quantity": "9",
    "amount": "2.00",
    "projected_quantity": "9",
    "period_start": "2026-06-01T00:00:00Z",
    "period_end": "2026-06-02T00:00:00Z",
    "projected_amount": "2.00",
    "trend": None,
    "unpriced": [{"text": "account acme, charge tokens: model=<b> has no price; `weir void k`"}],
}
RUNNING = {
    "subscription": "s",
    "time_zone": "UTC",
    "plan": "daily",
    "plan_version": 1,
    "period_start": "2026-06-01T00:00:00Z",
    "period_end": "2026-06-02T00:00:00Z",
    "currency": "USD",
    "estimated_subtotal": "12.00",
    "estimated_total": "12.00",
    "projected_subtotal": "12.00",
    "projected_total": "12.00",
    "last_period": None,
    "charges": [CHARGE],
    "reductions": [],
}


def test_a_charge_says_what_has_no_price_beside_its_amount() -> None:
    shown = estimate(RUNNING)
    assert "model=&lt;b&gt; has no price; `weir void k`" in shown
    assert "Estimated total" in shown
    assert "has no price" not in estimate(RUNNING | {"charges": [CHARGE | {"unpriced": []}]})
