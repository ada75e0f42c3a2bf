"""A line's part of a whole period: flat amounts and minimums are prorated, all else is not; a trial bills nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from rating.pricing import Rated, parse_price, rate
from schemas.catalog.models import Plan
from schemas.prices import PriceError

HALF = {"part_seconds": "1296000", "whole_seconds": "2592000"}
THIRD = {"part_seconds": "864000", "whole_seconds": "2592000"}
TIERS = [{"up_to": "10", "unit_amount": "1", "flat_amount": "4"}, {"up_to": None, "unit_amount": "2"}]


def rated(price: dict[str, Any], quantity: str = "1", currency: str = "USD") -> Rated:
    result = rate(parse_price(price, currency), Decimal(quantity), currency=currency)
    assert sum(step.amount for step in result.steps) == result.unrounded
    return result


@pytest.mark.parametrize(
    ("price", "quantity", "amount", "unrounded"),
    [
        ({"model": "flat", "amount": "10", "proration": HALF}, "1", "5", "5"),
        ({"model": "flat", "amount": "10", "proration": THIRD}, "1", "3.33", "3.333333333333"),
        ({"model": "flat", "amount": "-10", "proration": THIRD}, "1", "-3.33", "-3.333333333333"),
        ({"model": "flat", "amount": "10", "proration": {"part_seconds": "0", "whole_seconds": "1"}}, "1", "0", "0"),
        ({"model": "flat", "amount": "10", "maximum_amount": "4", "proration": HALF}, "1", "4", "4"),
        ({"model": "per_unit", "unit_amount": "1", "minimum_amount": "9", "proration": THIRD}, "2", "3", "3"),
        ({"model": "per_unit", "unit_amount": "1", "minimum_amount": "9", "proration": THIRD}, "4", "4", "4"),
        (
            {"model": "tiered", "tiers": TIERS, "proration": HALF},
            "12",
            "18",
            "18",
        ),  # bounds and their flat amounts are whole
        ({"model": "volume", "tiers": TIERS, "included_units": "2", "proration": HALF}, "12", "14", "14"),
        ({"model": "per_unit", "unit_amount": "1", "minimum_amount": "9", "trial": True}, "20", "0", "0"),
        ({"model": "flat", "amount": "10", "trial": True}, "1", "0", "0"),
    ],
)
def test_what_is_prorated_and_what_is_not(price: dict[str, Any], quantity: str, amount: str, unrounded: str) -> None:
    result = rated(price, quantity)
    assert (result.amount, result.unrounded) == (Decimal(amount), Decimal(unrounded))


def test_steps_and_notes_tell_the_part_and_what_a_trial_did_not_bill() -> None:
    part = rated({"model": "flat", "amount": "10", "proration": THIRD})
    assert part.steps[1].text == "10 of 30 days of the period: 10 becomes 3.333333333333"
    assert [step.kind for step in part.steps] == ["flat", "proration"]
    hours = rated({"model": "flat", "amount": "743", "proration": {"part_seconds": "3600", "whole_seconds": "2674800"}})
    assert hours.steps[1].text == "3600 of 2674800 seconds of the period: 743 becomes 1"
    trial = rated({"model": "per_unit", "unit_amount": "0.5", "trial": True}, "7")
    assert trial.notes == ("in trial: 3.5 is not billed",)
    least = rated({"model": "per_unit", "unit_amount": "1", "minimum_amount": "9", "proration": THIRD}, "2")
    assert least.steps[-1].text == "minimum 3 (9 for 10 of 30 days of the period): 2 is raised to it"


def test_a_price_without_part_and_trial_is_written_as_before() -> None:
    price = {"model": "flat", "amount": "10", "currency": "USD"}
    assert parse_price(price).model_dump(mode="json") == price
    full_value = price | {"proration": HALF, "trial": True}
    assert parse_price(full_value).model_dump(mode="json") == full_value


@pytest.mark.parametrize(
    ("proration", "problem"),
    [
        ({"part_seconds": "2", "whole_seconds": "1"}, "price.proration.part_seconds: 2 is above whole_seconds 1"),
        ({"part_seconds": "-2", "whole_seconds": "1"}, "price.proration.part_seconds: -2 is negative"),
        ({"part_seconds": "0", "whole_seconds": "0"}, "price.proration.whole_seconds: 0 is not above 0"),
    ],
)
def test_a_part_is_of_a_whole(proration: dict[str, str], problem: str) -> None:
    with pytest.raises(PriceError) as caught:
        parse_price({"model": "flat", "amount": "1", "proration": proration})
    assert problem in str(caught.value)


@pytest.mark.parametrize("field", [{"trial": True}, {"proration": HALF}])
def test_a_plan_does_not_say_what_the_close_does(field: dict[str, Any]) -> None:
    charge = {"product": "fee", "price": {"model": "flat", "amount": "1"} | field}
    with pytest.raises(ValidationError, match="proration and trial are set by the close; remove them"):
        Plan.model_validate({"code": "p", "currency": "USD", "charges": [charge]})


def test_a_plan_does_not_list_prices_by_time() -> None:
    earlier = [{"price": {"model": "per_unit", "unit_amount": "2"}, "seconds": "1"}]
    price = {"model": "per_unit", "unit_amount": "1", "by_time": {"seconds": "1", "earlier": earlier}}
    with pytest.raises(ValidationError, match="by_time is set by the close; remove it"):
        Plan.model_validate({"code": "p", "currency": "USD", "charges": [{"product": "c", "price": price}]})
    nested = {
        "model": "per_unit",
        "unit_amount": "1",
        "by_time": {"seconds": "1", "earlier": [{"price": price, "seconds": "1"}]},
    }
    with pytest.raises(PriceError, match=r"price\.by_time\.earlier: a price in it has a by_time of its own"):
        parse_price(nested)


def test_only_a_flat_price_is_billed_in_advance() -> None:
    charge = {"product": "fee", "in_advance": True, "price": {"model": "per_unit", "unit_amount": "1"}}
    with pytest.raises(ValidationError, match="in_advance needs a price of model flat"):
        Plan.model_validate({"code": "p", "currency": "USD", "charges": [charge]})
