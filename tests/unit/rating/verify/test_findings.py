"""What verification keeps, and what the doctor makes of what it found: pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.books import EventBooks
from rating.doctor.diagnosis import BillingStatus, Diagnosis, ExampleEvent, Group, Outside, RefusedEvents
from rating.periods import Interval
from rating.verify.difference import PER_CHECK, Difference, Findings
from rating.verify.scope import below

COUNTS = st.integers(0, 10**12)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.integers(-3, 3))
def test_books_balance_iff_each_accepted_event_is_in_one_place(
    refused: int, metered: int, unmatched: int, duplicates: int, conflicts: int, off: int
) -> None:
    accepted = metered + unmatched + duplicates + conflicts + off
    books = EventBooks("ns", refused, accepted, metered, unmatched, duplicates, conflicts, 1)
    assert books.balanced == (off == 0)
    assert books.received == refused + accepted
    assert books.to_json() == {
        "received": refused + accepted, "namespace": "ns", "refused": refused, "accepted": accepted, "metered": metered,
        "unmatched": unmatched, "duplicates": duplicates, "conflicts": conflicts, "voided": 1, "given_up": 0, "lost": 0,
        "balanced": off == 0,
    }  # fmt: skip


@given(st.integers(0, PER_CHECK * 2), st.integers(0, 5))
def test_findings_are_bounded_and_say_how_many_more(count: int, uncounted: int) -> None:
    findings = Findings()
    for number in range(count):
        findings.add("w", f"place {number}", number, -number, "mend")
    findings.add_more(uncounted)
    differences = findings.differences()
    further_value = max(0, count - PER_CHECK) + uncounted
    stored_difference, note = differences[: min(count, PER_CHECK)], differences[min(count, PER_CHECK) :]
    assert [item.where for item in stored_difference] == [f"place {number}" for number in range(min(count, PER_CHECK))]
    assert [item.found for item in note] == ([f"at least {further_value} more"] if further_value else [])


def test_a_difference_reads_as_one_line() -> None:
    difference = Difference("window", "ns m.p", "3", "4", "do this")
    assert str(difference) == "window: ns m.p: expected 3, found 4; do this"
    assert difference.to_json() == {
        "what": "window",
        "where": "ns m.p",
        "expected": "3",
        "found": "4",
        "remedy": "do this",
    }


def test_below_names_every_partition_and_nothing_where_there_is_none() -> None:
    assert below({}) == "0"
    text = below({(1, 0): 5, (1, 2): 7, (2, 0): 1})
    assert text.count("generation = ") == 2
    assert "[0, 2]" in text
    assert "[5, 7]" in text


NOTHING = Diagnosis(
    namespace="ns", account_id="a", profile_id="m.p", event_names=("e",),
    interval=Interval(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)), aggregation="sum",
    quantity=Decimal(0), received=0, matched=0, filtered=(), unmeterable=(), not_valid=(), too_early=(), unexamined=0,
    duplicates=0, rejections=(), outside=Outside(0, "", 0, ""), other_names=(), similar_names=(), similar_accounts=(),
    billing=BillingStatus(True, ("subscription s",), ("charge c of plan p by subscription s",)), waiting=0,
)  # fmt: skip
GROUP = Group("why", 2, (ExampleEvent("k", "2026-01-02T00:00:00Z", '"v"'),))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, "No event ever came from account 'a' in namespace ns"),
        ({"outside": Outside(3, "2025-12-31T00:00:00Z", 0, "")},
            "3 events lie outside it, the last before it at 2025-12-31T00:00:00Z: ask"),
        ({"other_names": (("E", 4),), "similar_names": ("E",)}, "it sends 'E': correct the name"),
        ({"other_names": (("x", 4000),)}, "it sends 'x' (4,000)"),
        ({"similar_accounts": ("A",)}, "but from 'A'"),
        ({"received": 2, "matched": 2, "quantity": Decimal("1.50")},
            "All 2 events in the interval count: the sum is 1.5."),
        ({"received": 1, "matched": 1, "quantity": None}, "All 1 event in the interval count: the sum is no value."),
        ({"received": 2, "filtered": (GROUP,)},
            "2 events did not pass the filter why (e.g. event k of 2026-01-02T00:00:00Z has \"v\")"),
        ({"received": 2, "unmeterable": (GROUP,)}, "2 events had no value that can be measured, why"),
        ({"received": 2, "unmeterable": (replace(GROUP, why="too_many_decimals at s"),)},
            "publish the meter with a `start` before them"),
        ({"received": 2, "too_early": (GROUP,)}, "arrived before m.p was published"),
        ({"received": 2, "not_valid": (GROUP,)}, "no version was valid"),
    ],
)  # fmt: skip
def test_the_first_finding_is_what_is_the_matter(change: dict[str, Any], text: str) -> None:
    result = replace(NOTHING, **change)
    assert text in result.findings[0]
    assert result.findings[0] in result.to_text()


def test_at_most_three_findings_the_most_telling_first() -> None:
    small, large = Group("small", 1), Group("large", 9)
    result = replace(
        NOTHING, received=12, matched=2, quantity=Decimal(5), filtered=(small, large), unmeterable=(GROUP,),
        rejections=(RefusedEvents("gateway", "invalid", 1, "detail"),), waiting=4, billing=BillingStatus(False, (), ()),
    )  # fmt: skip
    assert len(result.findings) == 3
    assert result.findings[0].startswith("2 of 12 events")
    assert "large" in result.findings[1]
    assert "small" in result.findings[2]
    text = result.to_text()
    for part in ("refused by filter small: 1", "refused by gateway, invalid: 1 (detail)", "4 packed batches"):
        assert part in text


def test_usage_that_nobody_pays_for_is_said() -> None:
    counted = replace(NOTHING, received=1, matched=1, quantity=Decimal(1))
    for billing, text in (
        (BillingStatus(False, (), ()), "is not in the catalog"),
        (BillingStatus(True, (), ()), "has no subscription"),
        (BillingStatus(True, ("subscription s",), ()), "No charge of subscription s bills m.p"),
    ):
        assert text in replace(counted, billing=billing).findings[-1]
    assert len(counted.findings) == 1


def test_json_has_plain_decimals_and_instants() -> None:
    written = replace(NOTHING, quantity=Decimal("1E+3"), other_names=(("x", 1),)).to_json()
    assert written["quantity"] == "1000"
    assert written["interval"] == {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
    assert written["other_names"] == {"x": 1}
    assert written["findings"] == list(replace(NOTHING, other_names=(("x", 1),)).findings)
