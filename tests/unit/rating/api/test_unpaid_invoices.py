"""What is due on interim invoices is asked for together, once a second, and blocks only what says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rating.api.entitlements import unpaid_invoices
from rating.api.entitlements.checks import FeatureCheck, answered
from rating.api.entitlements.unpaid_invoices import UnpaidInvoices
from rating.api.entitlements.usage_keeper import UsageKeeper
from rating.api.rating_problems import RatingProblem
from rating.entitlements.granted import granted_to
from tests.unit.rating.builders import Shelf, us


class Store:
    """In place of ClickHouse: subscription → what is due; ``asked``: of each question the subscriptions."""

    def __init__(self, **due: str) -> None:
        self.due, self.asked = due, list[list[str]]()
        self.fault: Exception | None = None

    async def ask(self, question: Callable[[Any], Any]) -> Any:
        await asyncio.sleep(0)
        return question(self)

    def stop(self) -> None:
        """It has nothing to end."""

    def query(self, _sql: str, parameters: dict[str, Any]) -> Any:
        if self.fault is not None:
            raise self.fault
        assert parameters["namespace"] == "air"
        self.asked.append(parameters["names"])
        rows = [(name, (0, 0, f"inv_{name}", self.due[name])) for name in parameters["names"] if name in self.due]
        return type("Result", (), {"result_rows": rows})


def test_what_is_asked_for_at_once_is_one_question_and_known_for_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(s1="36 USD")

    async def scenario() -> None:
        unpaid = UnpaidInvoices(store)
        assert await unpaid.of("air", ()) == {}
        of = await asyncio.gather(*(unpaid.of("air", {f"s{number}"}) for number in range(250)))
        assert [name for each in of for name in each] == ["s1"]
        assert "interim invoice inv_s1 over 36 USD of subscription s1 is not paid" in of[1]["s1"]
        assert max(map(len, store.asked)) <= 100
        assert sum(map(len, store.asked)) == 250
        store.due.clear()
        assert list(await unpaid.of("air", {"s1", "s2"})) == ["s1"]
        monkeypatch.setattr(unpaid_invoices, "_FRESH_SECONDS", -1.0)
        assert await unpaid.of("air", {"s1"}) == {}
        store.fault = OSError("gone")
        with pytest.raises(RatingProblem, match="gone"):
            await unpaid.of("air", {"s1"})
        store.fault = None
        assert await unpaid.of("air", {"s1"}) == {}
        unpaid.stop()

    asyncio.run(scenario())


def test_a_grant_blocks_only_where_it_says_so_and_its_own_subscription_is_not_paid() -> None:
    shelf, store = Shelf(), Store(s="36 USD")
    for code in ("sso", "export"):
        shelf.add("feature", {"code": code})
    features = [{"feature": "sso", "block": True}, {"feature": "export"}]
    shelf.add("plan", {"code": "basic", "currency": "USD", "charges": [], "features": features})
    shelf.add("account", {"code": "acme"})
    start = {"account": "acme", "plan": "basic", "start": "2026-01-01T00:00:00Z"}
    shelf.add("subscription", start | {"code": "s"})
    now_us = us("2026-01-10T00:00:00Z")

    async def decisions() -> list[tuple[bool, str | None]]:
        keeper = UsageKeeper(store, store, lambda: now_us)
        view = shelf.view()
        checks = [FeatureCheck("acme", code) for code in ("sso", "export")]
        nothing: Any = None  # neither is metered, so nobody asks what is reserved
        result = await answered(keeper, nothing, view, checks, {"acme": granted_to(view, "acme", now_us)}, now_us)
        keeper.stop()
        assert {type(decision.detail) for decision in result.decisions} == {str}, "it is encoded as it is"
        return [(decision.allowed, decision.reason) for decision in result.decisions]

    assert asyncio.run(decisions()) == [(False, "unpaid"), (True, None)]
    shelf.add("subscription", start | {"code": "other"})  # one that allows suffices
    assert asyncio.run(decisions()) == [(True, None), (True, None)]
    store.due = {}
    assert asyncio.run(decisions()) == [(True, None), (True, None)]
