"""What the doctor says of an account's usage: the sentences, their order, and the JSON."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from rating.doctor.diagnosis import BillingStatus, Diagnosis, ExampleEvent, Group, Outside, RefusedEvents
from rating.doctor.findings import diagnosis_json, diagnosis_text, findings_of
from rating.periods import Interval

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
    assert text in findings_of(result)[0]
    assert findings_of(result)[0] in diagnosis_text(result)


def test_at_most_three_findings_the_most_telling_first() -> None:
    small, large = Group("small", 1), Group("large", 9)
    result = replace(
        NOTHING, received=12, matched=2, quantity=Decimal(5), filtered=(small, large), unmeterable=(GROUP,),
        rejections=(RefusedEvents("gateway", "invalid", 1, "detail"),), waiting=4, billing=BillingStatus(False, (), ()),
    )  # fmt: skip
    assert len(findings_of(result)) == 3
    assert findings_of(result)[0].startswith("2 of 12 events")
    assert "large" in findings_of(result)[1]
    assert "small" in findings_of(result)[2]
    text = diagnosis_text(result)
    for part in ("refused by filter small: 1", "refused by gateway, invalid: 1 (detail)", "4 packed batches"):
        assert part in text


def test_usage_that_nobody_pays_for_is_said() -> None:
    counted = replace(NOTHING, received=1, matched=1, quantity=Decimal(1))
    for billing, text in (
        (BillingStatus(False, (), ()), "is not in the catalog"),
        (BillingStatus(True, (), ()), "has no subscription"),
        (BillingStatus(True, ("subscription s",), ()), "No charge of subscription s bills m.p"),
    ):
        assert text in findings_of(replace(counted, billing=billing))[-1]
    assert len(findings_of(counted)) == 1


def test_json_has_plain_decimals_and_instants() -> None:
    written = diagnosis_json(replace(NOTHING, quantity=Decimal("1E+3"), other_names=(("x", 1),)))
    assert written["quantity"] == "1000"
    assert written["interval"] == {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
    assert written["other_names"] == {"x": 1}
    assert written["findings"] == list(findings_of(replace(NOTHING, other_names=(("x", 1),))))
