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
    found = Shelf()
    found.add("product", {"code": "support", "kind": "flat"})
    found.add("plan", _plan(approval, **plan))
    found.add("account", {"code": "acme"})
    for name in ("s", "t"):
        found.add("subscription", SUBSCRIPTION | {"code": name})
    if grant:
        found.add("credit_grant", {"code": "g", "account": "acme", "currency": "USD", "amount": grant})
    return found


def _plan(approval: str, amount: str = "10", grace: int = 86_400) -> dict[str, Any]:
    charges = [{"product": "support", "price": {"model": "flat", "amount": amount}}]
    return {"code": "basic", "currency": "USD", "grace_seconds": grace, "charges": charges, "approval": approval}


def stored(record: Invoice) -> Invoice:
    """As it is read back."""
    return decode_invoice(encode_invoice(record))


def finals(found: Shelf, standing: StandingInvoices, at: str, run: str = "run") -> list[Invoice]:
    plan = make_plan(found.view(), standing, us(at), {})
    invoices, problems = build_invoices(plan, {}, Run(run, 1, 0, us(at), {}))
    assert problems == ()
    return [stored(one) for one in invoices]


def drafts(found: Shelf, standing: StandingInvoices, at: str, run: str = "run", number: int = 1) -> list[Invoice]:
    plan = make_plan(found.view(), standing, us(at), {}, "drafts")
    made, problems = build_drafts(plan, {}, Run(run, number, 0, us(at), {}), standing)
    assert problems == ()
    return [stored(one) for one in made]


def balances(found: Shelf, standing: StandingInvoices, one: Invoice) -> list[Balance]:
    wallet = Wallet(owned_grants(found.view()), drawn(standing.invoices("air")))
    return wallet.balances(one.account_id, one.subscription, one.currency, one.period_end - 1)


def approve(found: Shelf, standing: StandingInvoices, one: Invoice, version: int) -> Invoice | None:
    return approved(standing.chain("air", one.subscription), one, version, ME, balances(found, standing, one))


def of(records: list[Invoice], name: str) -> list[Invoice]:
    return [one for one in records if one.subscription == name]


def applied(standing: StandingInvoices, records: list[Invoice]) -> list[Invoice]:
    assert all(standing.apply(one) for one in records)
    return records


def test_within_grace_a_period_is_a_draft_that_a_close_finalises_afterwards() -> None:
    found, standing = catalog("none"), StandingInvoices()
    assert finals(found, standing, "2024-02-01T12:00:00Z") == []
    january = applied(standing, drafts(found, standing, "2024-02-01T12:00:00Z"))
    assert [(one.state, one.version, one.total) for one in january] == [("draft", 1, "10.00")] * 2
    assert "due_date" not in body_of(january[0])
    assert standing.count("air") == 0
    assert standing.chain("air", "s") == []
    assert unnumbered(InvoiceNumbers(), "air", standing.invoices("air")) == []
    assert drafts(found, standing, "2024-02-01T13:00:00Z", "later", 2) == []
    found.add("plan", _plan("none", "12"))
    found.add("subscription", SUBSCRIPTION | {"plan_version": 2, "change_at": "2024-01-16"})
    (again,) = applied(standing, drafts(found, standing, "2024-02-01T13:00:00Z", "later", 2))
    assert (again.version, again.total, again.run_id, draft_of(again)["content"]) == (2, "11.03", "later", 2)
    made = applied(standing, finals(found, standing, "2024-02-02T00:00:00Z"))
    assert [(one.version, one.state, one.total) for one in made] == [
        (1, "finalized", "11.03"),
        (1, "finalized", "10.00"),
    ]
    assert standing.drafts("air") == []
    assert not standing.apply(replace(again, version=3))  # it has become an invoice
    assert held_off(standing, again)


def held_off(standing: StandingInvoices, draft: Invoice) -> bool:
    """A hold that comes too late is void."""
    late = held(draft, "wait", ME)
    return late is not None and not standing.apply(late)


def test_what_is_approved_is_what_is_billed() -> None:
    found, standing = catalog(), StandingInvoices()
    two = "2024-03-05T00:00:00Z"
    assert finals(found, standing, two) == []
    made = applied(standing, drafts(found, standing, two))
    assert drafts(found, standing, "2024-02-05T00:00:00Z", "of the past", 2) == []  # February's are not withdrawn by it
    january, february = of(made, "s")
    assert len(awaiting(standing.drafts("air"))) == 4
    with pytest.raises(ChangeRefused, match=f"follows {january.invoice_id}, which is a draft itself"):
        approve(found, standing, february, 1)
    invoice = approve(found, standing, january, 1)
    assert invoice is not None
    applied(standing, [invoice])
    assert {
        name: getattr(invoice, name) for name in ("lines", "total", "checkpoint", "run_id", "as_of", "plan_version")
    } == {name: getattr(january, name) for name in ("lines", "total", "checkpoint", "run_id", "as_of", "plan_version")}
    assert (invoice.version, invoice.state, body_of(invoice).due_date) == (1, "finalized", "2024-06-04")
    assert body_of(invoice).approved == {"author": "me", "at": "2024-05-05T12:00:00Z", "draft": 1, "content": 1}
    assert approve(found, standing, invoice, 1) is None
    with pytest.raises(ChangeRefused, match="version 1 of its draft was approved"):
        approve(found, standing, invoice, 2)
    second = approve(found, standing, february, 1)
    assert second is not None
    applied(standing, [second])
    assert not standing.apply(invoice)
    assert drafts(found, standing, two, "again", 2) == []
    with pytest.raises(ChangeRefused, match="and no draft"):
        held(second, "too late", ME)


