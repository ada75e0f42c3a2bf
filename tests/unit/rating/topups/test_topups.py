"""One request at a time, for the whole gap, within the day's limit; a payment is one grant: by hand, and over any
interleaving of evaluators, kills, doubles, late answers and a balance that moves meanwhile."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from rating.alerts.crossings import AsOf
from rating.topups.requests import DAY_US, HOUR_US, back_off_us, next_topups
from rating.topups.topup_answers import TopupAnswer, TopupConflict, records_of
from rating.topups.topup_grants import grant_of_topup, ungranted
from schemas.catalog.prepaid.top_ups import TopUp
from schemas.catalog.prepaid.topup_record import REMEMBERED, TopupRecord, ValidTopups, topup_of
from schemas.catalog.state import record_of
from schemas.kafka.codec import codec
from tests.unit.rating.builders import Shelf

MINUTE_US = HOUR_US // 60
FLOOR = TopUp.model_validate({"currency": "USD", "floor": "10", "target": "50", "daily_limit": "120"})


class Ledger:
    """usage.topups and the grants of the catalog. ``now_us`` is the append time."""

    def __init__(self) -> None:
        self.now_us, self.log, self.shelf = 100 * DAY_US, list[tuple[bytes, int]](), Shelf()
        self.shelf.add("account", {"code": "acme"})

    def fold(self) -> ValidTopups:
        valid = ValidTopups()
        for value, append_us in self.log:
            valid.apply_bytes(value, append_us)
        return valid

    def append(self, *records: TopupRecord) -> None:
        self.log += [(record.encode("me"), self.now_us) for record in records]

    def request(self, balance: str | Decimal, view: Any = None) -> list[TopupRecord]:
        as_of = AsOf(self.now_us, 0, 7, {(1, 0): 1})
        balances = [("acme", FLOOR, Decimal(balance))]
        return list(next_topups(view or self.shelf.view(), balances, self.fold(), as_of))

    def answer(self, topup_id: str, answer: TopupAnswer) -> None:
        topups = self.fold().of("air", "acme", "USD")
        [topup] = [topup for topup in topups.by_number.values() if topup.record.topup_id == topup_id]
        self.append(*records_of(topups, topup, answer))

    def grant(self) -> None:
        """What the process of webhooks does for each paid record, however often: the first claim wins."""
        view = self.shelf.view()
        for record in (topup.record for topup in self.fold().of_account("air", "acme")):
            if not ungranted(view, record):
                continue
            body = record_of("air", grant_of_topup(record), kind="credit_grant", version=1, author="", claim_id="")
            self.shelf.catalog.apply(body, self.shelf.catalog.next_offset, self.now_us)

    def states(self) -> list[str]:
        return [topup.state for topup in self.fold().of_account("air", "acme")]


def test_the_whole_gap_is_requested_once_and_paid_once() -> None:
    ledger = Ledger()
    assert ledger.request("10.01") == []
    [request] = ledger.request("-4.50")
    assert (request.amount, request.cost, request.balance, request.number) == ("54.5", "54.5", "-4.5", 1)
    ledger.append(request, request)
    assert ledger.request("-30") == [], "one at a time, however much is missing"
    ledger.answer(request.topup_id, TopupAnswer("paid", "pi_1"))
    ledger.answer(request.topup_id, TopupAnswer("paid", "pi_1"))
    ledger.answer(request.topup_id, TopupAnswer("paid"))
    assert ledger.request("-30") == [], "its grant is not in the balance yet"
    ledger.grant()
    ledger.grant()
    [grant] = ledger.shelf.view().history("credit_grant", request.topup_id)
    assert (grant.model.amount, grant.model.cost_basis, grant.model.source) == (
        Decimal("54.5"),
        Decimal("54.5"),
        "paid",
    )
    with pytest.raises(TopupConflict, match="is paid by pi_1; if pi_2 is a second payment, pay it back"):
        ledger.answer(request.topup_id, TopupAnswer("paid", "pi_2"))
    with pytest.raises(TopupConflict, match="is paid, and its grant stands"):
        ledger.answer(request.topup_id, TopupAnswer("refused"))


def test_a_day_has_a_limit_which_refused_requests_do_not_use_up() -> None:
    ledger = Ledger()
    for number, refused in enumerate([False, True, False], 1):
        [request] = ledger.request("0")
        assert (request.number, request.amount) == (number, "50")
        ledger.append(request)
        ledger.answer(request.topup_id, TopupAnswer("refused" if refused else "paid"))
        ledger.grant()
        ledger.now_us += HOUR_US
    assert ledger.request("0") == [], "100 of 120 are requested in this day"
    ledger.now_us += DAY_US - 3 * HOUR_US
    assert ledger.request("0") == []
    ledger.now_us += 1
    assert [request.amount for request in ledger.request("0")] == ["50"]
    assert [request.amount for request in ledger.request("-500")] == [], "50 of the second are of this day still"
    ledger.now_us += DAY_US
    assert [request.amount for request in ledger.request("-500")] == ["120"], "never more than a day's limit"


def test_after_refusals_nothing_is_requested_for_longer_and_longer() -> None:
    ledger = Ledger()
    waits: list[int] = []
    for _ in range(7):
        [request] = ledger.request("0")
        ledger.append(request)
        ledger.answer(request.topup_id, TopupAnswer("refused", "card declined"))
        refused_us = ledger.now_us
        while not ledger.request("0"):
            ledger.now_us += HOUR_US
        waits.append((ledger.now_us - refused_us) // HOUR_US)
    assert waits == [1, 2, 4, 8, 16, 24, 24]
    [request] = ledger.request("0")
    ledger.append(request)
    ledger.answer(request.topup_id, TopupAnswer("paid"))
    ledger.grant()
    assert ledger.request("0"), "a payment ends it"
    assert [back_off_us(refusals) // HOUR_US for refusals in (0, 1, 6, 1000)] == [0, 1, 24, 24]


def test_money_that_comes_late_is_credited_and_takes_the_open_request_back() -> None:
    ledger = Ledger()
    [first] = ledger.request("0")
    ledger.append(first)
    ledger.answer(first.topup_id, TopupAnswer("refused"))
    ledger.now_us += HOUR_US
    [second] = ledger.request("0")
    ledger.append(second)
    ledger.answer(first.topup_id, TopupAnswer("paid", "late"))
    assert ledger.states() == ["paid", "withdrawn"]
    ledger.answer(second.topup_id, TopupAnswer("paid", "too"))
    ledger.grant()
    assert ledger.states() == ["paid", "paid"]
    assert len(list(ledger.shelf.view().all("credit_grant"))) == 2


def test_a_request_that_is_not_needed_any_more_is_withdrawn() -> None:
    ledger = Ledger()
    [request] = ledger.request("0")
    ledger.append(request)
    assert ledger.request("49.99") == []
    ledger.append(*ledger.request("50"))
    assert ledger.states() == ["withdrawn"]
    assert [again.number for again in ledger.request("9")] == [2]


def test_a_record_reads_back_and_foreign_ones_are_void() -> None:
    ledger = Ledger()
    [request] = ledger.request("0.5")
    decoded = codec("usage_topup").decode(request.encode("me"))
    assert topup_of(decoded) == request
    valid = ValidTopups()
    for foreign in (
        {"number": 2}, {"state": "open"}, {"topup_id": "top_0"}, {"version": 2}, {"amount": "0"}, {"amount": "x"},
        {"state": "paid"},
    ):  # fmt: skip
        assert valid.apply_bytes(codec("usage_topup").encode(decoded | foreign)) is None
    assert valid.apply_bytes(b"no record") is None
    assert valid.apply_bytes(request.encode("me")) == request
    paid = request.followed_by(2, "paid")
    assert (
        valid.apply_bytes(codec("usage_topup").encode(codec("usage_topup").decode(paid.encode("me")) | {"amount": "9"}))
        is None
    )
    assert valid.apply(paid)


def test_what_is_remembered_is_bounded() -> None:
    ledger = Ledger()
    for _ in range(REMEMBERED + 5):
        [request] = ledger.request("0")
        ledger.append(request, request.followed_by(request.version + 1, "withdrawn"))
        ledger.now_us += DAY_US
    assert len(ledger.states()) == REMEMBERED


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"target": "10"}, "target 10 must be above floor 10"),
        ({"daily_limit": "49"}, "daily_limit 49 is below target 50"),
        ({"floor": "-1"}, "must not be negative|-1"),
        ({"floor": "1.001"}, "floor 1.001 has more than USD's 2 decimals"),
        ({"currency": "ZZZ"}, "'ZZZ' is not an ISO 4217 currency code"),
    ],
)
def test_a_floor_that_makes_no_sense_is_refused(body: dict[str, str], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        TopUp.model_validate(FLOOR.model_dump(mode="json") | body)


@dataclass
class Evaluator:
    """Reads the ledger, then the catalog, then the balance; what follows is written later, or never."""

    unwritten: list[TopupRecord] = field(default_factory=list)


STEP = st.one_of(
    st.tuples(st.just("use"), st.integers(1, 40)),
    st.tuples(st.just("give"), st.integers(1, 60)),
    st.tuples(st.just("look"), st.integers(0, 1)),
    st.tuples(st.just("look"), st.integers(0, 1)),
    st.tuples(st.just("write"), st.integers(0, 1)),
    st.tuples(st.just("write"), st.integers(0, 1)),
    st.tuples(st.just("kill"), st.integers(0, 1)),
    st.tuples(st.just("double"), st.integers(1, 4)),
    st.tuples(st.just("paid"), st.integers(0, 3)),
    st.tuples(st.just("paid"), st.integers(0, 3)),
    st.tuples(st.just("refused"), st.integers(0, 3)),
    st.tuples(st.just("racing"), st.integers(0, 3)),
    st.tuples(st.just("grant"), st.just(0)),
    st.tuples(st.just("wait"), st.sampled_from([1, 59, 240, 1500])),
)


@given(st.lists(STEP, max_size=80))
def test_any_interleaving_requests_no_more_than_the_gap_and_grants_each_payment_once(
    steps: list[tuple[str, int]],
) -> None:
    ledger, pair, used, given_by_hand = Ledger(), [Evaluator(), Evaluator()], Decimal(0), Decimal(0)
    acknowledged: dict[str, Decimal] = {}

    def granted() -> Decimal:
        return sum((entry.model.amount for entry in ledger.shelf.view().all("credit_grant")), Decimal(0))

    for step, number in steps:
        known = list(ledger.fold().of_account("air", "acme"))
        if step == "use":
            used += number
        elif step == "give":
            given_by_hand += number
        elif step == "look":
            pair[number].unwritten = ledger.request(granted() + given_by_hand - used)
        elif step == "write":
            ledger.append(*pair[number].unwritten)
        elif step == "kill":
            pair[number] = Evaluator()
        elif step == "double":
            ledger.log += [(value, ledger.now_us) for value, _ in ledger.log[-number:]]
        elif step in ("paid", "refused") and known:
            topup = known[-1 - number % len(known)]
            with suppress(TopupConflict):
                ledger.answer(topup.record.topup_id, TopupAnswer("paid" if step == "paid" else "refused", "r"))
                if step == "paid":
                    acknowledged[topup.record.topup_id] = Decimal(topup.record.amount)
        elif step == "racing" and known:  # two answers of one moment: whoever lost decides anew
            topups, topup = ledger.fold().of("air", "acme", "USD"), known[-1 - number % len(known)]
            with suppress(TopupConflict):
                both = [records_of(topups, topup, TopupAnswer(state)) for state in ("refused", "paid")]
                ledger.append(*both[number % 2], *both[1 - number % 2])
                ledger.answer(topup.record.topup_id, TopupAnswer("paid"))
                acknowledged[topup.record.topup_id] = Decimal(topup.record.amount)
        elif step == "grant":
            ledger.grant()
        elif step == "wait":
            ledger.now_us += number * MINUTE_US
    ledger.grant()

    grants = {entry.code: entry.model.amount for entry in ledger.shelf.view().all("credit_grant")}
    assert grants == acknowledged, "each payment that was acknowledged is one grant, and there is no other"
    fold, open_number = ValidTopups(), 0
    for value, append_us in ledger.log:
        before = list(fold.of("air", "acme", "USD").since(append_us - DAY_US))
        record = fold.apply_bytes(value, append_us)
        if record is None:
            continue
        if record.state == "requested":
            assert not open_number, "one at a time"
            assert Decimal(record.balance) <= FLOOR.floor
            assert Decimal(record.amount) == min(FLOOR.target - Decimal(record.balance), FLOOR.daily_limit)
            due = [Decimal(topup.record.amount) for topup in before if topup.state in ("requested", "paid")]
            assert sum(due) + Decimal(record.amount) <= FLOOR.daily_limit
            open_number = record.number
        elif record.number == open_number:
            open_number = 0


def test_units_are_requested_at_the_price_that_is_pinned_by_the_request() -> None:
    cost = {"currency": "USD", "rate": "0.00125"}
    floor = TopUp.model_validate({"currency": "token", "floor": 10, "target": 500, "daily_limit": 600, "cost": cost})
    as_of = AsOf(DAY_US, 0, 7, {})
    [request] = next_topups(Ledger().shelf.view(), [("acme", floor, Decimal(-1))], ValidTopups(), as_of)
    assert (request.amount, request.currency, request.cost, request.cost_currency) == ("501", "token", "0.63", "USD")
    grant = grant_of_topup(request)
    assert (grant.amount, grant.currency, grant.cost_basis, grant.paid_in) == (501, "token", Decimal("0.63"), "USD")
