"""Addresses of a chaos run's stack, what is declared on it, and who sends to it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx

from deploy.local.stack import Stack
from schemas.clickhouse.client import connect
from tests.chaos.alert_audit import DAILY, RULES
from tests.chaos.ledger import Ledger
from tests.chaos.producers import HttpSender, InboxSender, Sender, SwingSender
from tests.chaos.recovery import PROBE, Probes
from tests.chaos.traffic import CATALOG, SWINGING, SwingWriter, Writer

HTTP_SENDERS: Final = 3


class Site:
    """Addresses of one stack, and what is declared on it."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.settings = stack.settings
        self.key = stack.settings.admin_key.get_secret_value()
        self.urls = [f"http://127.0.0.1:{port}" for port in stack.gateway_ports]
        self.rating = f"http://127.0.0.1:{stack.settings.rating_port}"
        self._today = today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        # One namespace that forgets identities after its age limit, one that remembers them for ever. Alerts look back
        # day by day as far as usage changed: more days would be more of the same.
        self.bases = {"recent": today - timedelta(days=4), "history": datetime(2024, 2, 28, tzinfo=UTC)}

    def declare(self) -> None:
        """The namespaces with their meters and alert rules; keys stand in both, so that mixing them up would show."""
        age: dict[str, Any] = {"max_event_age_seconds": None}
        documents = [
            {"namespace": {"code": "recent", "inbox": True}} | CATALOG | RULES,
            {"namespace": {"code": "history", "inbox": True} | age} | CATALOG | RULES,
            {"namespace": {"code": SWINGING}} | CATALOG | RULES | {"accounts": [{"code": SWINGING}]},
            {"namespace": {"code": PROBE}},
        ]
        for document in documents:
            headers = {"Authorization": f"Bearer {self.key}"}
            httpx.post(
                f"{self.urls[0]}/v1/catalog/apply", json=document, headers=headers, timeout=60
            ).raise_for_status()

    def senders(
        self, seed: int, ledger: Ledger, stop: threading.Event, *, pace: float, patience: float
    ) -> list[Sender]:
        """All producers, not started."""
        more: dict[str, Any] = {"pace": pace, "patience": patience}
        http: list[Sender] = [
            HttpSender(
                name, seed, Writer(seed, name, self.bases, 0.02), ledger, stop, urls=self.urls, key=self.key, **more
            )
            for name in (f"producer-{index}" for index in range(HTTP_SENDERS))
        ]
        # In a namespace of its own: a look at the others goes back over their days before it appends anything.
        writer = SwingWriter(SWINGING, self._today, DAILY[0])
        swing = SwingSender(
            "swing", seed, writer, ledger, stop, urls=self.urls, key=self.key, rating=self.rating, rule="daily", **more
        )
        # Without conflicts: which of two inbox partitions is admitted first is nobody's promise.
        inbox = Writer(seed, "inbox", self.bases, 0.0)
        return [*http, swing, InboxSender("inbox", seed, inbox, ledger, stop, settings=self.settings, **more)]

    def probes(self, patience: float) -> Probes:
        """How recovery is measured."""
        return Probes(self.settings, self.key, datetime.now(UTC).isoformat(), patience)

    def checkpoints(self) -> int:
        """How many are rolled up."""
        client = connect(self.settings)
        try:
            return int(client.query("SELECT max(number) FROM usage_checkpoints").result_rows[0][0])
        finally:
            client.close()