def test_a_version_that_was_refreshed_since_is_not_approved_and_a_hold_changes_no_content() -> None:
    found, standing = catalog(), StandingInvoices()
    at = "2024-02-05T00:00:00Z"
    (draft,) = of(applied(standing, drafts(found, standing, at)), "s")
    hold = held(draft, "ask them first", ME)
    assert hold is not None
    applied(standing, [hold])
    assert held(hold, "again", ME) is None
    with pytest.raises(ChangeRefused, match="ask them first; release it first"):
        approve(found, standing, hold, 1)
    assert "held since 2024-05-05T12:00:00Z by me: ask them first" in awaiting([hold])[0]
    free = released(hold)
    assert free is not None
    applied(standing, [free])
    assert released(free) is None
    invoice = approve(found, standing, free, 1)
    assert invoice is not None
    assert (body_of(invoice).approved["draft"], body_of(invoice).holds) == (3, 2)
    found.add("plan", _plan("required", "12"))
    found.add("subscription", SUBSCRIPTION | {"plan_version": 2, "change_at": "2024-01-16"})
    (again,) = of(applied(standing, drafts(found, standing, at, "later", 2)), "s")
    assert (again.version, draft_of(again)["holds"]) == (4, 2)
    assert not standing.apply(invoice)  # approved at the same time as it was refreshed
    with pytest.raises(ChangeRefused, match="at version 4, and was refreshed with other content since version 3"):
        approve(found, standing, again, 3)
    assert standing.apply(approve(found, standing, again, 4) or again)


def test_a_held_period_and_those_after_it_wait_and_neither_close_nor_hold_can_miss_the_other() -> None:
    found, standing = catalog("none"), StandingInvoices()
    applied(standing, drafts(found, standing, "2024-02-01T12:00:00Z"))
    (january,) = of(standing.drafts("air"), "s")
    planned = of(finals(found, standing, "2024-02-02T00:00:00Z"), "s")
    hold = held(january, "wait", ME)
    assert hold is not None
    applied(standing, [hold])
    assert [standing.apply(one) for one in planned] == [False]
    assert of(finals(found, standing, "2024-04-02T00:00:00Z"), "s") == []
    waiting = of(applied(standing, drafts(found, standing, "2024-04-02T00:00:00Z")), "s")
    assert [one.period_start for one in waiting] == [us("2024-02-01T00:00:00Z"), us("2024-03-01T00:00:00Z")]
    applied(standing, [released(hold) or hold])
    made = of(finals(found, standing, "2024-04-02T00:00:00Z"), "s")
    assert applied(standing, made)[0].period_start == us("2024-01-01T00:00:00Z")
    assert len(made) == 3
    with pytest.raises(ChangeRefused, match="needs no approval"):
        approve(found, standing, january, 1)


def test_prepaid_credits_of_a_draft_are_its_own_alone_until_it_is_approved() -> None:
    found, standing = catalog(grant="15"), StandingInvoices()
    at = "2024-02-05T00:00:00Z"
    made = applied(standing, drafts(found, standing, at))
    assert [one.total for one in made] == ["0.00", "0.00"]
    assert drafts(found, standing, at, "again", 2) == []
    assert drawn(standing.invoices("air")) == {}
    first, second = made
    applied(standing, [approve(found, standing, first, 1) or first])
    refreshed = approve(found, standing, second, 1)
    assert refreshed is not None
    assert (refreshed.state, refreshed.version, refreshed.total) == ("draft", 2, "5.00")
    applied(standing, [refreshed])
    assert drafts(found, standing, at, "again", 2) == []
    with pytest.raises(ChangeRefused, match="refreshed with other content since version 1"):
        approve(found, standing, refreshed, 1)
    applied(standing, [approve(found, standing, refreshed, 2) or refreshed])
    assert drawn(standing.invoices("air")) == {"g": Decimal(15)}


