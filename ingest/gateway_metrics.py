"""All Prometheus metrics of the gateway. Each gateway has its own registry."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class GatewayMetrics:
    """Names, descriptions and labels."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.requests = Counter(
            "weir_gateway_requests_total",
            "Event requests answered, by HTTP status.",
            ("status",),
            registry=registry,
        )
        self._requests_by_status: dict[int, Counter] = {}
        self.shed = 0
        """Requests that were refused by their heads alone, and are not among ``requests`` until these are rendered."""
        self.events_accepted = Counter(
            "weir_gateway_events_accepted_total",
            "Events acknowledged with 2xx, so in Kafka.",
            registry=registry,
        )
        self.events_refused = Counter(
            "weir_gateway_events_refused_total",
            "Events in refused requests, by reason; each refusal is also a record on usage.rejected.",
            ("reason",),
            registry=registry,
        )
        self.refusals_unrecorded = Counter(
            "weir_gateway_refusals_unrecorded_total",
            "Refusals whose record was not delivered to usage.rejected before the answer.",
            registry=registry,
        )
        self.request_seconds = Histogram(
            "weir_gateway_event_request_seconds",
            "Seconds from reading an event request to its answer.",
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
            registry=registry,
        )
        self.events_in_flight = Gauge(
            "weir_gateway_events_in_flight",
            "Accepted events that wait for their broker delivery report.",
            registry=registry,
        )
        self.packed_events = Histogram(
            "weir_gateway_packed_events",
            "Events in a packed batch.",
            buckets=(1, 5, 25, 100, 250, 500),
            registry=registry,
        )
        self.packed_batches = Counter(
            "weir_gateway_packed_batches_total",
            "Packed batches by delivery report: delivered or failed.",
            ("outcome",),
            registry=registry,
        )
        self.catalog_offset = Gauge(
            "weir_gateway_catalog_offset",
            "Next offset of usage.catalog that this gateway has applied.",
            registry=registry,
        )
        self.ready = Gauge("weir_gateway_ready", "1 where /readyz answers 200.", registry=registry)

    def answered(self, status: int) -> None:
        """Count a request among ``requests``."""
        counter = self._requests_by_status.get(status)
        if counter is None:
            counter = self._requests_by_status[status] = self.requests.labels(str(status))
        counter.inc()

    def render(self) -> bytes:
        """The metrics in Prometheus' text format."""
        self.requests.labels("503").inc(self.shed)
        self.shed = 0
        return generate_latest(self.registry)
