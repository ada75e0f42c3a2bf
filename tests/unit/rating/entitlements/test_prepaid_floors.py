"""A floor under prepaid credit counts what is asked for and what is reserved, by what the invoice would draw."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rating.api.entitlements.check_charges import CheckCharges, Turns
from rating.api.entitlements.checks import AskedGrant, FeatureCheck, MeasuredCheck, ReservedBeside
from rating.api.usage.reservations import judged
from rating.entitlements.decision import EntitlementDecision
from rating.entitlements.granted import granted_to
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.prepaid_floors import FlooredCredit, PrepaidLeft
from rating.entitlements.reservations.reservation_requests import (
    ClosingRequest,
    ReservationRefused,
    ReserveRequest,
    Unwritten,
    close,
    reserve,
)
from rating.estimates import account_state, prepaid_left
from rating.estimates.account_state import AccountState
from rating.invoicing.need import Need
from rating.subscriptions.timeline import timeline
from rating.usage import Usage, UsageGroup
from rating.verify.independent.price_arithmetic import cost, rounded
from schemas.catalog.state import NamespaceView
from schemas.ledgers.checkpoints import Checkpoints
from schemas.ledgers.reservations.reservation_record import Closing, Reservation, reservation_id
from schemas.prices import parse_price
from schemas.values.instants import SECOND
from tests.unit.rating.alerts.builders import NO_CLIENT
from tests.unit.rating.builders import Shelf, us
from tests.unit.rating.entitlements.reservation_services import EVENTS, Log

NOW = us("2026-03-10T12:34:56Z")
METER = {
    "code": "calls",
    "profiles": [
        {"code": "n", "aggregation": "sum", "property": ["n"], "dimensions": [["model"]]},
        {"code": "m", "aggregation": "sum", "property": ["m"]},
        {"code": "top", "aggregation": "max", "property": ["n"]},
    ],
}
TIERS = [{"up_to": "10", "unit_amount": "0.5", "flat_amount": "3"}, {"up_to": None, "unit_amount": "0.25"}]
PER_UNIT = {"model": "per_unit", "unit_amount": "2"}
PRICES: list[dict[str, Any]] = [
    PER_UNIT, {"model": "per_unit", "unit_amount": "0.013", "included_units": "5"}, {"model": "tiered", "tiers": TIERS},
    {"model": "volume", "tiers": TIERS}, {"model": "package", "package_size": "7", "package_amount": "1"},
    {"model": "per_unit", "unit_amount": "2", "minimum_amount": "30", "maximum_amount": "40"},
]  # fmt: skip
MATRIX = {"model": "matrix", "dimensions": ["model"], "cells": [{"values": ["a"], "unit_amount": "1"}]}
FEATURES = {"f": "calls.n", "g": "calls.m"}


def shop(
    price: dict[str, Any], other: dict[str, Any] = PER_UNIT, grants: Collection[str] = ("60",), **floor: Any
) -> Shelf:
    """An account whose features f and g, each with a price of its own, are paid by the same credit."""
    shelf = Shelf()
    shelf.add("meter", METER)
    credit_floor = {"currency": "USD", "floor": "10"} | floor
    for code, profile in (*FEATURES.items(), ("top", "calls.top")):
        shelf.add("feature", {"code": code, "profile": profile})
    for code, profile in FEATURES.items():
        shelf.add("product", {"code": code, "profile": profile})
    charges = [{"product": "f", "price": price}, {"product": "g", "price": other}]
    features = [{"feature": code, "credit_floor": credit_floor} for code in (*FEATURES, "top")]
    shelf.add("plan", {"code": "p", "currency": "USD", "charges": charges, "features": features})
    shelf.add("account", {"code": "acme"})
    shelf.add("subscription", {"code": "s", "account": "acme", "plan": "p", "start": "2026-03-01T00:00:00Z"})
    for number, amount in enumerate(grants):
        shelf.add("credit_grant", {"code": f"c{number}", "account": "acme", "currency": "USD", "amount": amount})
    return shelf


@contextmanager
def used(view: NamespaceView, quantities: Mapping[str, Decimal]) -> Iterator[None]:
    """ClickHouse has so much of each profile, and nothing else."""

    def measure(_client: Any, _name: str, needs: Mapping[Need, Any], *_: Any, **__: Any) -> Any:
        def rows(need: Need) -> dict[str, list[UsageGroup]]:
            quantity = quantities.get(need.profile.profile_id)
            values = ("a",) if need.dimensions else ()
            return {} if quantity is None else {"acme": [UsageGroup(Usage(quantity, 1), "acme", dimensions=values)]}

        return {need: rows(need) for need in needs}

    line = timeline(view, "s")
    assert line is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(account_state, "find_late", lambda *_, **__: {})
        patch.setattr(account_state, "measure", measure)
        state = AccountState(view, ["acme"], NOW, [line], {}, [])
        patch.setattr(prepaid_left, "read_accounts", lambda *_: state)
        yield


def balance(view: NamespaceView, quantities: Mapping[str, Decimal], cut: int = 0) -> PrepaidLeft:
    with used(view, quantities):
        as_of = MeasuredAsOf({EVENTS: cut}, NOW)
        left = prepaid_left.prepaid_left(NO_CLIENT, view, [("acme", "USD")], Checkpoints(), as_of)
    return left["acme", "USD"]


def check_of(view: NamespaceView, left: PrepaidLeft, feature: str, quantity: Decimal | None) -> MeasuredCheck:
    granted, charges = granted_to(view, "acme", NOW), CheckCharges(view, Turns())
    (grant,) = granted.grants[feature]
    limits = charges.limits(grant, "UTC", NOW)
    assert not isinstance(limits, str)
    assert grant.credit_floor is not None
    of_grants = (AskedGrant(grant, limits, FlooredCredit(grant.credit_floor, left)),)
    usage: Any = {("acme", asked): () for question in limits for asked in question.asked}
    check = FeatureCheck("acme", feature, quantity)
    return MeasuredCheck(check, of_grants, usage, (), NOW, left.as_of, charges.reservable(granted))


def drawn(price: dict[str, Any], quantity: Decimal) -> Fraction:
    """What an invoice charges, by arithmetic that shares nothing with it."""
    pinned = parse_price(price).model_dump(mode="json")
    return rounded(cost(pinned, {(): Fraction(quantity)}, 1), 2)


quantities = st.decimals(0, 40, places=2)


@given(
    st.sampled_from(PRICES), st.sampled_from(PRICES), st.lists(st.integers(1, 60).map(str), max_size=3),
    st.tuples(quantities, quantities), st.tuples(quantities, quantities), st.none() | quantities,
)  # fmt: skip
@settings(deadline=None)
def test_a_floor_counts_what_is_reserved_and_asked_for_by_what_an_invoice_would_draw(
    price: dict[str, Any], other: dict[str, Any], grants: list[str], use: tuple[Decimal, Decimal],
    held: tuple[Decimal, Decimal], asked: Decimal | None,
) -> None:  # fmt: skip
    view = shop(price, other, grants).view()
    left = balance(view, dict(zip(FEATURES.values(), use, strict=True)))
    reserved = dict(zip(FEATURES, held, strict=True))
    check = check_of(view, left, "f", asked)
    decision = check.decision(check.reserved(lambda feature, _cut: reserved.get(feature, Decimal(0))))
    granted = sum(map(Fraction, grants), Fraction(0))

    def expected(of_f: Decimal) -> Fraction:
        return granted - drawn(price, of_f) - drawn(other, use[1] + held[1])

    now = granted - drawn(price, use[0]) - drawn(other, use[1])
    free, then = expected(use[0] + held[0]), expected(use[0] + held[0] + (asked or 0))
    assert decision.allowed == (free > 10 and then >= 10)
    credit = decision.credit
    assert credit is not None
    assert credit.reserved is not None
    assert credit.prepaid.left is not None
    assert (Fraction(credit.prepaid.left), Fraction(credit.reserved)) == (now, now - free)
    assert credit.remaining == max(free - 10, 0)
    assert credit.cost is None if asked is None else Fraction(str(credit.cost)) == free - then
    assert decision.reason == (None if decision.allowed else "floor_reached")


def test_what_helps_is_said_with_the_numbers() -> None:
    view = shop(PER_UNIT, grants=["60"]).view()
    left = balance(view, {"calls.n": Decimal(10)})  # 40.00 are left
    reserved = ReservedBeside(drawing={"USD": {"calls.m": Decimal(5)}})
    decision = check_of(view, left, "f", Decimal("10.01")).decision(reserved)
    assert decision.detail == (
        "account acme: its prepaid balance is 40.00 USD, of which 10.00 is reserved; the quantity asked for would draw"
        " 20.02, and has to be above 10.00, and not below it then; grant credit, or have a top-up paid"
    )
    assert check_of(view, left, "f", Decimal(10)).decision(reserved).allowed, "exactly to the floor"
    told = check_of(shop(PER_UNIT, block=False).view(), left, "f", Decimal(99)).decision(reserved)
    assert told.allowed
    assert told.credit is not None
    assert told.credit.within is False


def test_a_price_by_values_that_are_not_known_before_is_no_reason_to_refuse_a_check_but_a_reservation() -> None:
    view = shop(MATRIX).view()
    left = balance(view, {"calls.n": Decimal(49)})  # 11.00 are left
    check = check_of(view, left, "f", Decimal(20))
    decision = check.decision(ReservedBeside())
    assert (decision.allowed, decision.credit and decision.credit.cost) == (True, None), decision.detail
    assert judged(check, lambda *_: Decimal(0)).reason == "undecided"
    other = check_of(view, left, "g", Decimal("0.5"))
    assert judged(other, lambda *_: Decimal(0)).allowed
    assert other.reservable == (("f", "calls.n"), ("g", "calls.m")), "no maximum"
    blind = judged(other, lambda feature, _cut: Decimal(feature == "f"))
    assert (blind.reason, "floor of credit in USD" in blind.detail) == ("undecided", True)


WANTED = st.tuples(st.just("reserve"), st.sampled_from(sorted(FEATURES)), st.integers(1, 9))
FINISH = st.tuples(st.just("finish"), st.integers(0, 9), st.integers(0, 9))
OTHER = st.tuples(st.sampled_from(["cut", "pass", "follow"]))


@dataclass
class Credit:
    """Reservations of two features on the credit of one account; the balance that is known may be old."""

    price: dict[str, Any]
    log: Log = field(default_factory=lambda: Log(now_us=NOW))
    events: list[tuple[str, int]] = field(default_factory=list)
    keys: list[tuple[str, str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.view = shop(self.price).view()
        self.book = self.log.fold()
        self.cut()

    def cut(self) -> None:
        self.left = balance(self.view, self.used(), len(self.events))

    def used(self) -> dict[str, Decimal]:
        of_features = {code: [quantity for name, quantity in self.events if name == code] for code in FEATURES}
        return {FEATURES[code]: Decimal(sum(each)) for code, each in of_features.items() if each}

    def reserve(self, feature: str, quantity: int) -> None:
        check, key = check_of(self.view, self.left, feature, Decimal(quantity)), f"k{len(self.keys)}"
        assert self.left.as_of is not None

        def judge(held: Any) -> EntitlementDecision:
            return judged(check, held)

        request = ReserveRequest(
            "air", "acme", feature, Decimal(quantity), self.log.now_us + 60 * SECOND, key, judge, self.left.as_of
        )
        try:
            record = reserve(self.book, Unwritten(), request, self.log.now_us, key)
        except ReservationRefused:
            return
        assert isinstance(record, Reservation)
        self.keys.append((feature, key, quantity))
        self.log.write(record)
        self.log.follow(self.book)

    def finish(self, number: int, quantity: int) -> None:
        if number >= len(self.keys):
            return
        feature, key, reserved = self.keys[number]
        quantity, name = min(quantity, reserved), reservation_id("air", "acme", feature, key)
        standing = self.book.valid.standing("air", name)
        if standing is None or standing.state_at(self.log.now_us) != "open":
            return
        if quantity:
            self.events.append((feature, quantity))
        request = ClosingRequest(
            "air", "acme", feature, name, "finalised" if quantity else "released", Decimal(quantity), "close"
        )
        record = close(self.book, request, {EVENTS: len(self.events)}, self.log.now_us, f"end {key}")
        assert isinstance(record, Closing)
        self.log.write(record)
        self.log.follow(self.book)

    def sold(self) -> Fraction:
        """What is used, and may be by what is open."""
        in_all = {code: self.used().get(profile, Decimal(0)) for code, profile in FEATURES.items()}
        for feature, key, quantity in self.keys:
            standing = self.book.valid.standing("air", reservation_id("air", "acme", feature, key))
            if standing is not None and standing.state_at(self.log.now_us) == "open":
                in_all[feature] += quantity
        return drawn(self.price, in_all["f"]) + drawn(PER_UNIT, in_all["g"])


@given(st.sampled_from(PRICES[:3]), st.lists(st.one_of(WANTED, WANTED, FINISH, OTHER), max_size=25))
@settings(deadline=None)
def test_reservations_of_two_features_never_sell_more_than_the_credit_above_its_floor(
    price: dict[str, Any], steps: list[tuple[Any, ...]]
) -> None:
    """Whatever is finalised, released or expires, and however old the balance is that is known."""
    credit = Credit(price)
    for step, *of in steps:
        if step == "reserve":
            credit.reserve(*of)
        elif step == "finish":
            credit.finish(*of)
        elif step == "cut":
            credit.cut()
        elif step == "pass":
            credit.log.now_us += 20 * SECOND
        assert credit.sold() <= 50, steps
