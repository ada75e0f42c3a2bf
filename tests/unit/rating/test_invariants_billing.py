"""DESIGN section 4, invariants 9 and 10, one property each: nothing is billed twice or never. Invariants 7 and 8 stand
in test_invariants_checkpoints.py, 1 to 6 and 11 in tests/unit/stream_processors."""

from __future__ import annotations

import itertools
import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rating.invoices.ledger import StandingInvoices
from rating.invoicing.charges import Need
from rating.invoicing.late.adjustments import adjustments
from rating.invoicing.late.late_records import Late
from rating.invoicing.late.late_usage import priors
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.pricing import parse_price, rate
from rating.subscriptions.period_lock import NO_LOCK
from rating.usage import Measured, Usage, UsageGroup
from schemas.catalog.state import Catalog
from schemas.ledgers.checkpoints import Checkpoints, Run, cut_record, next_cut, run_record
from schemas.ledgers.invoice_record import Invoice
from tests.unit.rating.builders import invoice_of, line_of

# --- 9: an invoice names its checkpoint -----------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 1), st.booleans()), min_size=8, max_size=20))
def test_invariant_9_closers_at_once_rate_as_of_one_checkpoint_that_covers_what_came_before(
    moves: list[tuple[int, bool]],
) -> None:
    """Two processes run the same close; metering goes on between any of their steps, and either may be killed and run
    again."""
    ledger: list[dict[str, Any]] = []
    end = 3
    states: list[dict[str, Any]] = [{}, {}]
    rated: list[Run] = []
    announced: list[int] = []

    def read() -> Checkpoints:
        checkpoints = Checkpoints()
        for record in ledger:
            checkpoints.apply(record)
        return checkpoints

    for who, killed in [*moves, *[(0, False)] * 5, *[(1, False)] * 5]:
        end += 1
        state = states[who]
        if killed:
            states[who] = {}
        elif "end" not in state:
            state["end"] = end  # the log's end of this moment, which progress is waited for to cover
        elif "cut" not in state:
            last_value = read().last
            if last_value is None or last_value.offsets[(1, 0)] < state["end"]:
                expected_next_cut = next_cut(last_value, {(1, 0): end}, 0, end)
                assert expected_next_cut is not None
                ledger.append(cut_record(expected_next_cut, f"{who}"))
            state["cut"] = next(cut for cut in read().cuts if cut.offsets[(1, 0)] >= state["end"])
        elif "run" not in state:
            # It may have looked before the other announced: then it writes a claim that is void, and reads who won.
            if "close" not in read().runs:
                announced.append(state["end"])
            ledger.append(run_record(Run("close", state["cut"].number, 0, end, {}), f"{who}"))
            state["run"] = read().runs["close"]
            rated.append(state["run"])
    assert rated
    assert all(run == rated[0] for run in rated)
    # Whoever announced it had waited for everything that was acknowledged when it began.
    assert read().cut(rated[0].number).offsets[(1, 0)] >= announced[0]


ZONES = ["America/New_York", "Asia/Kathmandu", "Pacific/Apia", "UTC"]


