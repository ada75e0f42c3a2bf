"""DESIGN section 4, invariants 7 to 10, one property each: what was said as of a checkpoint stays said, and nothing is
billed twice or never. Invariants 1 to 6 and 11 stand in tests/unit/stream_processors."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rating.invoices.ledger import StandingInvoices
from rating.invoicing.charges import Need
from rating.invoicing.late_usage import Late, adjustments, priors
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.pricing import parse_price, rate
from rating.usage import Measured, Usage, UsageGroup
from rating.usage.query import split
from schemas.catalog.state import Catalog
from schemas.ledgers.checkpoints import Checkpoints, Cut, Run, cut_record, next_cut, run_record
from schemas.ledgers.invoice_record import Invoice
from tests.unit.rating.builders import invoice_of, line_of

# --- 7: checkpoints are pinned --------------------------------------------------------------------------------------

Place = tuple[int, int]
"""(partition, offset) of generation 1."""


def below(places: Iterable[Place], cut: Cut) -> set[Place]:
    return {(partition, offset) for partition, offset in places if offset < cut.offsets.get((1, partition), 0)}


class Cutter:
    """A process that cuts: it knows the ledger up to somewhere, and progress as it was when it looked."""

    def __init__(self) -> None:
        self.fold, self.read, self.progress = Checkpoints(), 0, dict[tuple[int, int], int]()


@settings(max_examples=80)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from(["meter", "look", "read", "cut", "roll up"])),
        min_size=25,
        max_size=60,
    )
)
def test_invariant_7_competing_cuts_give_one_sequence_and_what_stood_as_of_one_never_changes(
    moves: list[tuple[int, str]],
) -> None:
    """Three writers of cuts, each with old knowledge of its own; roll-ups that are done again whenever it pleases."""
    ledger: list[dict[str, Any]] = []
    truth = Checkpoints()
    progress: dict[tuple[int, int], int] = {}
    cutters = [Cutter() for _ in range(3)]
    windows: dict[int, set[Place]] = {}  # checkpoint → the places that its windows roll up
    as_of: dict[int, set[Place]] = {}

    def places() -> set[Place]:
        return {(partition, offset) for (_, partition), end in progress.items() for offset in range(end)}

    for who, move in moves:
        cutter = cutters[who]
        if move == "meter":
            progress[(1, who)] = progress.get((1, who), 0) + 1
        elif move == "look":
            cutter.progress = dict(progress)
        elif move == "read":
            for record in ledger[cutter.read :]:
                cutter.fold.apply(record)
            cutter.read = len(ledger)
        elif move == "cut":
            expected = next_cut(cutter.fold.last, cutter.progress, 0, len(ledger)) if cutter.progress else None
            if expected is not None:
                ledger.append(cut_record(expected, str(len(ledger))))
                established = truth.apply(ledger[-1])
                if established is not None:
                    assert isinstance(established, Cut)
                    assert all(end <= progress[key] for key, end in established.offsets.items())
                    as_of[established.number] = below(places(), established)
        elif truth.cuts:
            number = 1 + who % len(truth.cuts)
            rolled = {
                item
                for (_, partition), (start, end) in truth.slice(number).items()
                for item in places()
                if item[0] == partition and start <= item[1] < end
            }
            assert windows.setdefault(number, rolled) == rolled
    assert [cut.number for cut in truth.cuts] == list(range(1, len(truth.cuts) + 1))
    for cutter in cutters:
        for record in ledger[cutter.read :]:
            cutter.fold.apply(record)
        assert cutter.fold.cuts == truth.cuts
    for number, previous in as_of.items():
        assert below(places(), truth.cut(number)) == previous
        slices = [
            (partition, offset)
            for result in range(1, number + 1)
            for (_, partition), (start, end) in truth.slice(result).items()
            for offset in range(start, end)
        ]
        assert len(slices) == len(set(slices))
        assert set(slices) == previous


# --- 8: records are the truth, windows a roll-up of them ------------------------------------------------------------

Event = tuple[int, int, int]
"""(timestamp, value, slice) of an event; its number in the list is its key."""
Fold = tuple[int, int, int | None, int | None, tuple[int, int, int] | None, frozenset[int]]


def fold(events: Iterable[tuple[int, Event]]) -> Fold:
    """count, sum, max, min, latest, unique."""
    items = list(events)
    values = [event[1] for _, event in items]
    latest = max(((event[0], key, event[1]) for key, event in items), default=None)
    return len(values), sum(values), max(values, default=None), min(values, default=None), latest, frozenset(values)


def merged(parts: Iterable[Fold]) -> Fold:
    count, total, high, low, latest, unique = fold(())
    for part in parts:
        count, total, unique = count + part[0], total + part[1], unique | part[5]
        high = max((item for item in (high, part[2]) if item is not None), default=None)
        low = min((item for item in (low, part[3]) if item is not None), default=None)
        latest = max((item for item in (latest, part[4]) if item is not None), default=None)
    return count, total, high, low, latest, unique


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(-5, 5), st.integers(1, 5)), max_size=25),
    st.lists(st.integers(0, 99), min_size=2, max_size=5, unique=True),
    st.sampled_from([1, 7, 10, 24]),
    st.integers(0, 5),
)
def test_invariant_8_windows_with_ragged_edges_and_the_tail_give_what_the_records_give(
    events: list[Event], bounds: list[int], size: int, rolled_up: int
) -> None:
    """All six aggregations; windows of every slice up to ``rolled_up``, records for the edges and for what came
    later."""
    bounds = sorted(bounds)
    numbered = list(enumerate(events))
    windows: dict[tuple[int, int], list[tuple[int, Event]]] = {}
    for key, event in numbered:
        if event[2] <= rolled_up:
            windows.setdefault((event[0] // size * size, event[2]), []).append((key, event))
    full_split, ragged = split(list(itertools.pairwise(bounds)), size)
    parts = [
        fold(content)
        for (start, _), content in windows.items()
        if any(low <= start and start + size <= high for low, high in full_split)
    ]
    parts += [
        fold([(key, event)])
        for key, event in numbered
        if any(low <= event[0] < high for low, high in ragged)
        or (event[2] > rolled_up and any(low <= event[0] < high for low, high in full_split))
    ]
    assert merged(parts) == fold((key, event) for key, event in numbered if bounds[0] <= event[0] < bounds[-1])


# --- 9: an invoice names its checkpoint -----------------------------------------------------------------------------


@settings(max_examples=80)
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


@settings(max_examples=60)
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


@settings(max_examples=80)
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
        need=lambda profile, price, start, end: Need(Measured(profile, "sum", ((1, 86_400),)), start, end)
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
