"""What was measured, and where it stands: the constants of the capacity model.

CPU of the road: one gateway, Kafka, worker and ClickHouse on two cores, closed loop, batches of 100 events, two
profiles an event, a tenth of the events copies, 45 s on a quiet machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number. ``unit``: what it counts; ``source``: how and when it was measured."""

    value: float  # a measurement, no quantity or money
    unit: str
    source: str


_ROAD: Final = (
    "the road in a closed loop, 57,314 events/s on two cores, 30 November 2026 (tests/bench/bench_road.py's load)"
)
GATEWAY: Final = Figure(12.8, "µs of CPU an event, in batches of 100", _ROAD)
GATEWAY_REQUEST: Final = Figure(
    230.0, "µs of CPU an event that is sent alone", "3,600 to 4,300 single events/s of one gateway (ingest/README.md)"
)
KAFKA: Final = Figure(3.8, "µs of CPU an event and replica", _ROAD)
WORKER: Final = Figure(6.3, "µs of CPU an event", _ROAD)
CLICKHOUSE: Final = Figure(9.5, "µs of CPU an event and replica, merges too", _ROAD)
MEASURED_EVENTS: Final = Figure(57_314, "events a second, the most that was measured of the whole road", _ROAD)
EVENT_BYTES: Final = Figure(
    220, "bytes of an event's JSON in a request", "100,000 events of tests/bench/workload.py: 219"
)
KAFKA_BYTES: Final = Figure(
    67, "bytes an event and replica in usage.events, compressed", "the same 100,000 events in batches of 100: 66.5"
)
CLICKHOUSE_BYTES: Final = Figure(
    75, "bytes an event and replica in all tables, merged", "the same 100,000 events, 135,000 records: 74.7"
)
IDENTITY_BYTES: Final = Figure(
    6.3, "bytes of a worker's memory an identity it remembers", "100 M identities (stream_processors/README.md)"
)
WORKER_MIB: Final = Figure(300, "MiB of a worker without identities", "1 M identities (stream_processors/README.md)")
CHECK: Final = Figure(
    150, "µs of the event loop's CPU a check of an entitlement", "rating/README.md, what a check costs"
)
CLOSE: Final = Figure(
    195, "µs of CPU a subscription that a close bills", "20,000 subscriptions (rating/README.md, what a close costs)"
)
FIGURES: Final = {
    "gateway": GATEWAY, "gateway_single": GATEWAY_REQUEST, "kafka": KAFKA, "worker": WORKER, "clickhouse": CLICKHOUSE,
    "measured_events": MEASURED_EVENTS, "event_bytes": EVENT_BYTES, "kafka_bytes": KAFKA_BYTES,
    "clickhouse_bytes": CLICKHOUSE_BYTES, "identity_bytes": IDENTITY_BYTES, "worker_mib": WORKER_MIB, "check": CHECK,
    "close": CLOSE,
}  # fmt: skip
