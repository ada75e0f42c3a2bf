"""Readiness checks of the gateway's catalog and producer. ``Gateway.start`` combines them with those of other
components."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ingest.delivery.in_flight import Route
from ingest.delivery.loop_producer import LoopProducer
from schemas.catalog.follower import CatalogFollower
from schemas.health.readiness import UnreadyReason
from schemas.kafka.limit_watch import LimitWatch, takes_no_event
from schemas.settings import Settings

CATALOG_FRESH_SECONDS: Final = 5.0
STALE_CATALOG: Final = "catalog_stale"
NOT_DELIVERING: Final = "not_delivering"
STOPPING: Final = "stopping"


def of_catalog(catalog: CatalogFollower) -> Callable[[], Iterator[UnreadyReason]]:
    """Refuses events while the catalog may be stale, since events are judged by it."""

    def check() -> Iterator[UnreadyReason]:
        if not catalog.fresh(CATALOG_FRESH_SECONDS):
            yield UnreadyReason(
                STALE_CATALOG,
                "this gateway has lost sight of the catalog",
                "look whether Kafka answers; it goes on by itself",
                refuses=True,
            )

    return check


def of_limits(
    settings: Settings, watch: LimitWatch, route: Callable[[], Route | None]
) -> Callable[[], Iterator[UnreadyReason]]:
    """Refuses events while the topic's limit is below what one event may need. A limit that is only lower than the
    settings is told by the workers."""

    def check() -> Iterator[UnreadyReason]:
        if watch.limits and (target := route()) is not None:
            yield from takes_no_event(settings, watch.limits, target.topic)
            yield from watch.refuses_events(target.topic)

    return check


def of_producer(producer: LoopProducer) -> Callable[[], Iterator[UnreadyReason]]:
    """Not ready while deliveries fail. Events are still tried, and answered by the broker's reports."""

    def check() -> Iterator[UnreadyReason]:
        if producer.failing:
            trouble = producer.fatal or producer.trouble
            yield UnreadyReason(
                NOT_DELIVERING,
                f"Kafka does not acknowledge events{f': {trouble}' if trouble else ''}",
                "look at Kafka's log and disk; it goes on by itself",
            )

    return check
