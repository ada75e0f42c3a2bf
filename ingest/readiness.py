"""The gateway's own reasons for not being ready. Other parts add theirs to the same ``Readiness``
(``Gateway.start``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from ingest.delivery.producer import LoopProducer
from schemas.catalog.follower import CatalogFollower
from schemas.health.readiness import Reason

CATALOG_FRESH_SECONDS: Final = 5.0
STALE_CATALOG: Final = "catalog_stale"
NOT_DELIVERING: Final = "not_delivering"
STOPPING: Final = "stopping"


def of_catalog(catalog: CatalogFollower) -> Callable[[], Iterator[Reason]]:
    """Events are judged by the catalog; one that may be old judges none."""

    def check() -> Iterator[Reason]:
        if not catalog.fresh(CATALOG_FRESH_SECONDS):
            yield Reason(
                STALE_CATALOG, "this gateway has lost sight of the "
                    "catalog", "look whether Kafka answers; it goes on by itself",
                refuses=True,
            )  # fmt: skip

    return check


def of_producer(producer: LoopProducer) -> Callable[[], Iterator[Reason]]:
    """Not ready while deliveries fail; events are tried all the same, and answered by what the broker says."""

    def check() -> Iterator[Reason]:
        if producer.failing:
            trouble = producer.fatal or producer.trouble
            yield Reason(
                NOT_DELIVERING, f"Kafka does not acknowledge events{f': {trouble}' if trouble else ''}",
                "look at Kafka's log and disk; it goes on by itself",
            )  # fmt: skip

    return check
