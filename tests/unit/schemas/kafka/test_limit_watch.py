"""A topic whose limit is lowered while processes run is told with what to do, and adopted where events are packed."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from ingest.delivery.in_flight import Route, route_of
from ingest.gateway_readiness import of_limits
from schemas.kafka import limit_watch
from schemas.kafka.limit_watch import LimitWatch
from schemas.kafka.limits import FRAME_BYTES, TopicLimits, packed_limit, producing
from schemas.ledgers.generations import Generation, GenerationState
from schemas.settings import Settings
from schemas.store_settings import LEAST_RECORD_BYTES

EVENTS = "usage.events.1"


def watch_of(monkeypatch: pytest.MonkeyPatch, limits: dict[str, int]) -> LimitWatch:
    monkeypatch.setattr(limit_watch, "topic_limits", lambda settings, topics: TopicLimits(dict(limits), {}))
    return LimitWatch(Settings(), lambda settings: list(limits))


def test_each_lowered_topic_is_told_with_both_remedies_until_it_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {EVENTS: 8 * 1024 * 1024, "usage.events.2": 0, "usage.rejected": 1_048_588, "usage.invoices": 50_000}
    watch = watch_of(monkeypatch, limits)
    assert list(watch.reasons()) == []
    watch.look()
    invoices, rejected = watch.reasons()
    assert (invoices.lasting, invoices.refuses) == (True, False)
    assert "usage.invoices takes records of at most 50000 bytes" in invoices.detail
    assert f"WEIR_KAFKA_RECORD_BYTES={LEAST_RECORD_BYTES} " in invoices.remedy
    assert "--entity-name usage.rejected --add-config max.message.bytes=8388608" in rejected.remedy
    assert "WEIR_KAFKA_RECORD_BYTES=1048588 " in rejected.remedy
    limits |= {"usage.rejected": 8 * 1024 * 1024, "usage.invoices": 9_000_000}
    watch.look()
    assert list(watch.reasons()) == []


def test_while_kafka_does_not_answer_the_last_limits_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = watch_of(monkeypatch, {EVENTS: 1_000_000})
    watch.look()

    def away(settings: Settings, topics: Any) -> TopicLimits:
        return TopicLimits({}, {EVENTS: KafkaError(KafkaError._TIMED_OUT)})

    monkeypatch.setattr(limit_watch, "topic_limits", away)
    watch.look()
    assert watch.limits == {EVENTS: 1_000_000}


def test_brokers_that_do_not_list_their_topics_end_no_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    away: list[bool] = []

    def topics(settings: Settings) -> list[str]:
        if away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return [EVENTS]

    monkeypatch.setattr(limit_watch, "topic_limits", lambda settings, topics: TopicLimits({EVENTS: 1_000_000}, {}))
    watch = LimitWatch(Settings(), topics)
    watch.look()
    away.append(True)
    watch.look()
    assert watch.limits == {EVENTS: 1_000_000}


def test_a_topic_that_is_gone_is_told_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {EVENTS: 8 * 1024 * 1024, "usage.events.2": 1_000_000}
    watch = watch_of(monkeypatch, limits)
    watch.look()
    assert len(list(watch.reasons())) == 1
    del limits["usage.events.2"]
    watch.look()
    assert list(watch.reasons()) == []


@pytest.mark.parametrize("sizes", [(700,), (90_000, 700), (700, 300_000)])
def test_a_topic_that_refuses_everything_for_a_moment_is_written_to_again(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    denied = {EVENTS: KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)}
    monkeypatch.setattr(limit_watch, "topic_limits", lambda settings, topics: TopicLimits({}, dict(denied)))
    watch = LimitWatch(Settings(), lambda settings: [EVENTS])
    for size in sizes:
        watch.refused(EVENTS, size)
    watch.look()
    assert watch.limits == {EVENTS: LEAST_RECORD_BYTES}
    assert [reason.refuses for reason in of_limits(Settings(), watch, lambda: Route(EVENTS, 4))()] == [False]


def test_a_refused_record_has_the_limits_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit_watch, "LOOK_SECONDS", 3600.0)
    limits = {EVENTS: 8 * 1024 * 1024}
    watch = watch_of(monkeypatch, limits)
    watch.start()
    limits[EVENTS] = 200_000
    looked = threading.Event()
    monkeypatch.setattr(watch, "look", lambda: (LimitWatch.look(watch), looked.set()))
    watch.refused(EVENTS, 300_000)
    assert looked.wait(30)
    watch.stop()
    assert watch.limits == {EVENTS: 200_000}


def test_batches_are_packed_by_the_topics_limit_and_sets_of_them_stay_below_every_limit() -> None:
    settings = Settings()
    for limit in (LEAST_RECORD_BYTES, 300_000, 1_048_588):
        route = route_of(GenerationState(), Generation(1, 4), lambda topic, limit=limit: packed_limit(settings, limit))
        assert route == Route(EVENTS, 4, packed_limit(settings, limit))
        assert route.packed_bytes <= limit - FRAME_BYTES
        assert producing(settings.kafka_record_bytes)["batch.size"] <= LEAST_RECORD_BYTES // 2
    assert packed_limit(settings, None) == packed_limit(settings, 9_000_000) == packed_limit(settings)


def test_a_gateway_refuses_events_only_where_one_of_a_legitimate_size_has_no_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = {EVENTS: 50_000, "usage.invoices": 50_000}
    watch = watch_of(monkeypatch, limits)
    check = of_limits(Settings(), watch, lambda: Route(EVENTS, 4))
    assert list(check()) == []
    watch.look()
    [reason] = check()
    assert (reason.name, reason.refuses) == ("topic_takes_less", True)
    assert "at most 50000 bytes" in str(reason)
    for enough in (LEAST_RECORD_BYTES, 1_048_588, 0):
        limits[EVENTS] = enough
        watch.look()
        assert list(check()) == []


def test_where_a_limit_may_not_be_read_it_is_what_the_topic_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    known = {"usage.rejected": 1_048_588}
    unknown = {EVENTS: KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)}
    monkeypatch.setattr(limit_watch, "topic_limits", lambda settings, topics: TopicLimits(dict(known), dict(unknown)))
    watch = LimitWatch(Settings(), lambda settings: [EVENTS, "usage.rejected"], lambda: now[0])
    check = of_limits(Settings(), watch, lambda: Route(EVENTS, 4))
    watch.look()
    assert watch.limits == known  # one denied topic hides no other's limit, and nothing is said while all is taken
    assert [reason.detail.split()[0] for reason in watch.reasons()] == ["usage.rejected"]
    watch.refused(EVENTS, 250_000)
    watch.look()
    assert watch.limits == {EVENTS: 250_000, **known}
    assert packed_limit(Settings(), watch.limits[EVENTS]) < 125_000
    assert list(check()) == []  # smaller ones get in
    events, _ = watch.reasons()
    assert "may not be read" in events.detail
    assert "DescribeConfigs" in events.remedy
    watch.refused(EVENTS, 90_000)  # by now less than an event may need
    watch.look()
    assert watch.limits[EVENTS] == LEAST_RECORD_BYTES
    [reason] = check()
    assert (reason.name, reason.refuses) == ("topic_takes_less", False)
    assert "refused a record of 90000 bytes" in reason.detail
    now[0] += 61
    assert list(check()) == []
    unknown.clear()
    known[EVENTS] = 8 * 1024 * 1024
    watch.look()
    assert watch.limits[EVENTS] == 8 * 1024 * 1024
    assert [reason.detail.split()[0] for reason in watch.reasons()] == ["usage.rejected"]