@given(
    st.lists(
        st.tuples(st.sampled_from(ZONES), st.sampled_from([None, 1, 15, 31]), st.integers(1, 90)),
        min_size=1,
        max_size=8,
    )
)
def test_invariant_9_a_period_starts_where_its_predecessor_ended_whatever_happens_to_zone_and_anchor(
    closes: list[tuple[str, int | None, int]],
) -> None:
    catalog, versions = Catalog(), dict[str, int]()

    def publish(kind: str, body: dict[str, Any]) -> None:
        versions[kind] = versions.get(kind, 0) + 1
        record = {
            "namespace": "air", "kind": kind, "code": body["code"], "version": versions[kind], "retired": False,
            "valid_from": None, "body": json.dumps(body), "author": "", "claim_id": "",
        }  # fmt: skip
        assert catalog.apply(record, catalog.next_offset, 0) is not None

    publish("product", {"code": "fee", "kind": "flat"})
    charge = {"product": "fee", "price": {"model": "flat", "amount": "5"}}
    publish("plan", {"code": "basic", "currency": "USD", "interval": "month", "charges": [charge]})
    standing, now, spans = StandingInvoices(), 1_750_000_000_000_000, []
    for zone, anchor, days in closes:
        publish("account", {"code": "acme", "time_zone": zone})
        further_value = {} if anchor is None else {"billing_anchor": f"2025-01-{anchor:02}"}
        publish(
            "subscription",
            {"code": "s", "account": "acme", "plan": "basic", "start": "2025-06-01T00:00:00Z"} | further_value,
        )
        now += days * 86_400_000_000
        plan = make_plan(catalog.view("air"), standing, now, {})
        assert plan.problems == ()
        rivals = [Run(name, 1, catalog.next_offset, now, {}) for name in ("run_a", "run_b")]
        bills, problems = zip(*(build_invoices(plan, {}, run) for run in rivals), strict=True)
        assert problems == ((), ())
        for first_item, second in zip(*bills, strict=True):
            spans.append((first_item.period_start, first_item.period_end))
            assert standing.apply(first_item)
            assert not standing.apply(second), "two runs bill one period"
        assert make_plan(catalog.view("air"), standing, now, {}).billings == ()
    assert all(previous[1] == later_item[0] for previous, later_item in itertools.pairwise(spans))
    assert all(start < end <= now for start, end in spans)


# --- 10: late usage is never lost -----------------------------------------------------------------------------------

TIERS = [{"up_to": "10", "unit_amount": "1.005"}, {"up_to": None, "unit_amount": "0.333", "flat_amount": "2"}]
PRICE = parse_price({"model": "tiered", "tiers": TIERS}, "USD")
LENGTH = 100


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, LENGTH - 1), st.integers(0, 4), st.decimals(-9, 30, places=2)),
        max_size=14,
    )
)
def test_invariant_10_whenever_usage_arrives_the_bills_of_a_period_sum_to_one_bill_over_everything(
    arrivals: list[tuple[int, int, int, Decimal]],
) -> None:
    """(period, instant in it, how many closes late, quantity): four periods, then closes that hold adjustments
    alone."""
    chain: list[Invoice] = []
    book: Any = SimpleNamespace(
        need=lambda profile, price, start, end: Need(Measured(profile, "sum", ((1, 86_400),)), start, end),
        lock=NO_LOCK,
    )
    price_text = json.dumps(PRICE.model_dump(mode="json"))

    def there(close: int, period: int) -> list[Decimal]:
        return [quantity for where, _, late, quantity in arrivals if where == period and min(where + late, 7) <= close]

    for close in range(8):
        new = [
            Late("m.p", period * LENGTH + at, period * LENGTH + at, 1)
            for period, at, late, _ in arrivals
            if late and min(period + late, 7) == close
        ]
        totals: Any = {}
        for period in range(4):
            need = book.need("m.p", PRICE, period * LENGTH, (period + 1) * LENGTH)
            result = there(close, period)
            totals[need] = {"acme": [UsageGroup(Usage(sum(result, Decimal(0)), len(result)), "acme")]}
        lines = adjustments(priors(chain, new, book), totals, "acme", "USD") if new else []
        if close < 4:
            start = close * LENGTH
            amount = rate(PRICE, sum(there(close, close), Decimal(0)), currency="USD").amount
            bill = line_of(
                number=1,
                description="P",
                profile_id="m.p",
                profile_versions=(1,),
                period_start=start,
                period_end=start + LENGTH,
                quantity="0",
                events="0",
                price=price_text,
                amount=str(amount),
            )
            lines = [bill, *lines]
        chain.append(invoice_of(invoice_id=str(close), lines=tuple(lines)))
    for period in range(4):
        billed = [
            Decimal(line.amount) for invoice in chain for line in invoice.lines if line.period_start == period * LENGTH
        ]
        assert sum(billed) == rate(PRICE, sum(there(7, period), Decimal(0)), currency="USD").amount
