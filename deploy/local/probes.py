"""Readiness probes of supervised processes. A probe answers within about a second and never raises."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable

from deploy.local.kafka import broker_ready

Probe = Callable[[], bool]


def running() -> bool:
    """Ready as soon as it runs."""
    return True


def http_ok(host: str, port: int, path: str) -> Probe:
    """Ready when ``GET path`` answers 200."""

    def probe() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=1)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return probe


def kafka_answers(port: int) -> Probe:
    """Ready when the broker on loopback answers a metadata request."""

    def probe() -> bool:
        # librdkafka prints a line for a refused connection; ask it only where somebody listens.
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return broker_ready(f"127.0.0.1:{port}")

    return probe
