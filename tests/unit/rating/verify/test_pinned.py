"""Which prices a line may have been billed at, by the catalog that its invoice names."""

from __future__ import annotations

from typing import Any

from rating.verify.invoices.from_topic import plan_price_text, prices_of
from schemas.catalog.models import KINDS
from schemas.catalog.state import Catalog, record_of


def unit(amount: str) -> dict[str, Any]:
    return {"model": "per_unit", "unit_amount": amount}


class Shop:
    """A namespace ``s`` whose entries are published one after another."""

    def __init__(self) -> None:
        self.catalog = Catalog()
        self.versions: dict[tuple[str, str], int] = {}

    def publish(self, kind: str, **body: Any) -> int:
        key = (kind, body["code"])
        self.versions[key] = self.versions.get(key, 0) + 1
        model = KINDS[kind].model_validate(body)
        record = record_of("s", model, kind=kind, version=self.versions[key], author="", claim_id="")
        assert self.catalog.apply(record, self.catalog.next_offset, 1) is not None
        return self.catalog.next_offset

    def plan(self, amount: str) -> int:
        return self.publish("plan", code="basic", currency="USD", charges=[{"product": "calls", "price": unit(amount)}])

    def subscribe(self, version: int, **more: Any) -> int:
        return self.publish(
            "subscription",
            code="sub",
            account="a",
            plan="basic",
            plan_version=version,
            start="2026-01-01T00:00:00Z",
            **more,
        )

    def prices(self, before: int) -> set[str]:
        return prices_of(self.catalog.view("s", before), "sub", "calls")


def text(amount: str) -> str:
    return plan_price_text(f'{{"model": "per_unit", "unit_amount": "{amount}"}}', "USD")


def test_the_pinned_plan_version_counts_and_not_a_later_one() -> None:
    shop = Shop()
    shop.plan("1")
    billed = shop.subscribe(1)
    shop.plan("2")
    assert shop.prices(billed) == shop.prices(shop.catalog.next_offset) == {text("1.00")}
    moved = shop.subscribe(2)
    assert shop.prices(moved) == {text("1"), text("2")}  # the period in which it moved has both
    assert prices_of(shop.catalog.view("s"), "sub", "other") == set()


def test_an_override_stands_in_place_of_the_plans_price() -> None:
    shop = Shop()
    shop.plan("1")
    offset = shop.subscribe(1, overrides=[{"charge": "calls", "price": unit("0.9")}])
    assert shop.prices(offset) == {text("0.9")}


def test_what_the_close_adds_to_a_price_is_left_aside() -> None:
    added = (
        '{"model": "per_unit", "unit_amount": "1", "trial": true, "proration": {"part_seconds": '
        '"1", "whole_seconds": "2"}}'
    )
    assert plan_price_text(added, "USD") == text("1")
    assert plan_price_text("no price", "USD") == "no price"
