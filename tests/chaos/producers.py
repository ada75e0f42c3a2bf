"""Producers that never give an event up: each batch is sent until it is acknowledged, with the same keys.

Over HTTP every further attempt goes to the other gateway, now and then a batch is sent again although its answer came,
and an event that was acknowledged is voided; one producer waits for alerts, and takes usage back and above the
threshold again; one writes to the inboxes in Kafka instead.
"""

from __future__ import annotations

import json
import random
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final

import httpx
from confluent_kafka import KafkaException, Producer

from schemas.kafka.topics import inbox_topic
from schemas.settings import Settings
from tests.chaos.ledger import Ledger
from tests.chaos.traffic import SWINGING, Batch, Identity, SwingWriter, Writer

ANSWER_SECONDS: Final = 4.0
"""Shorter than most freezes of a gateway, so that producers meet ambiguous answers."""
_AGAIN: Final = 0.04
_VOIDED: Final = 0.2
"""Share of the batches of which an event is voided."""


class Sender(threading.Thread, ABC):
    """``pace`` seconds lie between two batches. Ends after the batch under way once ``stop`` is set; a batch that is
    not acknowledged within ``patience`` seconds is a problem in the ledger."""

    def __init__(
        self,
        name: str,
        seed: int,
        writer: Writer,
        ledger: Ledger,
        stop: threading.Event,
        *,
        pace: float,
        patience: float,
    ) -> None:
        super().__init__(name=name, daemon=True)
        self.dice = random.Random(f"{seed}/{name}/pace")
        self.writer = writer
        self.ledger = ledger
        self.stopping = stop
        self.pace = pace
        self.patience = patience

    def run(self) -> None:
        try:
            while not self.over():
                batch = self.writer.batch(100)
                if not self.send(batch):
                    self.ledger.problem(f"{self.name}: a batch was not acknowledged within {self.patience:g} s")
                    return
                self.ledger.acknowledged(batch)
                self.writer.acknowledged(batch)
                if not self.take_back(batch):
                    self.ledger.problem(f"{self.name}: a void was not acknowledged within {self.patience:g} s")
                    return
        except Exception as error:
            self.ledger.problem(f"{self.name} broke: {error!r}")

    def over(self) -> bool:
        """Whether it sends no further batch; where it does, its pause is over."""
        return self.stopping.wait(self.dice.uniform(0.5, 1.5) * self.pace)

    @abstractmethod
    def send(self, batch: Batch) -> bool:
        """Until it is acknowledged; False when patience ends, or where it is refused."""

    def take_back(self, batch: Batch) -> bool:
        """Void some of the batch, which is in Kafka; False when patience ends, or where that is refused."""
        return True


class HttpSender(Sender):
    """Sends to the gateways at ``urls``."""

    def __init__(
        self, name: str, seed: int, writer: Writer, ledger: Ledger, stop: threading.Event, *, pace: float,
        patience: float,
        urls: Sequence[str], key: str,
    ) -> None:  # fmt: skip
        super().__init__(name, seed, writer, ledger, stop, pace=pace, patience=patience)
        self._urls = list(urls)
        self.http = httpx.Client(
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            timeout=ANSWER_SECONDS,
            verify=False,
        )

    def send(self, batch: Batch) -> bool:
        return self._until_taken("/v1/events/batch", batch.namespace, batch.body())

    def take_back(self, batch: Batch) -> bool:
        if self.dice.random() >= _VOIDED:
            return True
        return self.void(self.dice.choice(batch.sent).identity)

    def void(self, one: Identity) -> bool:
        """Void an event that is in Kafka; False when patience ends, or where it is refused."""
        void = {"idempotency_key": one.key, "source": one.source, "reason": "taken back"}
        if not self._until_taken("/v1/events/void", one.namespace, json.dumps(void).encode()):
            return False
        self.ledger.void(one)
        return True

    def _until_taken(self, path: str, namespace: str, body: bytes) -> bool:
        deadline = time.monotonic() + self.patience
        first = self.dice.randrange(len(self._urls))
        attempt = 0
        while time.monotonic() < deadline:
            url = self._urls[(first + attempt) % len(self._urls)] + path
            attempt += 1
            outcome = self._post(url, namespace, body)
            if outcome == "202":
                if self.dice.random() < _AGAIN:
                    self._post(self._urls[(first + attempt) % len(self._urls)] + path, namespace, body)
                return True
            if outcome.startswith("4") and outcome != "429":
                self.ledger.problem(f"{self.name}: refused with {outcome}")
                return False
            time.sleep(self.dice.uniform(0.15, 0.4))  # a client's pause, also of the batch under way at the end
        return False

    def _post(self, url: str, namespace: str, body: bytes) -> str:
        try:
            answer = self.http.post(url, content=body, headers={"Weir-Namespace": namespace})
            outcome = str(answer.status_code)
        except httpx.TransportError as error:
            outcome = (
                "no answer"
                if isinstance(error, httpx.ReadTimeout | httpx.ReadError | httpx.RemoteProtocolError)
                else "not reached"
            )
        self.ledger.attempt(outcome)
        return outcome


