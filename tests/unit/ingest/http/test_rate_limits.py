"""Token buckets: the rate holds over time, nothing is too large for its bucket, and a refusal says when to come
again."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.http.gateway_problems import too_much
from ingest.http.rate_limits import MAX_KEYS, Bucket, BucketsByKey, KeyBuckets, Rates, TooMuch
from schemas.catalog.bounds import NamespaceBounds
from schemas.catalog.keys import KeyLimits
from schemas.http.api_keys import Access
from schemas.settings import Settings

STEPS = st.lists(st.tuples(st.floats(0, 2), st.integers(1, 500)), max_size=60)


def access(key_id: str = "key_1", **limits: int) -> Access:
    return Access("n", frozenset({"ingest"}), key_id, key_id, KeyLimits(**limits))


@given(st.integers(1, 100), STEPS)
def test_over_time_no_more_flows_than_the_rate_and_one_debt(rate: int, steps: list[tuple[float, int]]) -> None:
    bucket, now, accepted, last_count = Bucket(rate, 0.0), 0.0, 0, 0
    for pause, cost in steps:
        now += pause
        if bucket.wait(now) == 0:
            bucket.take(cost)
            accepted, last_count = accepted + cost, cost
    assert accepted - last_count <= rate * (now + 1) + 1e-6


@given(st.integers(1, 100), STEPS)
def test_who_waits_as_long_as_told_is_served_and_not_much_sooner(rate: int, steps: list[tuple[float, int]]) -> None:
    bucket, now = Bucket(rate, 0.0), 0.0
    for pause, cost in steps:
        now += pause
        wait = bucket.wait(now)
        if wait > 0:
            assert Bucket.wait(bucket, now + wait * 0.5 - 1 / rate) >= 0
            now += wait
        assert bucket.wait(now + 1e-6) == 0
        bucket.take(cost)


def test_a_clock_that_steps_back_gives_nothing() -> None:
    bucket = Bucket(10, 100.0)
    bucket.take(11)
    assert bucket.wait(50.0) > 0
    assert bucket.wait(100.05) > 0
    assert bucket.wait(100.2) == 0


@pytest.mark.parametrize(("size", "events", "what"), [(10**9, 0, "bytes"), (0, 1000, "events")])
def test_a_large_batch_passes_once_and_is_waited_for_then(size: int, events: int, what: str) -> None:
    buckets = KeyBuckets(Rates(100, 100, 10**6), 0.0)
    buckets.request(0.0)
    buckets.spend(size, events)
    with pytest.raises(TooMuch, match=f"{what} a second") as caught:
        buckets.request(1.0)
    problem = too_much(caught.value)
    assert (problem.status, problem.members["limit"]) == (429, what)
    assert int(problem.headers["Retry-After"]) == caught.value.retry_after >= 1
    buckets.request(1.0 + caught.value.retry_after)


def test_requests_are_counted_by_key_and_by_the_keys_own_limits() -> None:
    limits = BucketsByKey(Settings(key_requests_per_second=3))
    for number in range(5):
        buckets = limits.of(access(), 0.0)
        assert buckets is not None
        if number < 3:
            buckets.request(0.0)
        else:
            with pytest.raises(TooMuch):
                buckets.request(0.0)
    second_of = limits.of(access("key_2"), 0.0)
    assert second_of is not None
    second_of.request(0.0)
    raised = limits.of(access(requests_per_second=9), 0.0)
    assert raised is not None
    assert raised.rates.requests == 9
    raised.request(0.0)


def test_the_admin_key_of_the_settings_has_no_limits_and_buckets_are_bounded() -> None:
    limits = BucketsByKey(Settings())
    assert limits.of(Access(None, frozenset(), "admin"), 0.0) is None
    first_of = limits.of(access("key_0"), 0.0)
    for number in range(1, MAX_KEYS + 2):
        limits.of(access(f"key_{number}"), 0.0)
    assert limits.of(access("key_0"), 0.0) is not first_of


def test_the_keys_of_a_namespace_together_have_limits_that_the_operator_sets() -> None:
    limits = BucketsByKey(Settings(namespace_events_per_second=100, key_events_per_second=60))
    for number in range(3):
        buckets = limits.of(access(f"key_{number}"), 0.0)
        assert buckets is not None
        if number < 2:
            buckets.request(0.0)
            buckets.spend(0, 60)
        else:
            with pytest.raises(TooMuch, match="the keys of namespace n together may send 100 events"):
                buckets.request(0.0)
    raised = BucketsByKey(
        Settings(namespace_events_per_second=100), lambda _namespace: NamespaceBounds(events_per_second=1000)
    )
    for number in range(3):
        buckets = raised.of(access(f"key_{number}"), 0.0)
        assert buckets is not None
        buckets.request(0.0)
        buckets.spend(0, 60)


def test_a_key_to_which_the_operator_gave_more_than_its_namespace_has_stands_beside_it() -> None:
    limits = BucketsByKey(Settings(namespace_requests_per_second=1, key_requests_per_second=1))
    large = limits.of(replace(access("large", requests_per_second=5), by_operator=True), 0.0)
    assert large is not None
    for _ in range(5):
        large.request(0.0)
    small = limits.of(access("small"), 0.0)
    assert small is not None
    small.request(0.0)


@pytest.mark.parametrize(
    ("by_operator", "own"),
    [(False, {}), (True, {}), (False, {"events_per_second": 50_000}), (True, {"bytes_per_second": 9})],
)
def test_what_the_operator_lowers_for_a_namespace_holds_for_keys_of_any_age(
    by_operator: bool, own: dict[str, int]
) -> None:
    """The default of a key, and limits that it was given while the namespace had more, are above the bound."""
    limits = BucketsByKey(Settings(), lambda _namespace: NamespaceBounds(events_per_second=10))
    for number in range(2):
        buckets = limits.of(replace(access(f"key_{number}", **own), by_operator=by_operator), 0.0)
        assert buckets is not None
        if number == 0:
            buckets.request(0.0)
            buckets.spend(0, 11)
        else:
            with pytest.raises(TooMuch, match="the keys of namespace n together may send 10 events"):
                buckets.request(0.0)


def test_who_sends_one_long_body_is_told_how_long_to_pause() -> None:
    buckets = KeyBuckets(Rates(1, 10, 1000), 0.0)
    assert buckets.pause(0.0) == 0
    buckets.spend(0, 60)
    assert buckets.pause(0.0) == pytest.approx(5.1)
    assert buckets.pause(5.2) == 0


def test_a_key_gives_no_more_than_its_maker_or_its_namespace_may_send() -> None:
    limits = BucketsByKey(Settings(), lambda _namespace: NamespaceBounds(bytes_per_second=7))
    assert limits.may_give(access("key", events_per_second=5)) == Rates(2_000, 5, 7)
    assert limits.may_give(Access(None, frozenset({"admin"}), "admin")) is None
