"""The spans and steps of a usage page, and that hostile names are words on it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rating.console.chart import bars
from rating.console.customers.account_page import (
    AccountAnswers,
    HeldSubscription,
    account_metrics,
    account_money,
    account_opening,
    account_usage,
    unknown_account,
)
from rating.console.customers.customer_list import customer_list
from rating.console.events.event_fates import MetricFate
from rating.console.events.event_list import event_list, refused_list
from rating.console.events.read_events import EventFilter, MeteredEvent
from rating.console.frame import Frame
from rating.console.guide.doctor_page import DoctorForm, doctor_page
from rating.console.invoices.invoice_list import InvoiceFilter, invoice_list
from rating.console.overview.search_page import SearchHits, event_page, hits_page
from rating.console.overview.today import Today, today_panel
from rating.console.usage.usage_choice import ShownUsage, UsageChoice, edge_text, span_after, span_before, step_of
from rating.doctor.diagnosis import BillingStatus, Diagnosis, ExampleEvent, Group, Outside
from rating.invoices.lists import Page
from rating.periods import Interval
from rating.voided_events import StoredEvent
from schemas.clickhouse.stored_rejections import Rejection
from schemas.values.instants import DAY, micros
from schemas.values.local_time import local_midnight
from tests.unit.rating.console.test_console import Reader

BERLIN = ZoneInfo("Europe/Berlin")
EVIL = '"><script>alert(1)</script>'
FRAME = Frame(EVIL, (EVIL, "b"), title=EVIL, visitor=EVIL, name_of=lambda kind, code: f"{EVIL}{kind}")


def us(text: str) -> int:
    return micros(local_midnight(datetime.fromisoformat(text).date(), BERLIN))


@pytest.mark.parametrize(
    ("start", "end", "before", "after"),
    [
        ("2026-11-01", "2026-12-01", ("2026-10-01", "2026-11-01"), ("2026-12-01", "2027-01-01")),
        ("2026-01-01", "2026-04-01", ("2025-10-01", "2026-01-01"), ("2026-04-01", "2026-07-01")),
        ("2026-03-15", "2026-04-15", ("2026-02-15", "2026-03-15"), ("2026-04-15", "2026-05-15")),
        ("2026-03-30", "2026-03-31", ("2026-03-29", "2026-03-30"), ("2026-03-31", "2026-04-01")),
        ("2024-03-29", "2024-05-29", ("2024-01-29", "2024-03-29"), ("2024-05-29", "2024-07-29")),
        ("2026-03-31", "2026-05-31", ("2026-01-31", "2026-03-31"), ("2026-05-31", "2026-07-31")),
        ("2025-03-30", "2025-04-30", ("2025-02-28", "2025-03-30"), ("2025-04-30", "2025-05-30")),
    ],
)
def test_the_period_before_is_the_one_directly_before(
    start: str, end: str, before: tuple[str, str], after: tuple[str, str]
) -> None:
    assert span_before(us(start), us(end), BERLIN) == before
    assert span_after(us(start), us(end), BERLIN) == after


def test_a_span_that_is_no_days_has_one_as_long_before() -> None:
    start = us("2026-11-01") + 1
    assert span_before(start, start + DAY, BERLIN) == ("2026-10-30T23:00:00.000001Z", "2026-10-31T23:00:00.000001Z")
    assert edge_text(us("2026-03-29"), BERLIN) == "2026-03-29"


def test_a_step_fits_its_span_unless_one_was_asked_for() -> None:
    start = us("2026-11-01")
    assert [step_of("", start, start + days * DAY) for days in (1, 3, 31, 365)] == ["hour", "hour", "day", "month"]
    assert step_of("week", start, start + DAY) == "week"
    assert step_of("fortnight", start, start + DAY) == "hour"


def test_the_period_before_stands_behind_each_bar_and_nothing_at_all_is_a_line_at_the_bottom() -> None:
    drawn = bars([("a", Decimal(2)), ("b", None)], "t", [("y", Decimal(4)), ("z", Decimal(1)), ("later", Decimal(9))])
    assert (drawn.count('class="past"'), drawn.count('class="bar"')) == (2, 2)
    assert drawn.index("y: 4 t") < drawn.index("a: 2 t")
    assert "later" not in drawn
    assert 'y1="198.0"' in bars([("a", Decimal(0))], "seat")


def answer(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "metric": f"m.{EVIL}", "aggregation": "sum", "unit": EVIL, "from": "2026-11-01T00:00:00Z",
        "to": "2026-12-01T00:00:00Z", "time_zone": "UTC", "total": {"quantity": "30", "events": 3}, "rows": rows,
    }  # fmt: skip


def shown_usage() -> ShownUsage:
    row = {"from": "2026-11-01T00:00:00Z", "to": "2026-11-02T00:00:00Z", "quantity": "30", "events": 3}
    parts = [{"dimensions": {EVIL: EVIL}, "quantity": "20", "events": 2}]
    choice = UsageChoice([EVIL, "m.x"], EVIL, "2026-11-01", EVIL, "day", EVIL, (EVIL,))
    usage = answer([row])
    return ShownUsage(choice, usage, usage, answer(parts), totals=[usage])


def words_of(page: str) -> Reader:
    reader = Reader(page.removeprefix("<!doctype html>"))
    assert "script" not in reader.names
    assert not any(value and value.startswith("javascript:") for value in reader.values)
    return reader


def account(
    frame: Frame, account_id: str, zone: str, held: list[HeldSubscription], shown: ShownUsage, answers: AccountAnswers
) -> str:
    """The whole page."""
    pieces = (
        account_opening(frame, account_id, zone, held),
        account_usage(frame, account_id, shown),
        account_metrics(frame, account_id, shown),
        account_money(frame, account_id, answers),
    )
    return frame.page("accounts", account_id, *pieces)


def test_whatever_things_are_called_they_are_words_on_every_page() -> None:
    nobody = AccountAnswers(None, None, None, None, None, Page((), None), Page((), None), (EVIL,))
    held = [HeldSubscription(EVIL, EVIL, EVIL, EVIL)]
    for page in (
        account(FRAME, EVIL, "UTC", held, shown_usage(), nobody),
        account(FRAME, EVIL, "UTC", [], ShownUsage(UsageChoice([], "", "", ""), problem=EVIL), nobody),
        unknown_account(FRAME, EVIL, [EVIL], shown_usage()),
        customer_list(FRAME, [(EVIL, EVIL, [EVIL])], [EVIL], EVIL, EVIL, EVIL, EVIL),
        invoice_list(FRAME, InvoiceFilter(EVIL, EVIL, EVIL, EVIL), Page((), EVIL), EVIL, EVIL),
        hits_page(FRAME, SearchHits(EVIL, (EVIL,), (), StoredEvent(EVIL, EVIL, 0, EVIL, True), True)),
        hits_page(FRAME, SearchHits(EVIL)),
        event_page(FRAME, EVIL, EVIL, metered(), "UTC", [MetricFate(EVIL, False, EVIL, EVIL)]),
        event_page(FRAME, EVIL, EVIL, metered(), "UTC"),
        event_list(FRAME, EventFilter(EVIL, EVIL), [EVIL], [metered()], 3, lambda account: "UTC"),
        event_list(FRAME, EventFilter(EVIL, EVIL), [], [], 0, lambda account: "UTC"),
        refused_list(FRAME, EVIL, [refused()], EVIL, may_replay=True),
        doctor_page(FRAME, DoctorForm([EVIL], EVIL, EVIL, EVIL), diagnosis(), "UTC", EVIL),
    ):
        words_of(page)


def metered() -> MeteredEvent:
    return MeteredEvent(EVIL, EVIL, EVIL, EVIL, 0, EVIL, (), ((EVIL, EVIL),), 0, voided=False)


def refused() -> Rejection:
    return Rejection(b"\xff" * 16, EVIL, EVIL, EVIL, EVIL, 1, EVIL, EVIL, EVIL, EVIL.encode(), EVIL, 0, 0, 0, EVIL)


def test_what_waits_for_somebody_is_a_link_to_it_and_nothing_is_said_of_what_does_not() -> None:
    page = today_panel(Frame("n"), Today(10, 3, 0, 25, 0, 0, 0, frozenset({"drafts"})))
    reader = words_of(page)
    assert "/invoices?namespace=n&state=draft" in reader.values
    assert {"25+ drafts wait for approval", "3 events were refused in the last 24 hours", "2"} <= set(reader.text)
    assert not any("alerts" in text for text in reader.text)
    assert "Nothing waits for somebody." in words_of(today_panel(Frame("n"), Today(0, 0, 0, 0, 0, 0, 0))).text


def diagnosis() -> Diagnosis:
    group = Group(EVIL, 2, (ExampleEvent(EVIL, EVIL, EVIL),))
    edges = Interval(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    return Diagnosis(
        EVIL, EVIL, EVIL, (EVIL,), edges, "sum", Decimal(3), 5, 1, (group,), (group,), (), (), 0, 7, (),
        Outside(1, EVIL, 0, ""), (), (), (), BillingStatus(True, (), (EVIL,)), 0, (group,),
    )  # fmt: skip


def test_a_breakdown_has_the_part_of_each_value_and_of_all_others() -> None:
    nobody = AccountAnswers(None, None, None, None, None, Page((), None), Page((), None))
    reader = words_of(account(FRAME, "a", "UTC", [], shown_usage(), nobody))
    assert " 66.7 %" in reader.text
    many = replace(
        shown_usage(), parts=answer([{"dimensions": {"d": str(n)}, "quantity": "1", "events": 1} for n in range(20)])
    )
    assert "all others" in words_of(account(FRAME, "a", "UTC", [], many, nobody)).text


def test_the_doctors_page_tells_what_to_do_before_the_counts() -> None:
    text = "".join(words_of(doctor_page(FRAME, DoctorForm(["m.x"], "a", "m.x"), diagnosis(), "UTC")).text)
    assert text.index("1 of 5 events in the interval count") < text.index("What became of the events")
    assert "refused by a filter" in text
