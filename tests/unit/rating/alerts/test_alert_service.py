"""The loop of alerts over faults: what was read of usage.alerts is kept, unless Kafka's reader is at fault."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from rating.alerts import alert_service, alert_store
from rating.alerts.alert_ledger import AppendedAlert
from rating.alerts.alert_service import AlertService
from rating.alerts.catalog_changes import CatalogChanges
from schemas.health.stages import Attempts
from schemas.ledgers.errors import LedgerUnavailable
from schemas.settings import Settings
from tests.unit.rating.alerts.builders import rule
from tests.unit.rating.builders import Shelf


class Loop:
    """Runs until the rounds are over. ``rounds``: what each raises, None for nothing; ``stored``: positions that
    ClickHouse has at each question, the last of them for ever; ``opened``: how often usage.alerts was read from its
    beginning."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, rounds: list[Exception | None], stored: list[dict[int, int]]
    ) -> None:
        self.rounds, self.stored, self.opened, self.closed = rounds, stored, 0, 0
        monkeypatch.setattr(alert_service, "connect", lambda settings: SimpleNamespace(close=lambda: None))
        monkeypatch.setattr(alert_store, "copied_positions", self.copied_positions)
        monkeypatch.setattr(alert_store, "write_positions", lambda client, positions: None)
        monkeypatch.setattr(alert_service, "AlertLedger", self.ledger)
        topups = SimpleNamespace(ledger=None, deliver=self.queue_topups, goes_on=lambda: True, close=lambda: None)
        monkeypatch.setattr(alert_service, "TopupCopy", lambda *_: topups)
        monkeypatch.setattr(
            alert_service, "Evaluator", lambda *_: SimpleNamespace(round=self.round, close=lambda: None)
        )
        shelf, changes, attempts = Shelf(), CatalogChanges(), Attempts(lambda: 0.0)
        shelf.add("alert_rule", rule("1").model_dump(mode="json"))
        for entry in shelf.view().log():
            changes.note(entry)
        queued = (self.queue, self.queue_topups, attempts)
        loop = AlertService(Settings(), shelf.catalog, changes, *queued, lambda *_: None, lambda _: asyncio.sleep(0))
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(loop.run())

    def copied_positions(self, client: Any) -> dict[int, int]:
        return self.stored.pop(0) if len(self.stored) > 1 else self.stored[0]

    def ledger(self, *_: Any) -> Any:
        self.opened += 1
        return SimpleNamespace(
            refresh=lambda most: True,
            ends=lambda: {0: 5},
            positions={0: 5},
            unstored=[],
            close=self.close,
            save=lambda: None,
        )

    async def queue(self, alerts: Sequence[AppendedAlert]) -> None:
        raise AssertionError("there are none")

    async def queue_topups(self, _: Any) -> None:
        pass

    def close(self) -> None:
        self.closed += 1

    def round(self) -> bool:
        if not self.rounds:
            raise asyncio.CancelledError
        if (error := self.rounds.pop(0)) is not None:
            raise error
        return False


def test_a_faulty_round_keeps_what_was_read_and_a_fault_of_kafka_reads_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    faulty: list[Exception | None] = [RuntimeError("ours"), None, TimeoutError("ClickHouse"), None]
    loop = Loop(monkeypatch, faulty, [{0: 5}])
    assert (loop.opened, loop.closed) == (1, 1)
    of_kafka = RuntimeError("not written")
    of_kafka.__cause__ = LedgerUnavailable("Kafka does not answer")
    assert Loop(monkeypatch, [LedgerUnavailable("Kafka does not answer"), None], [{0: 5}]).opened == 2
    assert Loop(monkeypatch, [of_kafka, None], [{0: 5}]).opened == 2


def test_what_clickhouse_lost_is_stored_again_after_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Loop(monkeypatch, [TimeoutError("it is restored"), None], [{0: 5}, {0: 3}]).opened == 2
