"""Late usage of billed periods: what is rated again, and that sums of bills equal one bill over everything."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rating.invoicing.charges import Need
from rating.invoicing.late.adjustments import adjustments
from rating.invoicing.late.late_records import Late
from rating.invoicing.late.late_report import late_lines
from rating.invoicing.late.late_usage import Prior, prior_lines
from rating.pricing import parse_price, rate
from rating.pricing.exact import exact_sum
from rating.usage import Measured, Usage, UsageGroup
from schemas.ledgers.invoice_record import Invoice, Line
from tests.unit.rating.builders import invoice_of, line_of

TIERS = [{"up_to": "10", "unit_amount": "1.005"}, {"up_to": None, "unit_amount": "0.333", "flat_amount": "2"}]
PRICE = parse_price({"model": "tiered", "tiers": TIERS}, "USD")
NEED = Need(Measured("m.p", "sum", ((1, 86_400),)), 0, 100)


def line(charge: str = "c", start: int = 0, **changes: Any) -> Line:
    fields = {
        "number": 1, "charge": charge, "description": "P", "profile_id": "m.p", "profile_versions": (1,),
        "period_start": start,
        "period_end": start + 100, "quantity": "0", "events": "0", "price": json.dumps(PRICE.model_dump(mode="json")),
    }  # fmt: skip
    return line_of(**fields | changes)


def invoice(name: str, *lines: Line, **changes: Any) -> Invoice:
    return invoice_of(invoice_id=name, lines=lines, **changes)


def test_only_lines_that_late_records_may_touch_are_rated_again() -> None:
    chain = [
        invoice("one", line(start=0), line("flat", kind="flat", profile_id="")),
        invoice("two", line(start=100), line("other", start=100, profile_id="m.q")),
        invoice("three", line(start=200), state="void"),
        invoice("four", line(start=300), line("c", start=0, kind="adjustment", adjusts="one")),
    ]

    def found(*late: Late) -> list[tuple[str, str]]:
        return [(owner.invoice_id, item.charge) for owner, item in prior_lines(chain, late)]

    assert found(Late("m.p", 0, 99, 1)) == [("one", "c")]
    assert found(Late("m.p", 99, 100, 2)) == [("one", "c"), ("two", "c")]
    assert found(Late("m.q", 0, 500, 2)) == [("two", "other")]
    assert found(Late("m.p", 200, 300, 2)) == [("four", "c")]
    assert found(Late("m.none", 0, 500, 2)) == []


@given(st.lists(st.decimals(-20, 40, places=2), min_size=1, max_size=6))
def test_a_bill_and_its_adjustments_sum_to_one_bill_over_everything(parts: list[Decimal]) -> None:
    billed: list[Decimal] = []
    quantity = Decimal(0)
    for number, part in enumerate(parts, 1):
        quantity += part
        prior = Prior("one", line(), PRICE, NEED, exact_sum(billed), line())
        rows = {NEED: {"acme": [UsageGroup(Usage(quantity, number), "acme")]}}
        lines = adjustments([prior], rows, "acme", "USD")
        billed.extend(Decimal(item.amount) for item in lines)
        assert all(item.kind == "adjustment" and item.adjusts == "one" for item in lines)
        assert all(item.events == str(number) and Decimal(item.quantity) == quantity for item in lines)
        assert adjustments([Prior("one", line(), PRICE, NEED, exact_sum(billed), line())], rows, "acme", "USD") == []
    assert sum(billed) == rate(PRICE, quantity, currency="USD").amount


def test_the_report_of_late_usage_is_what_the_next_close_adjusts() -> None:
    chain = [invoice("one", line(), checkpoint=4)]
    rows = {NEED: {"acme": [UsageGroup(Usage(Decimal(3), 2), "acme")]}}
    (result,) = late_lines(chain, [Prior("one", line(), PRICE, NEED, Decimal("1.01"), line())], rows)
    to_json = result.to_json()
    assert (to_json["billed"], to_json["now"], to_json["difference"], to_json["billed_as_of_checkpoint"]) == (
        "1.01",
        "3.02",
        "2.01",
        4,
    )
    assert (to_json["invoice_id"], to_json["quantity_now"], to_json["events_now"]) == ("one", "3", 2)
    assert late_lines(chain, [Prior("one", line(), PRICE, NEED, Decimal("3.02"), line())], rows) == []
