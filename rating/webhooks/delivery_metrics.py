"""Every metric of the process that delivers to webhooks, with what it means."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class DeliveryMetrics:
    """The metrics of the delivering process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._attempts = Counter(
            "weir_webhook_attempts",
            "messages sent, by what came of it: delivered or refused",
            ["namespace", "outcome"],
            registry=self.registry,
        )
        self._seconds = Histogram("weir_webhook_seconds", "seconds until a receiver answered", registry=self.registry)
        self._given_up = Counter(
            "weir_webhook_given_up", "deliveries given up; replay them", ["namespace"], registry=self.registry
        )
        self._waiting = Gauge(
            "weir_webhook_waiting", "deliveries that wait, refused ones too", ["namespace"], registry=self.registry
        )

    def attempt(self, namespace: str, delivered: bool, seconds: float) -> None:
        """One attempt, however it ended."""
        self._attempts.labels(namespace, "delivered" if delivered else "refused").inc()
        self._seconds.observe(seconds)

    def given_up(self, namespace: str, count: int) -> None:
        """Count deliveries that are tried no longer."""
        if count:
            self._given_up.labels(namespace).inc(count)

    def waiting(self, namespace: str, count: int) -> None:
        """Set how many deliveries wait now."""
        self._waiting.labels(namespace).set(count)
