"""What the gateway's tests share: reading topics back, and a gateway process of their own that can be killed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from deploy.local.stack import settings_environment
from schemas.events.batch import UsageBatch, decode_batch
from schemas.kafka.codec import CodecError, codec
from schemas.kafka.topics import REJECTED, events_topic
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings


def packed(settings: Settings, namespace: str) -> list[tuple[int, UsageBatch]]:
    """(partition, batch) of everything that the namespace has in usage.events, in log order within a partition."""
    with LedgerReader(settings, events_topic(settings.generation)) as reader:
        records = list(reader.read_to(reader.end_offsets(), 60))
    found: list[tuple[int, UsageBatch]] = []
    for record in records:
        try:
            batch = decode_batch(record.value)
        except CodecError:  # another test's junk; the topic is shared
            continue
        if batch.namespace == namespace:
            found.append((record.partition, batch))
    return found


def keys_in(settings: Settings, namespace: str) -> list[str]:
    """Idempotency keys of all copies of all events of the namespace."""
    return [key for _, batch in packed(settings, namespace) for key in batch.idempotency_keys]


def rejected(settings: Settings, namespace: str) -> list[dict[str, object]]:
    """The namespace's records on usage.rejected."""
    with LedgerReader(settings, REJECTED) as reader:
        records = [codec("rejected_event").decode(record.value) for record in reader.read_to(reader.end_offsets(), 60)]
    return [record for record in records if record["namespace"] == namespace]


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class GatewayProcess:
    """``python -m ingest.gateway`` on a port of its own; ends with the ``with`` block."""

    def __init__(self, settings: Settings, log: Path, **changes: object) -> None:
        self.settings = settings.model_copy(update={"gateway_port": free_port(), **changes})
        self.url = f"http://127.0.0.1:{self.settings.gateway_port}"
        self._log = log
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> GatewayProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start and wait until it is ready."""
        environment = os.environ | dict(settings_environment(self.settings))
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ingest.gateway"], env=environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self._log.read_text()
            try:
                if httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
        raise AssertionError(f"the gateway was not ready within 60 s: {self._log.read_text()}")

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def terminate(self, within: float) -> int:
        """SIGTERM; the exit code, which must come within so many seconds."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within)