class SwingSender(HttpSender):
    """Takes an account above a threshold; once its alert has fired voids an event, which takes it below; once that has
    recovered again above it. It ends where it is told to, but not before one alert has fired anew."""

    def __init__(
        self, name: str, seed: int, writer: SwingWriter, ledger: Ledger, stop: threading.Event, *, pace: float,
        patience: float,
        urls: Sequence[str], key: str,
        rating: str, rule: str,
    ) -> None:  # fmt: skip
        super().__init__(name, seed, writer, ledger, stop, pace=pace, patience=patience, urls=urls, key=key)
        self._alerts = f"{rating}/v1/alerts?account_id={SWINGING}&rule={rule}&limit=1"
        self._namespace = writer.namespace
        self._episodes = 0
        self._stopped_at: float | None = None

    def over(self) -> bool:
        """See ``Sender``."""
        super().over()
        return self._ends()

    def take_back(self, batch: Batch) -> bool:
        if not self._listed("fired") or self._ends():
            return True
        if not self.void(batch.sent[-1].identity):
            return False
        self._listed("recovered")
        return True

    def _listed(self, state: str) -> bool:
        """Whether the newest alert is in this state; asks until it is, or the run ends."""
        while not self._ends():
            time.sleep(0.3)  # a reader's pause
            try:
                answer = self.http.get(self._alerts, headers={"Weir-Namespace": self._namespace})
            except httpx.TransportError:
                continue
            newest = answer.json()["alerts"] if answer.status_code == 200 else []
            if newest and newest[0]["state"] == state:
                self._episodes = newest[0]["episode"]
                return True
        return False

    def _ends(self) -> bool:
        if not self.stopping.is_set():
            return False
        self._stopped_at = self._stopped_at or time.monotonic()
        return self._episodes > 1 or time.monotonic() > self._stopped_at + self.patience


class InboxSender(Sender):
    """Writes to usage.inbox.<namespace> as a customer's producer would: acks=all, idempotent."""

    def __init__(
        self, name: str, seed: int, writer: Writer, ledger: Ledger, stop: threading.Event, *, pace: float,
        patience: float,
        settings: Settings,
    ) -> None:  # fmt: skip
        super().__init__(name, seed, writer, ledger, stop, pace=pace, patience=patience)
        self._producer = Producer(
            settings.librdkafka()
            | {"enable.idempotence": True, "acks": "all", "delivery.timeout.ms": 8000, "log_level": 0}
        )

    def send(self, batch: Batch) -> bool:
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            outcome: list[str] = []

            def report(error: object, _message: object, outcome: list[str] = outcome) -> None:
                outcome.append("inbox delivered" if error is None else "inbox not delivered")

            try:
                self._producer.produce(inbox_topic(batch.namespace), value=batch.body(), on_delivery=report)
            except (BufferError, KafkaException):
                outcome.append("inbox not taken")
            while not outcome:
                self._producer.poll(0.1)
            self.ledger.attempt(outcome[0])
            if outcome[0] == "inbox delivered":
                return True
            time.sleep(0.1)  # a client's pause before the next attempt
        return False
