"""What verification keeps of differences, and how it names them: pure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rating.books import EventBooks
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
