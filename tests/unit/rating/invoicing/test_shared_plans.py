"""Subscriptions of equal terms share their plan, and it is the one that each would have alone."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from rating.invoices.draft_decisions import DraftDecision, held, released
from rating.invoices.ledger import StandingInvoices
from rating.invoices.transitions import ChangeRefused, voided
from rating.invoicing import run_plan
from rating.invoicing.build_drafts import build_drafts
from rating.invoicing.run_plan import RunPlan, build_invoices, make_plan
from rating.invoicing.shared_plans import SharedPlans
from schemas.ledgers.checkpoints import Run
from schemas.values.record_copy import replace
from tests.unit.rating.builders import Shelf, us

MONTHS = [us(f"2024-{month:02}-02T00:00:00Z") for month in range(1, 6)]
DISCOUNT = {"code": "off", "percent": "10", "periods": 2}


def plan(code: str, in_advance: bool = False, **fields: Any) -> dict[str, Any]:
    charges = [{"product": "support", "price": {"model": "flat", "amount": "10"}, "in_advance": in_advance}]
    return {"code": code, "currency": "USD", "grace_seconds": 0, "charges": charges} | fields


PLANS = (
    plan("plain"),
    plan("slow", grace_seconds=20 * 86_400),
    plan("ahead", in_advance=True),
    plan("reduced", discounts=[DISCOUNT]),
    plan("reviewed", approval="required"),
    plan("yearly", in_advance=True, interval="year"),
)
subscriptions = st.fixed_dictionaries(
    {
        "plan": st.sampled_from([entry["code"] for entry in PLANS]),
        "start": st.sampled_from(["2024-01-01T00:00:00Z", "2024-01-10T08:00:00Z"]),
        "end": st.sampled_from([None, None, "2024-03-01T00:00:00Z", "2024-04-20T00:00:00Z"]),
        "zone": st.sampled_from(["UTC", "UTC", "America/New_York"]),
    }
)


def shelf_of(terms: list[dict[str, Any]]) -> Shelf:
    shelf = Shelf()
    shelf.add("product", {"code": "support", "kind": "flat"})
    for entry in PLANS:
        shelf.add("plan", entry)
    for number, fields in enumerate(terms):
        code = f"s{number}"
        shelf.add("account", {"code": code, "time_zone": fields["zone"]})
        body = {"code": code, "account": code} | {name: fields[name] for name in ("plan", "start", "end")}
        shelf.add("subscription", {name: value for name, value in body.items() if value is not None})
    return shelf


def compared(shelf: Shelf, standing: StandingInvoices, as_of_us: int) -> RunPlan:
    """The plan of all, which must be the one that is made without sharing."""
    view = shelf.view()
    with patch.object(SharedPlans, "plan", lambda *_: None):
        alone = make_plan(view, standing, as_of_us, {})
        ended = make_plan(view, standing, as_of_us, {}, "ended")
    assert make_plan(view, standing, as_of_us, {}, "ended") == ended
    together = make_plan(view, standing, as_of_us, {})
    assert together == alone
    assert [billing.due.invoice_id for billing in together.billings] == [
        billing.due.invoice_id for billing in alone.billings
    ]
    return together


def decide(standing: StandingInvoices, draw: Any, at_us: int) -> None:
    """Hold, release or void some."""
    decision = DraftDecision("me", at_us)
    for draft in standing.drafts("air"):
        following = held(draft, "why", decision) if draw(st.booleans()) else None
        if following is not None and standing.apply(following) and draw(st.booleans()):
            following = released(following)
            assert following is not None
            assert standing.apply(following)
    for invoice in standing.invoices("air"):
        if draw(st.integers(0, 9)) == 0:
            chain = standing.chain("air", invoice.subscription)
            try:
                void = voided(chain, invoice, "why", "me", at_us)
            except ChangeRefused:
                continue
            assert void is None or standing.apply(replace(void, claim_id="void"))


@settings(max_examples=10)
@given(st.data(), st.lists(subscriptions, min_size=2, max_size=4))
def test_it_is_the_plan_that_each_would_have_alone(data: st.DataObject, terms: list[dict[str, Any]]) -> None:
    shelf, standing = shelf_of([*terms, *terms]), StandingInvoices()
    for number, at_us in enumerate(MONTHS):
        if data.draw(st.booleans()):
            continue
        run = Run(f"run{number}", number + 1, 0, at_us, {})
        left_out = data.draw(st.sets(st.integers(0, 2 * len(terms) - 1), max_size=2))
        invoices, problems = build_invoices(compared(shelf, standing, at_us), {}, run)
        assert problems == ()
        for invoice in invoices:  # a chain that lacks one takes none after it
            if invoice.subscription not in {f"s{left}" for left in left_out}:
                standing.apply(invoice)
        drafts, _ = build_drafts(make_plan(shelf.view(), standing, at_us, {}, "drafts"), {}, run, standing)
        for draft in drafts:
            assert standing.apply(draft)
        decide(standing, data.draw, at_us)
        compared(shelf, standing, at_us + 1)


def test_one_of_many_is_planned(monkeypatch: Any) -> None:
    planned: list[str] = []

    def ended(line: Any, *arguments: Any) -> Any:
        planned.append(line.subscription)
        return real(line, *arguments)

    real = run_plan.ended_dues
    monkeypatch.setattr(run_plan, "ended_dues", ended)
    alike = {"plan": "plain", "start": "2024-01-01T00:00:00Z", "end": None, "zone": "UTC"}
    shelf, standing = shelf_of([alike] * 5), StandingInvoices()
    for number, at_us in enumerate(MONTHS[1:3]):
        billings = make_plan(shelf.view(), standing, at_us, {}).billings
        assert (len(billings), planned) == (5, ["s0"] * (number + 1))
        invoices, _ = build_invoices(RunPlan(billings=billings), {}, Run("run", 1, 0, at_us, {}))
        standing = StandingInvoices.holding(invoices)  # of a snapshot: the last of each chain


def test_a_draft_that_is_held_is_nobody_elses() -> None:
    alike = {"plan": "slow", "start": "2024-01-01T00:00:00Z", "end": None, "zone": "UTC"}
    shelf, standing = shelf_of([alike] * 3), StandingInvoices()
    drafts, _ = build_drafts(
        make_plan(shelf.view(), standing, MONTHS[1], {}, "drafts"), {}, Run("run", 1, 0, MONTHS[1], {}), standing
    )
    assert all(map(standing.apply, drafts))
    following = held(drafts[0], "why", DraftDecision("me", MONTHS[1]))
    assert following is not None
    assert standing.apply(following)
    later = us("2024-02-25T00:00:00Z")
    assert [billing.due.subscription for billing in compared(shelf, standing, later).billings] == ["s1", "s2"]
    following = released(following)
    assert following is not None
    assert standing.apply(following)
    assert [billing.due.holds for billing in compared(shelf, standing, later).billings] == [2, 0, 0]
