"""Readiness probes of supervised processes. A probe answers within about a second and never raises."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable

from deploy.local.kafka import broker_ready
from schemas.health.readiness import UnreadyReason, from_json

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


def answers(host: str, port: int, path: str = "/readyz") -> Probe:
    """Ready when ``GET path`` answers 200, or says that it is not ready for a reason that does not pass by itself:
    whoever is to mend that needs the rest of the stack, and `weir status` shows it."""

    def probe() -> bool:
        reasons = reasons_of(host, port, path)
        return reasons is not None and all(reason.lasting for reason in reasons)

    return probe


def reasons_of(host: str, port: int, path: str = "/readyz") -> tuple[UnreadyReason, ...] | None:
    """Why the service is not ready, by its own answer; empty: it is ready. None: it does not answer, or does not say
    why."""
    connection = http.client.HTTPConnection(host, port, timeout=1)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        document = json.loads(answer.read())
        reasons = from_json(document) if isinstance(document, dict) else ()
        return reasons if reasons or answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def kafka_answers(port: int, number: int = 1) -> Probe:
    """Ready when this broker on loopback answers a metadata request and is among those alive."""

    def probe() -> bool:
        # librdkafka prints a line for a refused connection; ask it only where somebody listens.
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            return False
        return broker_ready(f"127.0.0.1:{port}", number)

    return probe
