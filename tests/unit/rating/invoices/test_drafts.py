"""Drafts: refreshed when their content changes, held, approved."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from rating.invoices.amounts.prepaid_credits import drawn
from rating.invoices.draft_decisions import awaiting, draft_of, held, released
from rating.invoices.ledger import StandingInvoices
from rating.invoices.numbering import unnumbered
from rating.invoices.transitions import ChangeRefused, NewPayment, voided, with_payment
from schemas.ledgers.invoice_numbers import InvoiceNumbers
from schemas.ledgers.invoice_record import Invoice, body_of
from tests.unit.rating.builders import us
from tests.unit.rating.invoices.draft_builders import (
    ME,
    SUBSCRIPTION,
    applied,
    approve,
    basic_plan,
    catalog,
    drafts,
    finals,
    of,
)


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
    result.add("plan", basic_plan("none", "12"))
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
    result.add("plan", basic_plan("required", "12"))
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
    result.add("plan", basic_plan("required"))
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