def test_a_void_invoice_before_it_a_changed_grant_and_an_early_end_refresh_or_withdraw_a_draft() -> None:
    found, standing = catalog("none"), StandingInvoices()
    (january,) = of(applied(standing, finals(found, standing, "2024-02-02T00:00:00Z")), "s")
    found.add("plan", _plan("required"))
    found.add("subscription", SUBSCRIPTION | {"plan_version": 2, "change_at": "2024-02-01"})
    at = "2024-03-05T00:00:00Z"
    applied(standing, of(finals(found, standing, at), "t"))
    (february,) = applied(standing, drafts(found, standing, at))
    applied(standing, [voided(standing.chain("air", "s"), january, "wrong", "me", 0) or january])
    with pytest.raises(ChangeRefused, match="`weir close` refreshes it"):
        approve(found, standing, february, 1)
    january_again = applied(standing, of(finals(found, standing, at, "second"), "s"))
    assert [body_of(one).reissues for one in january_again] == [january.invoice_id]
    (refreshed,) = applied(standing, drafts(found, standing, at, "second", 2))
    assert (refreshed.invoice_id, refreshed.version) == (february.invoice_id, 2)
    assert refreshed.predecessor == january_again[0].invoice_id
    found.add("subscription", SUBSCRIPTION | {"plan_version": 2, "change_at": "2024-02-01", "end": "2024-02-01"})
    (gone,) = applied(standing, drafts(found, standing, at, "third", 3))
    assert (gone.state, standing.drafts("air")) == ("withdrawn", [])
    with pytest.raises(ChangeRefused, match="was withdrawn"):
        approve(found, standing, gone, 3)


def test_a_draft_takes_no_payment_and_is_not_voided() -> None:
    found, standing = catalog(), StandingInvoices()
    draft = applied(standing, drafts(found, standing, "2024-02-05T00:00:00Z"))[0]
    for change in (
        lambda: with_payment(draft, NewPayment("p", Decimal(1), 0, "me")),
        lambda: voided([], draft, "wrong", "me", 0),
    ):
        with pytest.raises(ChangeRefused, match="is a draft, of which nothing is owed yet"):
            change()


def test_an_invoice_counts_only_after_the_run_that_its_predecessor_is_of() -> None:
    """What came late for January between two runs would be on neither invoice, where February counted on the later
    one."""
    found = catalog("none")
    one, other = StandingInvoices(), StandingInvoices()
    both = of(finals(found, one, "2024-03-02T00:00:00Z", "later"), "s")
    (earlier,) = of(finals(found, other, "2024-02-02T00:00:00Z", "earlier"), "s")
    assert [other.apply(record) for record in (earlier, *both)] == [True, False, False]
    (february,) = of(finals(found, other, "2024-03-02T00:00:00Z", "later"), "s")
    assert body_of(february).after == "earlier"
    assert other.apply(february)
    assert [one.apply(record) for record in both] == [True, True]


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


def _acts(found: Shelf, process: Process, act: str, choice: int, step: int) -> list[Invoice]:
    """The records that the process would write now, knowing what it has read."""
    standing, at = process.standing, f"2024-0{2 + choice % 3}-02T00:00:00Z"
    if act == "close":
        return [*finals(found, standing, at, f"run{step}"), *drafts(found, standing, at, f"draft{step}", step)]
    open_drafts = standing.drafts("air")
    if not open_drafts:
        return []
    one = open_drafts[choice % len(open_drafts)]
    decide: dict[str, Callable[[], Invoice | None]] = {
        "approve": lambda: approve(found, standing, one, one.version),
        "hold": lambda: held(one, "wait", ME),
        "release": lambda: released(one),
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
    found = catalog(approval, grant="25")
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
                if (seen := body_of(record).approved) is not None:
                    assert draft is not None
                    assert draft == looked_at[record.invoice_id, seen["draft"]]
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
            found.add("plan", _plan(approval, str(10 + step)))
            found.add(
                "subscription",
                SUBSCRIPTION | {"plan_version": len(found.view().history("plan", "basic")), "change_at": "2024-01-10"},
            )
        elif not process.pending:
            process.pending = _acts(found, process, act, choice, step)
        known = process.standing
        numbers.give("air", "INV-", unnumbered(numbers, "air", known.invoices("air")))
    # In the end somebody releases and approves all, and closes until nothing is left.
    last = Process()
    last.follow(log, len(log))
    before = -1
    for step in range(100, 130):
        if before == len(log):
            break
        before = len(log)
        for record in _acts(found, last, "close", 2, step):
            write(last, record)
        for one in list(last.standing.drafts("air")):
            if (free := released(one)) is not None:
                write(last, stored(free))
        for one in sorted(last.standing.drafts("air"), key=lambda one: one.period_start):
            newest = last.standing.draft("air", one.invoice_id)
            try:
                record = approve(found, last.standing, newest or one, (newest or one).version)
            except ChangeRefused:
                continue
            if record is not None:
                write(last, stored(record))
    numbers.give("air", "INV-", unnumbered(numbers, "air", truth.invoices("air")))
    for name in ("s", "t"):
        chain = truth.chain("air", name)
        assert [one.period_start for one in chain] == [us(f"2024-0{month}-01T00:00:00Z") for month in (1, 2, 3)]
        assert billed_up_to(chain) == chain[-1].checkpoint
        drawn_on = drawn(chain).get("g", Decimal(0))
        assert 0 <= drawn_on <= 25
        assert all(Decimal(one.total) >= 0 for one in chain)
    assert [one.rank for one in numbers.given("air")] == [1, 2, 3, 4, 5, 6]
    assert {one.invoice_id for one in numbers.given("air")} == {one.invoice_id for one in truth.invoices("air")}
    assert truth.drafts("air") == []
    assert json.dumps(awaiting(truth.drafts("air"))) == "[]"
