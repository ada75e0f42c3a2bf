"""Own units: their codes say their scale; what is wrong with a unit, a grant, a plan or a top-up in one says so."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from schemas.catalog.models import Plan
from schemas.catalog.prepaid.top_ups import TopUp
from schemas.catalog.prepaid.units import Unit
from schemas.catalog.state import record_of
from schemas.catalog.terms import CreditGrant
from schemas.values.currency import exponent, is_known, is_own_unit

PLAN = {"code": "p", "currency": "token", "charges": [{"product": "x", "price": {"model": "flat", "amount": "1"}}]}
GRANT = {"code": "g", "account": "a", "currency": "token", "amount": "1000"}
TOP_UP = {"currency": "token", "floor": "10", "target": "50", "daily_limit": "100"}
RATE = {"currency": "USD", "rate": "0.00002"}


@pytest.mark.parametrize(("code", "digits"), [("token", 0), ("credit.2", 2), ("gpu_second.12", 12), ("a1b.1", 1)])
def test_a_units_code_says_its_scale(code: str, digits: int) -> None:
    assert (exponent(code), is_known(code), is_own_unit(code)) == (digits, True, True)
    assert Unit.model_validate({"code": code}).code == code


@pytest.mark.parametrize(
    "code", ["usd", "xau", "Token", "token.0", "token.13", "token.", "to", "1st", "t" * 25, "", "ab c"]
)
def test_what_is_no_unit(code: str) -> None:
    assert not is_own_unit(code)
    with pytest.raises(ValidationError):
        Unit.model_validate({"code": code})
    with pytest.raises(ValueError, match=r"is not an ISO 4217 currency code|no minor unit"):
        exponent(code)


@pytest.mark.parametrize(
    ("model", "body", "fault"),
    [
        (Plan, PLAN | {"currency": "USD", "overage": RATE}, "USD is money: remove it"),
        (Plan, PLAN | {"overage": RATE | {"currency": "ZZZ"}}, "'ZZZ' is not an ISO 4217"),
        (Plan, PLAN | {"overage": RATE | {"currency": "token"}}, "String should match pattern"),
        (Plan, PLAN | {"overage": RATE | {"rate": "0"}}, "0"),
        (CreditGrant, GRANT | {"amount": "0.5"}, "amount 0.5 has more than token's 0 decimals"),
        (CreditGrant, GRANT | {"cost_basis": "10"}, "cost_basis of token is in money; write its cost_currency"),
        (CreditGrant, GRANT | {"cost_basis": "1.001", "cost_currency": "USD"}, "more than USD's 2 decimals"),
        (CreditGrant, GRANT | {"cost_currency": "USD"}, "cost_currency is of the cost_basis"),
        (CreditGrant, GRANT | {"currency": "EUR", "cost_basis": "1", "cost_currency": "USD"}, "grant in an own unit"),
        (TopUp, TOP_UP, "token has no cost; write what one is bought for"),
        (TopUp, TOP_UP | {"currency": "USD", "cost": RATE}, "USD is money: remove cost"),
        (TopUp, TOP_UP | {"floor": "0.5", "cost": RATE}, "floor 0.5 has more than token's 0 decimals"),
    ],
)
def test_what_goes_with_units_and_what_with_money(model: Any, body: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        model.model_validate(body)


def test_what_stands_in_the_log_of_before_stays_as_it_was() -> None:
    grant = CreditGrant.model_validate(GRANT | {"currency": "USD", "cost_basis": "9"})
    plan = Plan.model_validate(PLAN | {"currency": "USD"})
    for kind, model in (("credit_grant", grant), ("plan", plan)):
        body = record_of("shop", model, kind=kind, version=1, author="", claim_id="")["body"]
        assert not any(name in body for name in ("cost_currency", "overage", "top_ups"))
    bought = CreditGrant.model_validate(GRANT | {"cost_basis": "9.50", "cost_currency": "USD"})
    assert (bought.paid_in, bought.cost_basis) == ("USD", Decimal("9.50"))
