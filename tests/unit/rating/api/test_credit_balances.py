"""A floor under prepaid credit refuses at or below it; balances are asked for together, and an account fails alone."""

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
        self.questions = 0
        self.fault: Exception | None = None

    async def ask(self, question: Callable[[Any], Any]) -> Any:
        self.questions += 1
        if self.fault is not None:
            raise self.fault
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


def checked(shelf: Shelf, store: Store, *account_features: tuple[str, str]) -> tuple[EntitlementDecision, ...]:
    async def scenario() -> tuple[EntitlementDecision, ...]:
        keeper = UsageKeeper(store, store, lambda: NOW, credit=store.kept())
        view = shelf.view()
        checks = [FeatureCheck(*account_feature) for account_feature in account_features]
        granted = {account: granted_to(view, account, NOW) for account, _ in account_features}
        nothing: Any = None  # none is metered, so nobody asks what is reserved
        try:
            return (await answered(keeper, nothing, view, checks, granted, NOW)).decisions
        finally:
            keeper.stop()

    return asyncio.run(scenario())


def decisions(shelf: Shelf, store: Store) -> tuple[EntitlementDecision, ...]:
    return checked(shelf, store, ("acme", "sso"), ("acme", "export"))


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
        for _ in range(20):
            left = await balances.of(view, {(name, "USD") for name in names})
            told = {name for (name, _), balance in left.items() if balance.left is not None}
            assert told == {*names} - {"a13"}
            assert (left["a13", "USD"].asked_in_vain, left["a13", "USD"].problem) == (True, "too much")
        assert len(store.asked) <= 12
        balances.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("block", [True, False])
def test_an_account_whose_balance_cannot_be_had_takes_no_answer_from_the_others(block: bool) -> None:
    shelf, store = catalog(block=block), Store(acme="6")
    shelf.add("account", {"code": "bad"})
    shelf.add("subscription", {"account": "bad", "plan": "basic", "start": "2026-01-01T00:00:00Z", "code": "t"})
    store.faulty = {"bad"}
    sso, export, of_acme = checked(shelf, store, ("bad", "sso"), ("bad", "export"), ("acme", "sso"))
    assert (export.allowed, of_acme.allowed) == (True, True)
    assert (sso.allowed, sso.reason) == ((False, "undecided") if block else (True, None))
    assert entitlement_json("bad", "sso", sso)["credit"]["balance"] is None
    if not block:
        return
    assert "cannot be told: too much" in sso.detail
    with pytest.raises(RatingProblem, match="prepaid balance cannot be told: too much"):  # nothing of it can be told
        checked(shelf, store, ("bad", "sso"))


def test_a_namespace_whose_questions_take_long_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credit_balances, "_SLOW_SECONDS", -1.0)  # every question takes long
    monkeypatch.setattr(credit_balances, "_FRESH_SECONDS", -1.0)
    monkeypatch.setattr(credit_balances, "_HELD_SECONDS", -1.0)
    view, store, slow = catalog().view(), Store(), Store()

    async def scenario() -> None:
        balances = CreditBalances(store, store.balances, lambda: NOW, slow)
        for _ in range(3):
            await balances.of(view, {("a", "USD")})
        assert (store.questions, slow.questions) == (1, 2)
        monkeypatch.setattr(credit_balances, "_SLOW_SECONDS", 1000.0)
        for _ in range(2):
            await balances.of(view, {("a", "USD")})
        assert (store.questions, slow.questions) == (2, 3), "and is among the quick ones again"
        balances.stop()

    asyncio.run(scenario())


def test_what_takes_longer_than_the_quick_places_allow_is_asked_once_more_among_the_slow() -> None:
    view, quick, slow = catalog().view(), Store(), Store(a="7")
    quick.fault = OSError("Code: 159. DB::Exception: timeout exceeded")

    async def scenario() -> None:
        balances = CreditBalances(quick, slow.balances, lambda: NOW, slow)
        assert (await balances.of(view, {("a", "USD")}))["a", "USD"].left == Decimal(7)
        slow.fault = quick.fault
        assert (await balances.of(view, {("b", "USD")}))["b", "USD"].asked_in_vain
        assert (quick.questions, slow.questions) == (2, 2)
        balances.stop()

    asyncio.run(scenario())
