"""Discounts, commitments, overrides and credits from the catalog to invoices: what two processes write, what late usage
changes, and that verification, which works them out by itself, agrees.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.invoices.amounts.prepaid_credits import drawn, grant_balances, grants_of_account, owned_grants
from rating.invoices.amounts.prior_terms import prior_terms
from rating.invoices.amounts.reductions import adjusted_terms, reduced
from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import voided
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.subscriptions.period_terms import Terms
from schemas.catalog.state import Catalog
from schemas.catalog.terms import Discount
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_record import Invoice, Line
from schemas.values.instants import micros
from tests.unit.rating.builders import invoice_of, line_of, stored
from tests.unit.rating.verify.builders import verified

RUN = Run("run_1", 1, 99, 0, {})
CHARGES = [
    {"product": "fee", "price": {"model": "flat", "amount": "100"}},
    {"product": "seat", "price": {"model": "flat", "amount": "20"}},
]
PLAN: dict[str, Any] = {"code": "basic", "currency": "USD", "grace_seconds": 0, "charges": CHARGES}
SUBSCRIPTION: dict[str, Any] = {
    "code": "one",
    "account": "acme",
    "plan": "basic",
    "plan_version": 1,
    "start": "2026-01-01T05:00:00Z",
}
GRANT: dict[str, Any] = {"code": "gift", "account": "acme", "amount": "50", "currency": "USD"}


def shelf(*entries: tuple[str, dict[str, Any]], plan: dict[str, Any] | None = None, **subscription: Any) -> Catalog:
    catalog = Catalog()
    base = [
        *[("product", {"code": code, "kind": "flat"}) for code in ("fee", "seat")], ("plan", PLAN | (plan or {})),
        ("account", {"code": "acme", "time_zone": "America/New_York"}), ("subscription", SUBSCRIPTION | subscription),
    ]  # fmt: skip
    versions: dict[tuple[str, str], int] = {}
    for kind, body in [*base, *entries]:
        key = (kind, body["code"])
        versions[key] = versions.get(key, 0) + 1
        record = {
            "namespace": "air", "kind": kind, "code": body["code"], "version": versions[key],
            "retired": body.get("retired", False),
            "valid_from": None, "body": json.dumps({name: value for name, value in body.items() if name != "retired"}),
            "author": "", "claim_id": "",
        }  # fmt: skip
        assert catalog.apply(record, catalog.next_offset, 0) is not None
    return catalog


def billed(catalog: Catalog, as_of: str, standing: StandingInvoices | None = None) -> list[Invoice]:
    until = micros(datetime.fromisoformat(as_of).replace(tzinfo=UTC))
    plan = make_plan(catalog.view("air"), standing or StandingInvoices(), until, {})
    invoices, problems = build_invoices(plan, {}, RUN)
    assert (plan.problems, problems) == ((), ())
    return [stored(invoice) for invoice in invoices]


def shown(invoice: Invoice) -> list[tuple[str, str]]:
    return [(line.charge, line.amount) for line in invoice.lines]


def test_lines_stand_in_their_order_and_add_up() -> None:
    discounts = [{"code": "ten", "percent": "10"}, {"code": "off", "amount": "30", "product": "seat"}]
    catalog = shelf(("credit_grant", GRANT), plan={"discounts": discounts, "minimum_commitment": "150"})
    (invoice,) = billed(catalog, "2026-02-02")
    assert shown(invoice) == [
        ("fee", "100.00"), ("seat", "20.00"), ("discount:off", "-20.00"), ("discount:ten", "-10.00"),
        ("commitment:", "60.00"), ("credit:gift", "-50.00"),
    ]  # fmt: skip
    assert (invoice.total, json.loads(invoice.body)["subtotal"]) == ("100.00", "150.00")
    assert json.loads(invoice.body)["tax_amount"] is None
    assert [line.number for line in invoice.lines] == [1, 2, 3, 4, 5, 6]
    assert all(
        sum(Decimal(step["amount"]) for step in json.loads(line.steps)) == Decimal(line.unrounded)
        for line in invoice.lines
    )
    assert verified([invoice], catalog) == []


def test_a_subscription_has_its_own_price_discount_and_commitment() -> None:
    plan = {
        "discounts": [{"code": "ten", "percent": "10"}, {"code": "one", "amount": "1"}],
        "minimum_commitment": "500",
    }
    own_document: dict[str, Any] = {
        "overrides": [{"charge": "fee", "price": {"model": "flat", "amount": "80"}},
        {"charge": "gone", "price": {"model": "flat", "amount": "1"}}],
        "discounts": [{"code": "ten", "percent": "50"}], "minimum_commitment": "0",
    }  # fmt: skip
    second_value = ("subscription", SUBSCRIPTION | {"code": "two"})
    own_billed_result, theirs = billed(shelf(second_value, plan=plan, **own_document), "2026-02-02")
    assert shown(own_billed_result) == [
        ("fee", "80.00"),
        ("seat", "20.00"),
        ("discount:one", "-1.00"),
        ("discount:ten", "-49.50"),
    ]
    assert shown(theirs)[0] == ("fee", "100.00")
    assert theirs.total == "500.00"
    assert json.loads(own_billed_result.lines[0].price)["amount"] == "80"


def test_an_override_that_does_not_fit_holds_its_subscription_back() -> None:
    override = {"charge": "fee", "price": {"model": "flat", "amount": "1", "currency": "EUR"}}
    plan = make_plan(
        shelf(overrides=[override]).view("air"), StandingInvoices(), micros(datetime(2026, 3, 1, tzinfo=UTC)), {}
    )
    assert plan.billings == ()
    assert "subscription one: its overrides do not fit plan basic version 1" in plan.problems[0]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, [1, 1, 1]),
        ({"periods": 2}, [1, 1, 0]),
        ({"end": "2026-03-01"}, [1, 1, 0]),  # New York's midnight, at which February ends there
        ({"end": "2026-03-01T04:59:59Z"}, [1, 0, 0]),  # the last moment of February is not in it
        ({"start": "2026-02-28"}, [0, 1, 1]),
        ({"start": "2026-02-01", "periods": 1}, [0, 1, 0]),
    ],
)
def test_a_discount_counts_where_it_is_in_force_at_the_periods_last_moment(
    limits: dict[str, Any], expected: list[int]
) -> None:
    catalog = shelf(plan={"discounts": [{"code": "ten", "percent": "10", **limits}]})
    at_once = billed(catalog, "2026-04-02")
    assert [len(item.lines) - 2 for item in at_once] == expected
    standing = StandingInvoices()
    for month, invoice in zip(("2026-02-02", "2026-03-02", "2026-04-02"), at_once, strict=True):
        assert billed(catalog, month, standing) == [invoice]
        assert standing.apply(invoice)


def test_credits_are_drawn_by_priority_expiry_start_and_code_and_go_on_with_what_is_left() -> None:
    grants = [
        ("credit_grant", GRANT | {"code": code, **fields})
        for code, fields in {
            "never": {}, "late": {"expires": "2026-06-01"}, "soon": {"expires": "2026-05-01"}, "first": {"priority": 0},
            "young": {"effective": "2026-01-15", "expires": "2026-05-01"}, "old": {"expires": "2025-12-31"},
            "euro": {"currency": "EUR"}, "theirs": {"account": "beta"},
            "mine": {"account": None, "subscription": "one", "priority": 2},
        }.items()
    ]  # fmt: skip
    catalog = shelf(*grants, ("account", {"code": "beta"}))
    view = catalog.view("air")
    for account in ("acme", "beta", "nobody"):
        own = [grant for grant in owned_grants(view) if grant.account_id == account]
        assert list(grants_of_account(view, account)) == own
        assert bool(own) == (account != "nobody")
    january, february, march = billed(catalog, "2026-04-02")
    assert shown(january)[2:] == [("credit:first", "-50.00"), ("credit:soon", "-50.00"), ("credit:young", "-20.00")]
    assert shown(february)[2:] == [("credit:young", "-30.00"), ("credit:late", "-50.00"), ("credit:never", "-40.00")]
    assert shown(march)[2:] == [("credit:never", "-10.00"), ("credit:mine", "-50.00")]
    assert (january.total, march.total) == ("0.00", "60.00")
    assert verified([january, february, march], catalog) == []


def test_two_subscriptions_share_a_grant_and_a_second_process_goes_on_alike_from_any_part_that_stands() -> None:
    catalog = shelf(("credit_grant", GRANT | {"amount": "300"}), ("subscription", SUBSCRIPTION | {"code": "two"}))
    full_billed = billed(catalog, "2026-03-02")
    assert drawn(full_billed) == {"gift": Decimal(300)}
    chains = {code: [item for item in full_billed if item.subscription == code] for code in ("one", "two")}
    for first_number in range(3):
        for second in range(3):
            standing = StandingInvoices()
            stands = chains["one"][:first_number] + chains["two"][:second]
            assert all(standing.apply(stand) for stand in stands)
            assert billed(catalog, "2026-03-02", standing) == [item for item in full_billed if item not in stands]


def test_a_void_invoice_gives_back_what_it_drew_and_a_retired_grant_pays_no_more() -> None:
    catalog = shelf(("credit_grant", GRANT))
    (january,) = billed(catalog, "2026-02-02")
    standing = StandingInvoices()
    assert standing.apply(january)
    void = voided([january], january, "wrong", "me", 0)
    assert void is not None
    assert standing.apply(void)
    assert drawn(standing.invoices("air")) == {}
    repeated_billed, february = billed(catalog, "2026-03-02", standing)
    assert shown(repeated_billed)[-1] == ("credit:gift", "-50.00")
    assert shown(february)[-1][0] == "seat"
    retired = shelf(("credit_grant", GRANT), ("credit_grant", GRANT | {"retired": True}))
    assert owned_grants(retired.view("air")) == ()
    assert len(owned_grants(retired.view("air"), retired=True)) == 1
    assert shown(billed(retired, "2026-02-02")[0]) == [("fee", "100.00"), ("seat", "20.00")]


@given(
    st.dictionaries(st.sampled_from("abc"), st.decimals(0, 60, places=2), max_size=3),
    st.integers(0, 3_000),
    st.sets(st.sampled_from("abc")),
)
def test_a_grant_is_used_left_or_expired_and_nothing_of_it_is_lost(
    used: dict[str, Decimal], hours: int, retired: set[str]
) -> None:
    limits = {"a": {}, "b": {"effective": "2026-02-01"}, "c": {"expires": "2026-03-01T00:00:00Z"}}
    grants = [("credit_grant", GRANT | {"code": code, **fields}) for code, fields in limits.items()]
    catalog = shelf(
        *grants,
        *[("credit_grant", GRANT | {"code": code, **limits[code], "retired": True}) for code in sorted(retired)],
    )
    now = micros(datetime(2026, 1, 1, tzinfo=UTC)) + hours * 3_600_000_000
    for grant_balance in grant_balances(catalog.view("air"), "acme", used, now):
        shown = grant_balance.to_json()
        granted, *parts = (Decimal(shown[name]) for name in ("granted", "used", "left", "expired"))
        assert sum(parts) == max(granted, used.get(shown["code"], Decimal(0)))
        assert min(parts) >= 0
        pays = grant_balance.owned.pays("USD", now)
        assert (shown["state"] == "active") == (pays and bool(grant_balance.left))
        assert shown["state"] in ("pending", "active", "used") or not grant_balance.left


def charge(product: str, amount: Decimal, **fields: Any) -> Line:
    return line_of(charge=product, product=product, amount=str(amount), period_end=100, **fields)


def pairs(lines: list[Line]) -> list[tuple[str, Decimal]]:
    return [(line.product, Decimal(line.amount)) for line in lines]


terms = st.builds(
    Terms,
    st.lists(
        st.one_of(
            st.fixed_dictionaries(
                {"percent": st.decimals("0.01", 100, places=2)}, optional={"product": st.sampled_from("ab")}
            ),
            st.fixed_dictionaries(
                {"amount": st.decimals("0.01", 90, places=2)}, optional={"product": st.sampled_from("ab")}
            ),
        ),
        max_size=3,
    ).map(lambda item: tuple(Discount.model_validate({"code": f"d{n}", **result}) for n, result in enumerate(item))),
    st.one_of(st.none(), st.decimals(0, 200, places=2)),
)
cents = st.decimals(-30, 90, places=2)


@given(terms, st.tuples(cents, cents), st.lists(st.tuples(st.sampled_from("ab"), cents), max_size=4))
def test_a_bill_and_its_adjustments_sum_to_one_bill_over_everything(agreed: Terms, at_first: Any, late: Any) -> None:
    charges = [charge(product, amount) for product, amount in zip("ab", at_first, strict=True)]
    lines = charges + reduced(pairs(charges), agreed, "USD", 0, 100)
    body = json.dumps({"terms": agreed.to_json()})
    chain = [invoice_of(invoice_id="i0", account_id="a", period_end=100, lines=tuple(lines), body=body)]
    for number, (product, amount) in enumerate(late, 1):
        changed = [charge(product, amount, kind="adjustment", adjusts="i0")]
        changed += adjusted_terms(prior_terms(chain, ["i0"]), changed, "USD")
        names = {"invoice_id": f"i{number}", "predecessor": f"i{number - 1}"}
        chain.append(invoice_of(**names, account_id="a", period_end=100, sequence=number, lines=tuple(changed)))
    last_by_key = {
        product: sum(Decimal(item.amount) for invoice in chain for item in invoice.lines if item.charge == product)
        for product in "ab"
    }
    once = [charge(product, amount) for product, amount in last_by_key.items()]
    once += reduced(pairs(once), agreed, "USD", 0, 100)
    assert sum(Decimal(item.amount) for invoice in chain for item in invoice.lines) == sum(
        Decimal(item.amount) for item in once
    )
    numbered = [
        replace(
            item,
            total="0",
            lines=tuple(replace(line, number=n, price="", unrounded="") for n, line in enumerate(item.lines)),
        )
        for item in chain
    ]
    assert verified(numbered, Catalog()) == []


@pytest.mark.parametrize(
    ("number", "changes", "expected"),
    [
        (3, {"amount": "-21.00"}, "discount:off: expected -20, found -21"),
        (5, {"amount": "61.00"}, "commitment:: expected 60, found 61"),
        (6, {"amount": "-151.00"}, "credits: expected at most its subtotal 150, found 151"),
        (6, {"amount": "-51.00"}, "credit grant gift of air: expected at most 50, what was granted, found 51 drawn"),
        (6, {"charge": "credit:none"}, "credit grant none of air: expected a grant in the catalog"),
        (1, {"amount": "99.00"}, "subtotal: expected 149"),
    ],
)
def test_verification_tells_what_was_changed(number: int, changes: dict[str, str], expected: str) -> None:
    discounts = [{"code": "ten", "percent": "10"}, {"code": "off", "amount": "30", "product": "seat"}]
    catalog = shelf(("credit_grant", GRANT), plan={"discounts": discounts, "minimum_commitment": "150"})
    (invoice,) = billed(catalog, "2026-02-02")
    lines = tuple(replace(line, **changes) if line.number == number else line for line in invoice.lines)
    assert any(expected in item for item in verified([replace(invoice, lines=lines)], catalog))
