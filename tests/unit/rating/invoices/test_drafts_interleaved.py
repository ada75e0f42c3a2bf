"""Whatever two processes do to drafts, each period has one invoice, as approved."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from rating.invoices.amounts.prepaid_credits import drawn
from rating.invoices.chain import billed_up_to
from rating.invoices.draft_decisions import awaiting, draft_of, held, released
from rating.invoices.ledger import StandingInvoices
from rating.invoices.numbering import unnumbered
from rating.invoices.transitions import ChangeRefused
from schemas.ledgers.invoice_numbers import InvoiceNumbers
from schemas.ledgers.invoice_record import Invoice, body_of
from tests.unit.rating.builders import Shelf, us
from tests.unit.rating.invoices.draft_builders import (
    ME,
    SUBSCRIPTION,
    approve,
    basic_plan,
    catalog,
    drafts,
    finals,
    stored,
)


@dataclass
class Process:
    """A close, an approver or whoever holds: it decides on what it has read, writes step by step, and may die in
    between."""

    read_to: int = 0
    standing: StandingInvoices = field(default_factory=StandingInvoices)
    pending: list[Invoice] = field(default_factory=list)

    def follow(self, log: list[Invoice], until: int) -> None:
        for record in log[self.read_to : until]:
            self.standing.apply(record)
        self.read_to = max(self.read_to, until)


def _acts(expected: Shelf, process: Process, act: str, choice: int, step: int) -> list[Invoice]:
    """The records that the process would write now, knowing what it has read."""
    standing, at = process.standing, f"2024-0{2 + choice % 3}-02T00:00:00Z"
    if act == "close":
        return [*finals(expected, standing, at, f"run{step}"), *drafts(expected, standing, at, f"draft{step}", step)]
    open_drafts = standing.drafts("air")
    if not open_drafts:
        return []
    open_draft = open_drafts[choice % len(open_drafts)]
    decide: dict[str, Callable[[], Invoice | None]] = {
        "approve": lambda: approve(expected, standing, open_draft, open_draft.version),
        "hold": lambda: held(open_draft, "wait", ME),
        "release": lambda: released(open_draft),
    }
    try:
        record = decide[act]()
    except ChangeRefused:
        return []
    return [] if record is None else [stored(record)]


@given(
    st.sampled_from(["required", "none"]),
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.sampled_from(
                ["close", "close", "approve", "hold", "release", "write", "write", "write", "change", "kill", "read"]
            ),
            st.integers(0, 5),
        ),
        max_size=40,
    ),
)
def test_any_interleaving_gives_each_period_one_invoice_as_approved(
    approval: str, steps: list[tuple[int, str, int]]
) -> None:
    """Two processes plan on what they have read, write some records at a time, die and begin anew, while what is to be
    billed changes; numbers are given at any time."""
    result = catalog(approval, grant="25")
    log: list[Invoice] = []
    truth, numbers = StandingInvoices(), InvoiceNumbers()
    looked_at: dict[tuple[str, int], Invoice] = {}
    processes = [Process(), Process()]

    def write(process: Process, record: Invoice) -> None:
        log.append(record)
        draft = truth.draft("air", record.invoice_id)
        chain = truth.chain("air", record.subscription)
        if truth.apply(record):
            if record.state == "draft":
                looked_at[record.invoice_id, record.version] = record
            else:
                assert record.version == 1
                assert draft is None or "held" not in draft_of(draft)
                assert body_of(record).after == (chain[-1].run_id if chain else None)
                if (observed_approved := body_of(record).approved) is not None:
                    assert draft is not None
                    assert draft == looked_at[record.invoice_id, observed_approved["draft"]]
                    assert (record.lines, record.total) == (draft.lines, draft.total)
                else:
                    assert approval == "none"
        process.follow(log, len(log))

    for step, (who, act, choice) in enumerate(steps, 2):
        process = processes[who]
        if act == "read":
            process.follow(log, len(log) - choice)
        elif act == "kill":
            processes[who] = Process()
        elif act == "write":
            for _ in range(min(choice + 1, len(process.pending))):
                write(process, process.pending.pop(0))
        elif act == "change":
            result.add("plan", basic_plan(approval, str(10 + step)))
            result.add(
                "subscription",
                SUBSCRIPTION | {"plan_version": len(result.view().history("plan", "basic")), "change_at": "2024-01-10"},
            )
        elif not process.pending:
            process.pending = _acts(result, process, act, choice, step)
        known = process.standing
        numbers.give("air", "INV-", unnumbered(numbers, "air", known.invoices("air")))
    # In the end somebody releases and approves all, and closes until nothing is left.
    last_process = Process()
    last_process.follow(log, len(log))
    previous_len = -1
    for step in range(100, 130):
        if previous_len == len(log):
            break
        previous_len = len(log)
        for record in _acts(result, last_process, "close", 2, step):
            write(last_process, record)
        for item in list(last_process.standing.drafts("air")):
            if (free := released(item)) is not None:
                write(last_process, stored(free))
        for item in sorted(last_process.standing.drafts("air"), key=lambda item: item.period_start):
            newest = last_process.standing.draft("air", item.invoice_id)
            try:
                record = approve(result, last_process.standing, newest or item, (newest or item).version)
            except ChangeRefused:
                continue
            if record is not None:
                write(last_process, stored(record))
    numbers.give("air", "INV-", unnumbered(numbers, "air", truth.invoices("air")))
    for name in ("s", "t"):
        chain = truth.chain("air", name)
        assert [item.period_start for item in chain] == [us(f"2024-0{month}-01T00:00:00Z") for month in (1, 2, 3)]
        assert billed_up_to(chain) == chain[-1].checkpoint
        drawn_on = drawn(chain).get("g", Decimal(0))
        assert 0 <= drawn_on <= 25
        assert all(Decimal(item.total) >= 0 for item in chain)
    assert [item.rank for item in numbers.given("air")] == [1, 2, 3, 4, 5, 6]
    assert {item.invoice_id for item in numbers.given("air")} == {
        invoice.invoice_id for invoice in truth.invoices("air")
    }
    assert truth.drafts("air") == []
    assert json.dumps(awaiting(truth.drafts("air"))) == "[]"
