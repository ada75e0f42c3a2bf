"""A rolling upgrade as README and CHANGELOG describe it, with events flowing: old workers stop, tables and topics are
made, new workers start, then new gateways, then rating. What was acknowledged is compared with what is metered."""

from __future__ import annotations

import itertools
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import httpx
from confluent_kafka import KafkaException, Producer

from deploy.local.ports import free_port
from deploy.local.stack import Stack, settings_environment
from tests.upgrade.history import Say, metered, until
from tests.upgrade.release import NAMESPACE, Release, Services, UpgradeError

_TABLES: Final = (
    "from schemas.settings import load_settings; from schemas.{topics} import create_topics;"
    " from schemas.migrations import migrate; create_topics(load_settings()); migrate(load_settings())"
)
_STEP_SECONDS: Final = 4.0
"""For so long events flow in each state of the upgrade."""
_CATALOG: Final = f"""
namespace: {{code: {NAMESPACE}, max_event_age_seconds: null%s}}
meters: [{{code: calls, unit: call, event_name: call, profiles: [{{code: n, aggregation: sum, property: [n]}}]}}]
products: [{{code: n, name: N, unit: call, profile: calls.n}}]
plans: [{{code: p, currency: USD, charges: [{{product: n, price: {{model: per_unit, unit_amount: "0.01"}}}}]}}]
accounts: [{{code: a, time_zone: UTC}}]
subscriptions: [{{code: s, account: a, plan: p, start: 2026-01-01}}]
"""


class Traffic(threading.Thread):
    """Sends batches to one gateway after another until ``stop``; each until it is acknowledged, every third one twice.

    ``acknowledged``: how many events; ``waited``: the longest time that a batch needed.
    """

    def __init__(self, headers: dict[str, str], gateways: list[str]) -> None:
        super().__init__(daemon=True)
        self.gateways = gateways
        self.stop = threading.Event()
        self.acknowledged = 0
        self.waited = 0.0
        self.refused: list[str] = []
        self._headers = headers

    def run(self) -> None:
        """Send."""
        with httpx.Client(headers=self._headers, timeout=15) as client:
            for batch in itertools.count():
                if self.stop.is_set():
                    return
                events = [
                    {
                        "event_name": "call", "account_id": "a", "idempotency_key": f"roll-{batch}-{number}",
                        "timestamp": "2026-01-20T12:00:00Z", "properties": {"n": 1},
                    }
                    for number in range(20)
                ]  # fmt: skip
                for _ in range(2 if batch % 3 == 0 else 1):
                    self._deliver(client, batch, json.dumps({"events": events}))
                self.acknowledged += len(events)
                time.sleep(0.01)

    def _deliver(self, client: httpx.Client, batch: int, body: str) -> None:
        began = time.monotonic()
        for attempt in itertools.count():
            gateways = list(self.gateways)
            try:
                answer = client.post(
                    gateways[(batch + attempt) % len(gateways)] + "/v1/events/batch",
                    content=body,
                    headers={"content-type": "application/json"},
                )
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == 202:
                break
            if answer is not None and answer.status_code < 500 and answer.status_code != 429:
                self.refused.append(f"{answer.status_code} {answer.text[:300]}")
                break
            time.sleep(0.05)
        self.waited = max(self.waited, time.monotonic() - began)


class Fleet:
    """The processes of both releases on one Kafka and one ClickHouse; ``close`` ends what is left of them."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self._logs = folder / "logs"
        self._variables = settings_environment(stack.settings)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, release: Release, name: str, module: str, **variables: str) -> None:
        """Start a process under a name."""
        log = self._logs / f"{name}.log"
        self._running[name] = release.start(module, self._variables | variables, log)

    def gateway(self, release: Release, name: str) -> str:
        """Start a gateway on a port of its own and wait until it is ready. Its URL."""
        port = free_port(set())
        self.start(release, name, "ingest.gateway", WEIR_GATEWAY_PORT=str(port))
        self.ready(name, port)
        return f"http://127.0.0.1:{port}"

    def worker(self, release: Release, name: str, index: int) -> int:
        """Start a worker. Its port, where it says whether it is ready."""
        port = free_port(set())
        variables = {"WEIR_WORKER_INDEX": str(index), "WEIR_WORKER_WEB_PORT": str(port)}
        self.start(release, name, "stream_processors.worker worker", **variables)
        return port

    def ready(self, name: str, port: int) -> None:
        """Wait until it says so. Raises UpgradeError where it ends or is not ready within 90 s."""

        def answers() -> bool:
            if (code := self._running[name].poll()) is not None:
                raise UpgradeError(f"{name} ended with {code}; its log: {self._logs / name}.log")
            try:
                return httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).is_success
            except httpx.HTTPError:
                return False

        until(f"the start of {name}", answers, 90)

    def end(self, name: str) -> None:
        """SIGTERM, and SIGKILL for one that is still there after 20 s, as an orchestrator does."""
        process = self._running.pop(name)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End everything."""
        for name in list(self._running):
            self.end(name)


def rolling(old: Release, new: Release, folder: Path, say: Say) -> Iterator[str]:
    """What is wrong after the upgrade. Raises UpgradeError where it cannot go on."""
    stack = Stack(folder, ports="free", processes=("clickhouse", "kafka"))
    with stack:
        fleet = Fleet(stack, folder)
        try:
            yield from _roll(old, new, stack, fleet, say)
        finally:
            fleet.close()


