"""Rounds of an evaluator whose accounts are measured beforehand: what it appends, and what waits."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from rating.alerts import basis, evaluator, looks
from rating.alerts.catalog_changes import CatalogChanges
from rating.alerts.crossings import Observation
from rating.alerts.evaluator import Evaluator
from rating.alerts.observations import Look
from rating.alerts.pending import NEVER
from rating.alerts.watched import ActiveRule
from rating.estimates.account_state import AccountState
from schemas.catalog.prepaid.topup_record import TopupRecord, ValidTopups
from schemas.catalog.state import NamespaceView
from schemas.ledgers.alert_record import DAY_US, EVALUATED_DAYS, Alert, ValidAlerts
from schemas.ledgers.checkpoint_folds import checkpoint_reader
from schemas.settings import Settings
from tests.unit.rating.alerts.builders import END, START, as_of, rule
from tests.unit.rating.builders import Shelf


class Bench:
    """An evaluator of the accounts a0, a1, … of the namespace air, each with usage of 10 in a period from START to END.
    ``looked``: accounts of each look."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *thresholds: str, accounts: int = 1) -> None:
        self.shelf, self.valid, self.now_us = Shelf(), ValidAlerts(), START + 5
        self.usage: dict[str, int] = {}
        self.topups: list[TopupRecord] = []
        self.looked: list[list[str]] = []
        for number in range(accounts):
            self.shelf.add("account", {"code": f"a{number}"})
        self.reached: dict[str, str] = {}
        if thresholds:
            self.shelf.add("alert_rule", rule(*thresholds).model_dump(mode="json"))
        self.changes = CatalogChanges()
        for entry in sorted(self.shelf.view().log(), key=lambda entry: (entry.kind != "alert_rule", entry.offset)):
            self.changes.note(entry)
        client = SimpleNamespace(close=lambda: None)
        monkeypatch.setattr(evaluator, "connect", lambda *_, **__: client)
        reader = SimpleNamespace(end_offsets=dict, read_to=lambda ends: [], places=dict, resume=lambda places: None)
        monkeypatch.setattr(checkpoint_reader, "LedgerReader", lambda *_: reader)
        monkeypatch.setattr(basis, "read_progress", lambda client: {(1, 0): 9})
        monkeypatch.setattr(evaluator, "observe", self.observe)
        usage = SimpleNamespace(read=lambda namespaces, now: {"air": self.usage}, evaluated=lambda now: None)
        monkeypatch.setattr(evaluator, "UsageChanges", lambda client, ruled_us: usage)
        self.monotonic = 0.0
        for module in (evaluator, looks):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.monotonic))
        ledger: Any = SimpleNamespace(valid=self.valid, refresh=lambda: True, publish=self.publish)
        topups: Any = SimpleNamespace(valid=ValidTopups(), refresh=lambda: None, publish=self.topups.extend)
        self.told: list[tuple[str, set[str]]] = []
        ledgers = (ledger, topups)
        tell = lambda namespace, reached: self.told.append((namespace, set(reached)))  # noqa: E731
        self.evaluator = Evaluator(Settings(), self.shelf.catalog, self.changes, *ledgers, lambda: self.now_us, tell)

    def publish(self, alerts: Sequence[Alert]) -> None:
        for alert in alerts:
            assert self.valid.apply(alert, self.now_us)

    def observe(self, client: Any, view: NamespaceView, checkpoints: Any, rules: Any, *of: Any) -> Look:
        accounts, *_ = of
        self.looked.append(accounts)
        watching: Sequence[ActiveRule] = rules
        seen = [Observation(name, "", "calls.n", START, END, Decimal(10)) for name in accounts]
        state = AccountState(view, accounts, self.now_us, [], {}, [])
        reached = frozenset(self.reached[name] for name in accounts if name in self.reached)
        return Look(state, [(active, each) for active in watching for each in seen], reached=reached)


def test_what_has_no_room_in_a_day_is_said_once_and_evaluated_on_the_next(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(basis, "MOST_A_DAY", 5)
    bench = Bench(monkeypatch, "1", "2", accounts=4)
    for _ in range(3):
        bench.evaluator.round()
    assert (len(bench.valid), len(bench.looked)) == (5, 1)
    assert [record.getMessage().count("5 alerts on 2013-01-01") for record in caplog.records] == [1]
    bench.usage = {"a1": NEVER}
    assert not bench.evaluator.round(), "nothing is due"
    bench.now_us, bench.monotonic, bench.usage = START + DAY_US, 86_402.0, {}
    bench.evaluator.round()
    assert (len(bench.valid), len(bench.looked)) == (8, 2)


def test_a_period_that_ended_long_ago_is_evaluated_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for late_us, alerts in ((0, 1), (1, 0)):
        bench = Bench(monkeypatch, "1")
        bench.now_us = END + EVALUATED_DAYS * DAY_US + late_us
        bench.evaluator.round()
        assert (len(bench.looked), len(bench.valid)) == (1, alerts)


def test_a_process_that_has_read_less_of_the_catalog_than_an_alert_was_made_by_does_not_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(monkeypatch, "20")
    [alert] = evaluator.next_alerts(
        "air", rule("1"), 1, Observation("a0", "", "calls.n", START, END, Decimal(10)), as_of(), lambda _: 0
    )
    assert alert.catalog_offset == 7
    bench.valid.apply(alert)
    assert bench.shelf.view().before < 7
    assert not bench.evaluator.round()
    assert bench.looked == []
    while bench.shelf.view().before < 7:
        bench.shelf.add("account", {"code": "other"})
    bench.evaluator.round()
    assert bench.looked == [["a0"]]


def test_thresholds_of_invoices_are_looked_at_without_any_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(monkeypatch, accounts=4)
    shelf, since = bench.shelf, "2013-01-01T00:00:00Z"
    for code, plan in (("with", {"invoice_threshold": "30"}), ("without", {})):
        shelf.add("plan", {"code": code, "currency": "USD", "charges": []} | plan)
    shelf.add("subscription", {"code": "s0", "account": "a0", "plan": "with", "start": since})
    shelf.add("subscription", {"code": "s1", "account": "a1", "plan": "without", "start": since})
    own = {"code": "s2", "account": "a2", "plan": "without", "start": since, "invoice_threshold": "5"}
    shelf.add("subscription", own)
    assert not bench.changes.ruled
    for entry in sorted(shelf.view().log(), key=lambda entry: entry.offset):
        bench.changes.note(entry)
    assert bench.changes.ruled
    bench.reached = {"a2": "s2"}
    bench.evaluator.round()
    assert ([sorted(accounts) for accounts in bench.looked], bench.told) == ([["a0", "a2"]], [("air", {"s2"})])
    bench.usage, bench.reached = {"a0": NEVER, "a1": NEVER, "a3": NEVER}, {"a0": "s0"}
    bench.evaluator.round()
    assert (bench.looked[1:], bench.told[1:]) == ([["a0"]], [("air", {"s0"})])
