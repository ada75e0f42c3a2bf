"""Drafts: refreshed when their content changes, held, approved; whatever two processes do, each period has one invoice,
as approved."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from rating.invoices.amounts.prepaid_credits import Wallet, drawn, owned_grants
from rating.invoices.chain import billed_up_to
from rating.invoices.draft_decisions import DraftDecision, approved, awaiting, draft_of, held, released
from rating.invoices.ledger import StandingInvoices
from rating.invoices.numbering import unnumbered
from rating.invoices.transitions import ChangeRefused, NewPayment, voided, with_payment
from rating.invoicing.build_drafts import build_drafts
from rating.invoicing.run_plan import build_invoices, make_plan
from rating.pricing.reduction_lines import Balance
from schemas.ledgers.checkpoints import Run
from schemas.ledgers.invoice_numbers import InvoiceNumbers
from schemas.ledgers.invoice_record import Invoice, body_of, decode_invoice, encode_invoice
from tests.unit.rating.builders import Shelf, us

ME = DraftDecision("me", us("2024-05-05T12:00:00Z"))
SUBSCRIPTION = {"code": "s", "account": "acme", "plan": "basic", "start": "2024-01-01T00:00:00Z"}


def catalog(approval: str = "required", grant: str = "", **plan: Any) -> Shelf:
    shelf = Shelf()
    shelf.add("product", {"code": "support", "kind": "flat"})
    shelf.add("plan", _plan(approval, **plan))
    shelf.add("account", {"code": "acme"})
    for name in ("s", "t"):
        shelf.add("subscription", SUBSCRIPTION | {"code": name})
    if grant:
        shelf.add("credit_grant", {"code": "g", "account": "acme", "currency": "USD", "amount": grant})
    return shelf


def _plan(approval: str, amount: str = "10", grace: int = 86_400) -> dict[str, Any]:
    charges = [{"product": "support", "price": {"model": "flat", "amount": amount}}]
    return {"code": "basic", "currency": "USD", "grace_seconds": grace, "charges": charges, "approval": approval}


def stored(record: Invoice) -> Invoice:
    """As it is read back."""
    return decode_invoice(encode_invoice(record))


def finals(expected: Shelf, standing: StandingInvoices, at: str, run: str = "run") -> list[Invoice]:
    plan = make_plan(expected.view(), standing, us(at), {})
    invoices, problems = build_invoices(plan, {}, Run(run, 1, 0, us(at), {}))
    assert problems == ()
    return [stored(invoice) for invoice in invoices]


def drafts(expected: Shelf, standing: StandingInvoices, at: str, run: str = "run", number: int = 1) -> list[Invoice]:
    plan = make_plan(expected.view(), standing, us(at), {}, "drafts")
    result, problems = build_drafts(plan, {}, Run(run, number, 0, us(at), {}), standing)
    assert problems == ()
    return [stored(item) for item in result]


def balances(expected: Shelf, standing: StandingInvoices, value: Invoice) -> list[Balance]:
    wallet = Wallet(owned_grants(expected.view()), drawn(standing.invoices("air")))
    return wallet.balances(value.account_id, value.subscription, value.currency, value.period_end - 1)


def approve(expected: Shelf, standing: StandingInvoices, value: Invoice, version: int) -> Invoice | None:
    return approved(standing.chain("air", value.subscription), value, version, ME, balances(expected, standing, value))


def of(records: list[Invoice], name: str) -> list[Invoice]:
    return [record for record in records if record.subscription == name]


def applied(standing: StandingInvoices, records: list[Invoice]) -> list[Invoice]:
    assert all(standing.apply(record) for record in records)
    return records


def test_within_grace_a_period_is_a_draft_that_a_close_finalises_afterwards() -> None:
    result, standing = catalog("none"), StandingInvoices()
    assert finals(result, standing, "2024-02-01T12:00:00Z") == []
    january = applied(standing, drafts(result, standing, "2024-02-01T12:00:00Z"))
    assert [(item.state, item.version, item.total) for item in january] == [("draft", 1, "10.00")] * 2
    assert "due_date" not in body_of(january[0])
    assert standing.count("air") == 0
    assert standing.chain("air", "s") == []
    assert unnumbered(InvoiceNumbers(), "air", standing.invoices("air")) == []
    assert drafts(result, standing, "2024-02-01T13:00:00Z", "later", 2) == []
    result.add("plan", _plan("none", "12"))
    result.add("subscription", SUBSCRIPTION | {"plan_version": 2, "change_at": "2024-01-16"})
    (repeated_applied,) = applied(standing, drafts(result, standing, "2024-02-01T13:00:00Z", "later", 2))
    assert (
        repeated_applied.version,
        repeated_applied.total,
        repeated_applied.run_id,
        draft_of(repeated_applied)["content"],
    ) == (2, "11.03", "later", 2)
    applied_result = applied(standing, finals(result, standing, "2024-02-02T00:00:00Z"))
    assert [(item.version, item.state, item.total) for item in applied_result] == [
        (1, "finalized", "11.03"),
        (1, "finalized", "10.00"),
    ]
    assert standing.drafts("air") == []
    assert not standing.apply(replace(repeated_applied, version=3))  # it has become an invoice
    assert held_off(standing, repeated_applied)


def held_off(standing: StandingInvoices, draft: Invoice) -> bool:
    """A hold that comes too late is void."""
    late = held(draft, "wait", ME)
    return late is not None and not standing.apply(late)


def test_what_is_approved_is_what_is_billed() -> None:
    result, standing = catalog(), StandingInvoices()
    two = "2024-03-05T00:00:00Z"
    assert finals(result, standing, two) == []
    applied_result = applied(standing, drafts(result, standing, two))
    assert (
        drafts(result, standing, "2024-02-05T00:00:00Z", "of the past", 2) == []
    )  # February's are not withdrawn by it
    january, february = of(applied_result, "s")
    assert len(awaiting(standing.drafts("air"))) == 4
    with pytest.raises(ChangeRefused, match=f"follows {january.invoice_id}, which is a draft itself"):
        approve(result, standing, february, 1)
    invoice = approve(result, standing, january, 1)
    assert invoice is not None
    applied(standing, [invoice])
    assert {
        name: getattr(invoice, name) for name in ("lines", "total", "checkpoint", "run_id", "as_of", "plan_version")
    } == {name: getattr(january, name) for name in ("lines", "total", "checkpoint", "run_id", "as_of", "plan_version")}
    assert (invoice.version, invoice.state, body_of(invoice).due_date) == (1, "finalized", "2024-06-04")
    assert body_of(invoice).approved == {"author": "me", "at": "2024-05-05T12:00:00Z", "draft": 1, "content": 1}
    assert approve(result, standing, invoice, 1) is None
    with pytest.raises(ChangeRefused, match="version 1 of its draft was approved"):
        approve(result, standing, invoice, 2)
    second = approve(result, standing, february, 1)
    assert second is not None
    applied(standing, [second])
    assert not standing.apply(invoice)
    assert drafts(result, standing, two, "again", 2) == []
    with pytest.raises(ChangeRefused, match="and no draft"):
        held(second, "too late", ME)


def test_a_version_that_was_refreshed_since_is_not_approved_and_a_hold_changes_no_content() -> None:
    result, standing = catalog(), StandingInvoices()
    at = "2024-02-05T00:00:00Z"
    (draft,) = of(applied(standing, drafts(result, standing, at)), "s")
    hold = held(draft, "ask them first", ME)
    assert hold is not None
    applied(standing, [hold])
    assert held(hold, "again", ME) is None
    with pytest.raises(ChangeRefused, match="ask them first; release it first"):
        approve(result, standing, hold, 1)
    assert "held since 2024-05-05T12:00:00Z by me: ask them first" in awaiting([hold])[0]
    free = released(hold)
    assert free is not None
    applied(standing, [free])
    assert released(free) is None
    invoice = approve(result, standing, free, 1)
    assert invoice is not None
    assert (body_of(invoice).approved["draft"], body_of(invoice).holds) == (3, 2)
    result.add("plan", _plan("required", "12"))
    result.add("subscription", SUBSCRIPTION | {"plan_version": 2, "change_at": "2024-01-16"})
    (repeated_of,) = of(applied(standing, drafts(result, standing, at, "later", 2)), "s")
    assert (repeated_of.version, draft_of(repeated_of)["holds"]) == (4, 2)
    assert not standing.apply(invoice)  # approved at the same time as it was refreshed
    with pytest.raises(ChangeRefused, match="at version 4, and was refreshed with other content since version 3"):
        approve(result, standing, repeated_of, 3)
    assert standing.apply(approve(result, standing, repeated_of, 4) or repeated_of)


def test_a_held_period_and_those_after_it_wait_and_neither_close_nor_hold_can_miss_the_other() -> None:
    result, standing = catalog("none"), StandingInvoices()
    applied(standing, drafts(result, standing, "2024-02-01T12:00:00Z"))
    (january,) = of(standing.drafts("air"), "s")
    planned = of(finals(result, standing, "2024-02-02T00:00:00Z"), "s")
    hold = held(january, "wait", ME)
    assert hold is not None
    applied(standing, [hold])
    assert [standing.apply(item) for item in planned] == [False]
    assert of(finals(result, standing, "2024-04-02T00:00:00Z"), "s") == []
    waiting = of(applied(standing, drafts(result, standing, "2024-04-02T00:00:00Z")), "s")
    assert [item.period_start for item in waiting] == [us("2024-02-01T00:00:00Z"), us("2024-03-01T00:00:00Z")]
    applied(standing, [released(hold) or hold])
    of_result = of(finals(result, standing, "2024-04-02T00:00:00Z"), "s")
    assert applied(standing, of_result)[0].period_start == us("2024-01-01T00:00:00Z")
    assert len(of_result) == 3
    with pytest.raises(ChangeRefused, match="needs no approval"):
        approve(result, standing, january, 1)


def test_prepaid_credits_of_a_draft_are_its_own_alone_until_it_is_approved() -> None:
    result, standing = catalog(grant="15"), StandingInvoices()
    at = "2024-02-05T00:00:00Z"
    applied_result = applied(standing, drafts(result, standing, at))
    assert [item.total for item in applied_result] == ["0.00", "0.00"]
    assert drafts(result, standing, at, "again", 2) == []
    assert drawn(standing.invoices("air")) == {}
    first_item, second = applied_result
    applied(standing, [approve(result, standing, first_item, 1) or first_item])
    refreshed = approve(result, standing, second, 1)
    assert refreshed is not None
    assert (refreshed.state, refreshed.version, refreshed.total) == ("draft", 2, "5.00")
    applied(standing, [refreshed])
    assert drafts(result, standing, at, "again", 2) == []
    with pytest.raises(ChangeRefused, match="refreshed with other content since version 1"):
        approve(result, standing, refreshed, 1)
    applied(standing, [approve(result, standing, refreshed, 2) or refreshed])
    assert drawn(standing.invoices("air")) == {"g": Decimal(15)}


def test_a_void_invoice_before_it_a_changed_grant_and_an_early_end_refresh_or_withdraw_a_draft() -> None:
    result, standing = catalog("none"), StandingInvoices()
    (january,) = of(applied(standing, finals(result, standing, "2024-02-02T00:00:00Z")), "s")
    result.add("plan", _plan("required"))
    result.add("subscription", SUBSCRIPTION | {"plan_version": 2, "change_at": "2024-02-01"})
    at = "2024-03-05T00:00:00Z"
    applied(standing, of(finals(result, standing, at), "t"))
    (february,) = applied(standing, drafts(result, standing, at))
    applied(standing, [voided(standing.chain("air", "s"), january, "wrong", "me", 0) or january])
    with pytest.raises(ChangeRefused, match="`weir close` refreshes it"):
        approve(result, standing, february, 1)
    january_again = applied(standing, of(finals(result, standing, at, "second"), "s"))
    assert [body_of(item).reissues for item in january_again] == [january.invoice_id]
    (refreshed,) = applied(standing, drafts(result, standing, at, "second", 2))
    assert (refreshed.invoice_id, refreshed.version) == (february.invoice_id, 2)
    assert refreshed.predecessor == january_again[0].invoice_id
    result.add("subscription", SUBSCRIPTION | {"plan_version": 2, "change_at": "2024-02-01", "end": "2024-02-01"})
    (gone,) = applied(standing, drafts(result, standing, at, "third", 3))
    assert (gone.state, standing.drafts("air")) == ("withdrawn", [])
    with pytest.raises(ChangeRefused, match="was withdrawn"):
        approve(result, standing, gone, 3)


def test_a_draft_takes_no_payment_and_is_not_voided() -> None:
    result, standing = catalog(), StandingInvoices()
    draft = applied(standing, drafts(result, standing, "2024-02-05T00:00:00Z"))[0]
    for change in (
        lambda: with_payment(draft, NewPayment("p", Decimal(1), 0, "me")),
        lambda: voided([], draft, "wrong", "me", 0),
    ):
        with pytest.raises(ChangeRefused, match="is a draft, of which nothing is owed yet"):
            change()


def test_an_invoice_counts_only_after_the_run_that_its_predecessor_is_of() -> None:
    """What came late for January between two runs would be on neither invoice, where February counted on the later
    one."""
    result = catalog("none")
    invoices, second_invoices = StandingInvoices(), StandingInvoices()
    both = of(finals(result, invoices, "2024-03-02T00:00:00Z", "later"), "s")
    (earlier,) = of(finals(result, second_invoices, "2024-02-02T00:00:00Z", "earlier"), "s")
    assert [second_invoices.apply(record) for record in (earlier, *both)] == [True, False, False]
    (february,) = of(finals(result, second_invoices, "2024-03-02T00:00:00Z", "later"), "s")
    assert body_of(february).after == "earlier"
    assert second_invoices.apply(february)
    assert [invoices.apply(record) for record in both] == [True, True]


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


@settings(deadline=None, max_examples=100)
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
            result.add("plan", _plan(approval, str(10 + step)))
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