def _roll(old: Release, new: Release, stack: Stack, fleet: Fleet, say: Say) -> Iterator[str]:
    variables = settings_environment(stack.settings)
    old.call(_TABLES.format(topics=_topics(old)), variables)
    web = {name: fleet.worker(old, name, index) for index, name in enumerate(("old-worker-0", "old-worker-1"))}
    gateways = [fleet.gateway(old, "old-gateway")]
    rating = stack.settings.rating_port
    fleet.start(old, "old-rating", "rating.service")
    fleet.ready("old-rating", rating)
    for name, port in web.items():
        fleet.ready(name, port)
    services = _services(stack, gateways[0])
    services.apply(_CATALOG % old.inbox_on_request)
    traffic, inbox = Traffic(services.headers, gateways), Inbox(services.kafka)
    traffic.start()
    inbox.start()
    try:
        say("events flow through the earlier release")
        time.sleep(_STEP_SECONDS)
        new.call(_TABLES.format(topics=_topics(new)), variables)
        say("tables and topics of the later release; the earlier one goes on")
        time.sleep(_STEP_SECONDS)
        for name in web:
            fleet.end(name)
        say("no worker; gateways go on accepting")
        time.sleep(_STEP_SECONDS)
        web = {name: fleet.worker(new, name, index) for index, name in enumerate(("new-worker-0", "new-worker-1"))}
        for name, port in web.items():
            fleet.ready(name, port)
        say("new workers")
        time.sleep(_STEP_SECONDS)
        gateways.append(fleet.gateway(new, "new-gateway"))
        say("gateways of both releases")
        time.sleep(_STEP_SECONDS)
        del gateways[0]
        fleet.end("old-gateway")
        say("the new gateway alone")
        time.sleep(_STEP_SECONDS)
        fleet.end("old-rating")
        fleet.start(new, "new-rating", "rating.service")
        fleet.ready("new-rating", rating)
        say("the new rating service")
        time.sleep(_STEP_SECONDS)
    finally:
        traffic.stop.set()
        inbox.stop.set()
        traffic.join(30)
        inbox.join(30)
    yield from _counted(services, traffic, inbox, say)


class Inbox(threading.Thread):
    """Writes an event to the namespace's Kafka inbox every 20 ms; ``acknowledged``: what Kafka has confirmed."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(daemon=True)
        self.stop = threading.Event()
        self.acknowledged = 0
        self._producer = Producer({"bootstrap.servers": bootstrap})

    def run(self) -> None:
        """Write."""
        event: dict[str, Any] = {"event_name": "call", "account_id": "a", "timestamp": "2026-01-20T12:00:00Z"}
        for number in itertools.count():
            if self.stop.wait(0.02):
                break
            record = event | {"idempotency_key": f"inbox-{number}", "properties": {"n": "1"}}
            # The topic is made a moment after the namespace has asked for it.
            with suppress(KafkaException):
                self._producer.produce(f"usage.inbox.{NAMESPACE}", json.dumps(record), on_delivery=self._report)
            self._producer.poll(0)
        self._producer.flush(20)

    def _report(self, error: Any, _record: Any) -> None:
        self.acknowledged += error is None


def _counted(services: Services, traffic: Traffic, inbox: Inbox, say: Say) -> Iterator[str]:
    expected = traffic.acknowledged + inbox.acknowledged
    count = "SELECT count() FROM usage_events FINAL"
    try:
        metered(services)
        until("metering of every acknowledged event", lambda: int(services.rows(count)[0][0]) >= expected, 60)
    except UpgradeError as error:
        yield str(error)
    usage = services.get("/v1/usage?metric=calls.n&from=2026-01")["total"]
    books = services.get("/v1/ledger")
    say(f"{expected} events acknowledged ({inbox.acknowledged} by the inbox); books: {books}")
    say(f"the longest wait of a batch for its acknowledgement: {traffic.waited:.1f} s")
    if not inbox.acknowledged:
        yield "the inbox took no event, so nothing is known of it"
    if books["metered"] != expected or int(services.rows(count)[0][0]) != expected:
        yield f"{expected} events were acknowledged, {books['metered']} are metered"
    if str(usage.get("quantity")) != str(expected):
        yield f"{expected} were acknowledged, usage says {usage}"
    if not books["balanced"] or books["refused"] or traffic.refused:
        yield f"refused, or not in balance: {books} {traffic.refused[:3]}"


def _topics(release: Release) -> str:
    """The module that makes the topics, which has moved once."""
    return "kafka.topics" if (release.checkout / "schemas/kafka/topics.py").exists() else "topics"


def _services(stack: Stack, gateway: str) -> Services:
    settings = stack.settings
    clickhouse = f"http://127.0.0.1:{settings.clickhouse_port}/?database={settings.clickhouse_database}"
    password = settings.clickhouse_password.get_secret_value()
    return Services(
        gateway,
        f"http://127.0.0.1:{settings.rating_port}",
        clickhouse,
        settings.kafka_bootstrap,
        settings.admin_key.get_secret_value(),
        {"X-ClickHouse-User": settings.clickhouse_user, "X-ClickHouse-Key": password},
    )
