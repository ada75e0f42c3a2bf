"""A floor under prepaid credit refuses at or below it; balances are asked for together, and one account fails alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any

import pytest

from rating.api.entitlements import credit_balances
from rating.api.entitlements.answer import entitlement_json
from rating.api.entitlements.checks import FeatureCheck, answered
from rating.api.entitlements.credit_balances import CreditBalances
from rating.api.entitlements.usage_keeper import UsageKeeper
from rating.api.rating_problems import RatingProblem
from rating.entitlements.decision import EntitlementDecision
from rating.entitlements.granted import granted_to
from rating.entitlements.prepaid_floors import PrepaidLeft
from rating.topups.shortfall import AccountCurrency
from schemas.catalog.state import NamespaceView
from tests.unit.rating.builders import Shelf, us

NOW = us("2026-01-10T00:00:00Z")


class Store:
    """In place of ClickHouse and the close's code: what is left by account; ``asked``: each question's accounts."""

    def __init__(self, **left: str | None) -> None:
        self.left, self.asked = left, list[list[str]]()
        self.faulty: set[str] = set()

    async def ask(self, question: Callable[[Any], Any]) -> Any:
        await asyncio.sleep(0)
        return question(self)

    def stop(self) -> None:
        """It has nothing to end."""

    def balances(
        self, _client: Any, view: NamespaceView, places: Collection[AccountCurrency], now_us: int
    ) -> Mapping[AccountCurrency, PrepaidLeft]:
        assert view.namespace == "air"
        self.asked.append([account for account, _ in places])
        if self.faulty & {account for account, _ in places}:
            raise OSError("too much")
        lefts = {place: self.left.get(place[0], "0") for place in places}
        return {
            place: PrepaidLeft(
                None if left is None else Decimal(left), now_us, "" if left else "subscription s: no price"
            )
            for place, left in lefts.items()
        }

    def kept(self) -> CreditBalances:
        return CreditBalances(self, self.balances, lambda: NOW)


def catalog(**floor: Any) -> Shelf:
    shelf = Shelf()
    for code in ("sso", "export"):
        shelf.add("feature", {"code": code})
    features = [{"feature": "sso", "credit_floor": {"currency": "USD", "floor": "5"} | floor}, {"feature": "export"}]
    shelf.add("plan", {"code": "basic", "currency": "USD", "charges": [], "features": features})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", {"account": "acme", "plan": "basic", "start": "2026-01-01T00:00:00Z", "code": "s"})
    return shelf


def decisions(shelf: Shelf, store: Store) -> tuple[EntitlementDecision, ...]:
    async def scenario() -> tuple[EntitlementDecision, ...]:
        keeper = UsageKeeper(store, store, lambda: NOW, credit=store.kept())
        view = shelf.view()
        checks = [FeatureCheck("acme", code) for code in ("sso", "export")]
        nothing: Any = None  # neither is metered, so nobody asks what is reserved
        result = await answered(keeper, nothing, view, checks, {"acme": granted_to(view, "acme", NOW)}, NOW)
        keeper.stop()
        return result.decisions

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("left", "floor", "reason"),
    [
        ("5.01", {}, None),
        ("5", {}, "floor_reached"),
        ("-3.5", {}, "floor_reached"),
        ("5", {"block": False}, None),
        (None, {}, "undecided"),
        (None, {"block": False}, None),
        ("0", {"floor": "0"}, "floor_reached"),
    ],
)
def test_nothing_is_allowed_while_the_balance_is_not_above_its_floor(
    left: str | None, floor: dict[str, Any], reason: str | None
) -> None:
    sso, export = decisions(catalog(**floor), Store(acme=left))
    assert (sso.allowed, sso.reason, export.allowed, export.credit) == (reason is None, reason, True, None)
    answer = entitlement_json("acme", "sso", sso)
    expected = None if left is None else format(Decimal(left), ".2f")
    assert (answer["credit"]["balance"], answer["credit"]["currency"]) == (expected, "USD")
    if reason == "floor_reached":
        detail = f"account acme: its prepaid balance is {expected} USD, and has to be above {answer['credit']['floor']}"
        assert answer["detail"].startswith(detail)
    elif reason is not None:
        assert "cannot be told: subscription s: no price" in answer["detail"]


def test_of_two_subscriptions_one_without_a_floor_suffices() -> None:
    shelf = catalog()
    own = {"features": [{"feature": "sso"}], "account": "acme", "plan": "basic", "start": "2026-01-01T00:00:00Z"}
    shelf.add("subscription", own | {"code": "other"})
    assert decisions(shelf, Store(acme="1"))[0].allowed


def test_balances_are_asked_for_together_held_for_a_moment_and_asked_for_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    view, names = catalog().view(), [f"a{number}" for number in range(50)]
    store = Store(a1="7")

    async def scenario() -> None:
        balances = store.kept()
        assert await balances.of(view, ()) == {}
        left = await asyncio.gather(*(balances.of(view, {(name, "USD")}) for name in names))
        assert left[1]["a1", "USD"].left == Decimal(7)
        assert max(map(len, store.asked)) <= 20
        assert sorted(name for lot in store.asked for name in lot) == sorted(names)
        store.left["a1"] = "8"
        assert (await balances.of(view, {("a1", "USD")}))["a1", "USD"].left == Decimal(7)
        monkeypatch.setattr(credit_balances, "_FRESH_SECONDS", -1.0)
        # A little old: it answers at once, and is asked for beside that.
        assert (await balances.of(view, {("a1", "USD")}))["a1", "USD"].left == Decimal(7)
        await asyncio.sleep(0.01)
        assert (await balances.of(view, {("a1", "USD")}))["a1", "USD"].left == Decimal(8)
        await asyncio.sleep(0.01)
        store.left["a1"] = "9"
        monkeypatch.setattr(credit_balances, "_HELD_SECONDS", -1.0)
        assert (await balances.of(view, {("a1", "USD")}))["a1", "USD"].left == Decimal(9)
        balances.stop()

    asyncio.run(scenario())


def test_an_account_that_cannot_be_asked_for_fails_alone_and_rests() -> None:
    view, names = catalog().view(), [f"a{number}" for number in range(20)]
    store = Store()
    store.faulty = {"a13"}

    async def scenario() -> None:
        balances = store.kept()
        outcomes = await asyncio.gather(*(balances.of(view, {(name, "USD")}) for name in names), return_exceptions=True)
        assert [number for number, each in enumerate(outcomes) if isinstance(each, Exception)] == [13]
        asked = len(store.asked)
        assert asked <= 12
        for _ in range(20):
            with pytest.raises(RatingProblem, match="too much") as raised:
                await balances.of(view, {("a13", "USD")})
        assert len(raised.traceback) < 5, "what is raised again keeps no frames of those before"
        assert len(store.asked) == asked
        store.faulty = set(names)
        await asyncio.sleep(0)
        balances.stop()

    asyncio.run(scenario())
