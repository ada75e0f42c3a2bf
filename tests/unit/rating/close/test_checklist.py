"""The list before billing: what it finds, and what it leaves in peace."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rating.close.checklist.checks import (
    MAX_EXAMPLES,
    ChecklistLimits,
    ChecklistPoint,
    Observations,
    PlannedInvoices,
    checklist,
    differs,
    warnings,
)
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.run_plan import RunPlan
from schemas.ledgers.invoice_record import Invoice, Line
from tests.unit.rating.builders import Shelf, invoice_of, line_of, shelf, us

LIMITS = ChecklistLimits(Decimal(2), Decimal(10))
START, END = us("2013-02-01T05:00:00Z"), us("2013-03-01T05:00:00Z")
DAY = 86_400_000_000
NOTHING = Observations()


def line(amount: str, events: str, charge: str = "call") -> Line:
    return line_of(charge=charge, amount=amount, events=events)


def invoice(name: str, account: str, *lines: Line, predecessor: str = "", days: int = 30, **changes: Any) -> Invoice:
    start = 0 if not predecessor else 30 * DAY
    fields = {
        "invoice_id": name, "subscription": account, "account_id": account, "predecessor": predecessor,
        "period_start": start,
        "period_end": start + days * DAY, "lines": lines, "claim_id": name,
    }  # fmt: skip
    return invoice_of(**fields | changes)


def planned(
    book: Shelf,
    invoices: list[Any] | None = None,
    standing: StandingInvoices | None = None,
    problems: tuple[str, ...] = (),
) -> PlannedInvoices:
    return PlannedInvoices(
        plan=RunPlan(billings=()),
        view=book.view(),
        invoices=invoices or [],
        standing=standing or StandingInvoices(),
        problems=problems,
    )


def found(
    observed: Observations = NOTHING, billed: set[tuple[str, str]] | None = None, invoices: list[Any] | None = None,
    standing: list[Any] | None = None, book: Shelf | None = None, problems: tuple[str, ...] = (),
) -> dict[str, ChecklistPoint]:  # fmt: skip
    stands = StandingInvoices()
    for item in standing or []:
        assert stands.apply(item)
    checks = checklist(observed, planned(book or shelf(), invoices or [], stands, problems), billed or set(), LIMITS)
    return {check.name: check for check in warnings(checks)}


def test_nothing_found_is_a_list_of_fine_points_that_survives_json() -> None:
    checks = checklist(Observations(), planned(shelf()), set(), LIMITS)
    assert [check.name for check in checks] == [
        "lag", "silent_accounts", "rejections", "unbilled_accounts", "uncharged_profiles", "unmetered_events",
        "changed_lines", "unplanned",
        "billed_twice", "withdrawn_currencies", "awaiting",
    ]  # fmt: skip
    assert warnings(checks) == []
    assert tuple(ChecklistPoint.from_json(check.to_json()) for check in checks) == checks


def test_an_account_is_silent_when_none_of_its_subscriptions_has_usage_any_more() -> None:
    previous = [
        invoice("a1", "a", line("5", "3")),
        invoice("b1", "b", line("5", "3")),
        invoice("c1", "c", line("0", "0")),
    ]
    later_items = [
        invoice("a2", "a", line("0", "0"), predecessor="a1"),
        invoice("b2", "b", line("5", "1"), predecessor="b1"),
        invoice("c2", "c", line("0", "0"), predecessor="c1"),
        invoice("d1", "d", line("0", "0")),
    ]
    assert found(invoices=later_items, standing=previous)["silent_accounts"].examples == ("a",)
    assert found(invoices=[*previous, *later_items])["silent_accounts"].examples == ("a",)  # caught up in one run
    second_items = [
        invoice("a3", "a", line("1", "1"), subscription="a-other"),
        invoice("a4", "a", line("1", "1"), predecessor="a3", subscription="a-other"),
    ]
    assert "silent_accounts" not in found(invoices=[*later_items, *second_items], standing=previous)
    void = [invoice("a1", "a", line("5", "3"), state="void")]
    assert found(invoices=later_items[:1], standing=void) == {}


def test_a_line_differs_by_factor_and_amount_against_a_period_of_like_length() -> None:
    def changed(was: str, now: str, **following: Any) -> bool:
        names = found(
            invoices=[invoice("a2", "a", line(now, "1"), predecessor="a1", **following)],
            standing=[invoice("a1", "a", line(was, "1"))],
        )
        return "changed_lines" in names

    assert [changed("10", now) for now in ("19.99", "20", "21")] == [False, True, True]
    assert [changed("100", now) for now in ("50.01", "50", "0")] == [False, True, True]
    assert [changed("0", now) for now in ("9.99", "10")] == [False, True]
    assert not changed("4", "13.99")
    assert changed("10", "40", days=28)
    assert not changed("10", "40", days=20)
    changed_lines = found(
        invoices=[invoice("a2", "a", line("30", "1"), line("9", "1", "new"), predecessor="a1")],
        standing=[invoice("a1", "a", line("5", "1"), line("5", "1"))],
    )["changed_lines"]
    assert changed_lines.examples == ("a call: 30 USD in the period from 1970-01-31T00:00:00Z, 10 before",)


@given(st.decimals(-1000, 1000, places=2), st.decimals(-1000, 1000, places=2))
def test_it_differs_from_there_to_here_as_from_here_to_there(one: Decimal, other: Decimal) -> None:
    assert differs(one, other, LIMITS) == differs(other, one, LIMITS)
    assert not differs(one, one, LIMITS)


def test_usage_without_subscription_and_profiles_without_charge() -> None:
    book = shelf()
    book.add("meter", {"code": "calls", "event_name": "call", "profiles": [{"code": "n", "aggregation": "count"}]})
    book.add("product", {"code": "call", "profile": "calls"})
    plan = {
        "code": "ends",
        "currency": "USD",
        "charges": [{"product": "call", "price": {"model": "per_unit", "unit_amount": "1"}}],
    }
    book.add("plan", plan)
    book.add("subscription", {"code": "s", "account": "soon", "plan": "ends", "start": "2013-03-01T05:00:00Z"})
    book.add("subscription", {"code": "t", "account": "paying", "plan": "ends", "start": "2013-02-20T05:00:00Z"})
    used = {
        ("acme", "calls.n"),
        ("soon", "calls.n"),
        ("nobody", "calls.n"),
        ("paying", "calls.n"),
        ("paying", "x.y"),
        ("now", "x.y"),
    }
    names = found(Observations(START, END, used=used), {("now", "x.y")}, book=book)
    assert names["unbilled_accounts"].examples == ("nobody", "soon")
    assert names["uncharged_profiles"].examples == ("calls.n: 1 accounts", "x.y: 1 accounts")
    assert set(names) == {"unbilled_accounts", "uncharged_profiles"}


def test_lag_rejections_and_events_that_nobody_meters() -> None:
    observed_seen = Observations(
        START, END, 7, {("gateway", "too_old"): 3, ("admit", "malformed"): 2}, (), ("visit",),
        (("calls.s", "property s is missing"),)
    )  # fmt: skip
    names = found(observed_seen, problems=("subscription x: no plan",))
    assert (names["lag"].count, names["rejections"].count) == (7, 5)
    assert names["rejections"].examples == ("malformed (admit): 2 events", "too_old (gateway): 3 events")
    assert names["unmetered_events"].examples == (
        "events visit: no meter counts them",
        "calls.s: property s is missing",
    )
    assert names["unplanned"].examples == ("subscription x: no plan",)


def test_examples_are_bounded_and_the_count_is_not() -> None:
    check = found(Observations(START, END, used={(f"a{n}", "x.y") for n in range(100)}))["unbilled_accounts"]
    assert (check.count, len(check.examples)) == (100, MAX_EXAMPLES)


def test_a_property_that_may_be_left_out_is_nothing_to_warn_of_where_its_default_adds_nothing() -> None:
    fields: list[dict[str, Any]] = [
        {"name": "needed", "type": "long"},
        {"name": "cached", "type": "long", "default": 0},
        {"name": "least", "type": "long", "default": 0},
        {"name": "size", "type": ["null", "long"], "default": None},
        {"name": "nullable", "type": ["null", "long"]},
        {"name": "calls", "type": "long", "default": 1},
        {
            "name": "detail",
            "type": {"type": "record", "name": "Detail", "fields": [{"name": "n", "type": "long", "default": 0}]},
            "default": {"n": 0},
        },
    ]
    paths = {name: [name] for name in ("needed", "cached", "size", "nullable", "calls", "unnamed")} | {
        "detail": ["detail", "n"],
        "least": ["least"],
    }
    book = shelf()
    profiles = [
        {"code": name, "aggregation": "min" if name == "least" else "sum", "property": path}
        for name, path in paths.items()
    ]
    book.add("meter", {"code": "tokens", "event_name": "completion", "profiles": profiles})
    observed_seen = Observations(
        START, END, unmeterable={(f"tokens.{name}", "missing") for name in paths} | {("tokens.cached", "not_a_number")}
    )
    everything = sorted([*(f"tokens.{name}: missing" for name in paths), "tokens.cached: not_a_number"])
    assert (
        sorted(found(observed_seen, book=book)["unmetered_events"].examples) == everything
    )  # no schema says otherwise
    book.add("event_type", {"code": "completion", "schema": {"type": "record", "name": "Completion", "fields": fields}})
    assert found(observed_seen, book=book)["unmetered_events"].examples == (
        "tokens.cached: not_a_number",
        "tokens.calls: missing",  # each event without it should count 1
        "tokens.least: missing",  # 0 would be the least
        "tokens.needed: missing",
        "tokens.unnamed: missing",
    )


def gigabytes(*, second_plan: bool = False, accounts: tuple[str, ...] = ("a", "b")) -> Shelf:
    """Two charges on profiles that share the events of France: on one plan, or on those of two subscriptions of one
    account."""
    book = shelf()
    profiles = [
        {"code": code, "aggregation": "sum", "property": "gb",
        "filters": [{"property": "region", "operator": "in", "value": regions}]}
        for code, regions in (("eu", ["de", "fr"]), ("fr", ["fr"]), ("us", ["us"]))
    ]  # fmt: skip
    book.add("meter", {"code": "gb", "profiles": profiles})
    charges = []
    for code in ("eu", "fr", "us"):
        book.add("product", {"code": code, "profile": f"gb.{code}"})
        charges.append({"product": code, "price": {"model": "per_unit", "unit_amount": "1"}})
    plans = {"both": charges} if not second_plan else {"first": charges[:1], "second": charges[1:]}
    for code, plan in plans.items():
        book.add("plan", {"code": code, "currency": "USD", "charges": plan})
        for account in accounts:
            book.add("account", {"code": account})
            book.add(
                "subscription",
                {"code": f"{account}-{code}", "account": account, "plan": code, "start": "2013-01-01T00:00:00Z"},
            )
    return book


def told(name: str, book: Shelf, invoices: list[Any] | None = None) -> ChecklistPoint:
    checks = checklist(Observations(START, END), planned(book, invoices), set(), LIMITS)
    assert name not in {check.name for check in warnings(checks)}  # a strict close bills all the same
    return next(check for check in checks if check.name == name)


def test_charges_that_can_bill_one_event_both_are_told_and_allowed() -> None:
    pair = "charges eu (gb.eu) and fr (gb.fr) can bill one event gb both, each by sum of gb"
    assert told("billed_twice", gigabytes()).examples == (f"plan both: {pair}",)
    result = told("billed_twice", gigabytes(second_plan=True))
    assert result.examples == (
        "plans first, second of a: charges first.eu (gb.eu) and second.fr (gb.fr) can bill one event gb both, each "
        "by sum of gb",
    )
    assert told("billed_twice", shelf()).count == 0


def test_plans_that_follow_each_other_are_no_two_charges_of_one_event_but_two_subscriptions_on_one_plan_are() -> None:
    upgraded = gigabytes(second_plan=True, accounts=())
    upgraded.add("account", {"code": "a"})
    document = {"code": "s", "account": "a", "start": "2013-01-01T00:00:00Z"}
    upgraded.add("subscription", document | {"plan": "first"})
    upgraded.add("subscription", document | {"plan": "second", "change_at": "2013-02-10T00:00:00Z"})
    assert told("billed_twice", upgraded).examples == ()
    twice = gigabytes(second_plan=True, accounts=())
    twice.add("account", {"code": "a"})
    for code in ("s", "t", "u"):
        twice.add("subscription", document | {"code": code, "plan": "first"})
    assert told("billed_twice", twice).examples == (
        "plan first of a: charges first.eu of s (gb.eu) and first.eu of t (gb.eu) can bill one event gb both, each "
        "by sum of gb",
    )


def test_a_period_in_a_currency_that_was_withdrawn_before_is_told() -> None:
    def of(currency: str, start: str) -> Any:
        return invoice(
            "i", "a", currency=currency, period_start=us(start), period_end=us(start) + DAY, time_zone="Europe/Sofia"
        )

    assert (
        told(
            "withdrawn_currencies", shelf(), [of("BGN", "2025-12-01T00:00:00Z"), of("EUR", "2026-06-01T00:00:00Z")]
        ).count
        == 0
    )
    late = told("withdrawn_currencies", shelf(), [of("BGN", "2026-03-01T00:00:00Z")])
    assert late.examples == ("BGN: not in use since 2026-02-01, 1 invoices",)
