"""The account page where a charge has no price for some usage, or a subscription cannot be estimated: everything else
stays on it."""

from __future__ import annotations

from rating.console.customers.limits_panel import limited
from rating.console.customers.prepaid_panel import prepaid, topped_up
from rating.console.customers.running_charges import estimate
from rating.console.frame import Frame

FRAME = Frame("shop")
CHARGE = {
    "charge": "tokens",
    "product": "tok",
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
    shown = estimate(FRAME, RUNNING)
    assert "model=&lt;b&gt; has no price; `weir void k`" in shown
    assert "Estimated total" in shown
    assert "has no price" not in estimate(FRAME, RUNNING | {"charges": [CHARGE | {"unpriced": []}]})


def test_prepaid_credit_is_shown_with_its_live_balance_and_its_entries() -> None:
    amounts = {"settled": "50.00", "pending": "30.00", "running": "8.00", "live": "12.00"}
    total = {"currency": "USD"} | amounts
    gift = total | {"code": "gift", "state": "active", "expires": None, "granted": "50.00"}
    balance = {"grants": [gift], "balances": [total], "problems": ["subscription s: no price"]}
    entry = {
        "at": "2026-01-01T00:00:00Z", "kind": "grant", "grant": "gift", "currency": "USD", "amount": "50.00",
        "balance": "50.00", "total": "50.00", "invoice_id": None,
    }  # fmt: skip
    shown = str(prepaid(balance, {"entries": [entry], "next_cursor": "9"}))
    for text in ("Live balance", "12.00", "no price", "2026-01-01T00:00:00Z", "Only the latest are shown"):
        assert text in shown
    assert prepaid({"grants": []}, {"entries": []}) is None


def test_top_ups_are_shown_as_they_stand() -> None:
    topup = {
        "at": "2026-01-01T00:00:00Z", "state": "paid", "topup_id": "top_1", "amount": "501", "currency": "token",
        "cost": "0.63", "cost_currency": "USD", "balance": "-1", "reference": "<pi_1>",
    }  # fmt: skip
    shown = str(topped_up({"topups": [topup], "next_cursor": "9"}))
    for text in ("501 token", "0.63 USD", "top_1", "&lt;pi_1&gt;", "Only the latest are shown"):
        assert text in shown
    assert topped_up({"topups": [], "next_cursor": None}) is None


def test_limits_are_shown_with_what_is_reserved_of_them() -> None:
    limit = {
        "hard": True, "reset": "billing_period", "rolling": None, "unit": "token", "granted": "1000", "used": "70",
        "reserved": "20", "remaining": "910", "resets_at": "2026-02-01T00:00:00Z", "block": False,
    }  # fmt: skip
    soft = limit | {"hard": False, "reset": None, "used": None}
    entitlement = {"feature": "<api>", "limits": [limit, soft], "credit": None}
    credit = {"currency": "token", "balance": "150", "floor": "200", "block": True, "reserved": None, "remaining": "0"}
    floor = {"feature": "sso", "allowed": False, "detail": "top up", "limits": [], "credit": credit}
    reservation = {
        "feature": "<api>", "reservation_id": "rsv_1", "quantity": "20", "reserved_at": "2026-01-05T00:00:00Z",
        "expires_at": "2026-01-05T00:05:00Z",
    }  # fmt: skip
    none = {"entitlements": [], "problems": [], "reservations": [], "next_cursor": None}
    answer = {"entitlements": [entitlement, floor], "reservations": [reservation], "next_cursor": "x"}
    shown = str(limited(none | answer))
    for text in ("&lt;api&gt;", "hard, billing period", "soft, for ever", "20 token", "910 token", "rsv_1", "first 50"):
        assert text in shown
    for text in ("150", "200", "no: top up"):
        assert text in shown
    assert "no price" in str(limited(none | {"problems": ["subscription s: no price"]}))
    assert limited(none) is None
