"""The doctor on the real stack: each way in which usage does not show up is named, with what to do."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from rating.doctor.diagnosis import Diagnosis
from rating.doctor.findings import diagnosis_json, diagnosis_text, findings_of
from rating.periods import Interval
from schemas.settings import Settings
from tests.integration.rating.road import Road

pytestmark = pytest.mark.integration

MARCH = Interval(datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 4, 1, tzinfo=UTC))


def event(account: str, key: str, day: int = 5, month: int = 3, name: str = "Song played", **properties: Any) -> Any:
    return (name, account, key, f"2013-{month:02d}-{day:02d}T12:00:00Z", {"s": 10, "kind": "paid"} | properties)


@pytest.fixture(scope="module")
def ward(settings: Settings) -> Iterator[Road]:
    """Patients: one account for each complaint."""
    road = Road(settings, f"t{uuid.uuid4().hex[:12]}")
    # "early" sends before there is any meter.
    road.send([event("early", "e1"), event("early", "e2")])
    road.publish(
        "meter",
        code="songs",
        event_name="Song played",
        filters=[{"property": "kind", "operator": "in", "value": ["paid", 1.5]}],
        profiles=[
            {"code": "seconds", "aggregation": "sum", "property": "s"},
            {
                "code": "count",
                "aggregation": "count",
                "filters": [{"property": ["user", "test"], "operator": "exists", "value": False}],
            },
        ],
    )
    road.publish("product", code="seconds", profile="songs.seconds")
    road.publish(
        "plan",
        code="p",
        currency="USD",
        charges=[{"product": "seconds", "price": {"model": "per_unit", "unit_amount": "1"}}],
    )
    for account in ("well", "filtered", "unpriced"):
        road.publish("account", code=account)
    for account in ("well", "filtered"):
        road.publish(
            "subscription",
            code=f"sub-{account}",
            account=account,
            plan="p",
            plan_version=1,
            start="2013-01-01T00:00:00Z",
        )
    road.send(
        [
            event("well", "w1"),
            event("well", "w2", s="2.5"),
            event("well", "w2", s="2.5"),
            event("filtered", "f1", kind="free"),
            event("filtered", "f2", kind="free"),
            event("filtered", "f3", user={"test": True}),
            event("sick", "s1", s="a lot"),
            event("sick", "s2", s=None),
            event("sick", "s3"),
            event("sick", "s3", s=11),
            event("other-month", "o1", month=2, day=28),
            event("other-month", "o2", month=4, day=1),
            event("misnamed", "m1", name="song-played"),
            event("unpriced", "u1"),
            event("walker", "x1", name="walk"),
            event("fine", "d1", s=114.97809459641576),
            event("fine", "d2", s="0.25"),
            event("fine", "d3", s=1e-20, kind="paid"),
        ]
    )
    road.close()
    yield road
    road.client.close()


def examine(ward: Road, account: str, metric: str = "songs.seconds", interval: Interval = MARCH) -> Diagnosis:
    found = ward.diagnosis(account, metric, interval)
    assert 1 <= len(findings_of(found)) <= 3
    # Every received event has one fate, and both renderings hold together.
    parts = [
        group.events
        for groups in (found.filtered, found.unmeterable, found.not_valid, found.too_early)
        for group in groups
    ]
    assert found.received == found.matched + sum(parts) + found.unexamined
    assert json.loads(json.dumps(diagnosis_json(found)))["findings"] == list(findings_of(found))
    assert all(finding in diagnosis_text(found) for finding in findings_of(found))
    return found


def test_an_account_whose_usage_shows(ward: Road, wait_until: Any) -> None:
    found = wait_until(lambda: (one := examine(ward, "well")).waiting == 0 and one)
    assert (found.received, found.matched, found.duplicates, str(found.quantity)) == (2, 2, 1, "12.5")
    assert findings_of(found) == ("All 2 events in the interval count: the sum is 12.5.",)
    assert found.billing.charges == ("charge seconds of plan p by subscription sub-well",)


def test_filters_are_named_with_examples(ward: Road) -> None:
    found = examine(ward, "filtered", "songs.count")
    assert (found.received, found.matched) == (3, 0)
    assert [(group.why, group.events) for group in found.filtered] == [
        ('kind in ["paid", 1.5]', 2),
        ("user.test exists", 1),
    ]
    assert found.filtered[0].examples[0].value == 'kind "free"'
    assert '2 events did not pass the filter kind in ["paid", 1.5]' in findings_of(found)[0]


def test_values_that_cannot_be_measured_and_conflicts(ward: Road, wait_until: Any) -> None:
    found = wait_until(lambda: (one := examine(ward, "sick")).rejections and one)
    assert found.matched == 1
    assert sorted((group.why, group.events, group.examples[0].value) for group in found.unmeterable) == [
        ("missing at s", 1, "null"), ("not_a_number at s", 1, '"a lot"'),
    ]  # fmt: skip
    assert [(rejection.stage, rejection.reason, rejection.events) for rejection in found.rejections] == [
        ("meter", "conflict", 1)
    ]
    assert any("mend the producer" in finding for finding in findings_of(found))


def test_values_with_more_than_twelve_decimals_count_rounded(ward: Road) -> None:
    found = examine(ward, "fine")
    assert (found.matched, str(found.quantity)) == (3, "115.228094596416")
    assert [(group.why, group.events, group.examples[0].value) for group in found.rounded] == [
        ("at s", 2, "114.97809459641576")
    ]
    assert "2 events had more than 12 decimals at s" in diagnosis_text(found)


def test_events_of_another_month(ward: Road) -> None:
    found = examine(ward, "other-month")
    assert (found.outside.before, found.outside.after) == (1, 1)
    assert (
        "2 events lie outside it, the last before it at 2013-02-28T12:00:00Z and the first after "
        "it at 2013-04-01T12:00:00Z" in findings_of(found)[0]
    )


def test_a_misspelt_event_name(ward: Road) -> None:
    found = examine(ward, "misnamed")
    assert found.similar_names == ("song-played",)
    assert "it sends 'song-played'" in findings_of(found)[0]


def test_another_event_altogether(ward: Road) -> None:
    assert "it sends 'walk' (1)" in findings_of(examine(ward, "walker"))[0]


def test_events_from_before_the_meter_was_published(ward: Road) -> None:
    found = examine(ward, "early")
    assert [group.events for group in found.too_early] == [2]
    assert "arrived before songs.seconds was published" in findings_of(found)[0]


def test_usage_that_nobody_pays_for(ward: Road) -> None:
    assert "has no subscription in the interval" in findings_of(examine(ward, "unpriced"))[-1]
    assert "Account 'early' is not in the catalog" in findings_of(examine(ward, "early"))[-1]
    unbilled = findings_of(examine(ward, "well", "songs.count"))[-1]
    assert "No charge of subscription sub-well bills songs.count" in unbilled


def test_an_unknown_account_with_a_near_miss(ward: Road) -> None:
    found = examine(ward, "Filtered")
    assert found.similar_accounts == ("filtered",)
    assert "but from 'filtered'" in findings_of(found)[0]
    assert "No event ever came from account" in findings_of(examine(ward, "zzz"))[0]


def test_an_unknown_metric_names_what_exists(ward: Road) -> None:
    with pytest.raises(LookupError, match=r"known: songs\.count, songs\.seconds"):
        ward.diagnosis("well", "songs.minutes", MARCH)
    with pytest.raises(LookupError, match="say which"):
        ward.diagnosis("well", "songs", MARCH)
