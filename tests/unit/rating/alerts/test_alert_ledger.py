"""usage.alerts gone on from the file of its fold: the same as from its beginning, and never ahead of what is stored."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import OFFSET_END, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from rating.alerts import alert_ledger
from rating.alerts.alert_ledger import AlertLedger
from rating.alerts.crossings import next_alerts
from rating.verify.difference import Findings
from rating.verify.fold_images import check_images, compare
from schemas.kafka.topics import ALERTS
from schemas.ledgers import ledger_reader
from schemas.ledgers.alert_record import DAY_US, ROWS_VERSION, Alert, ValidAlerts
from schemas.ledgers.folds import fold_image
from schemas.ledgers.folds.fold_row import Row
from schemas.settings import Settings
from tests.unit.rating.alerts.builders import START, as_of, rule, seen
from tests.unit.schemas.ledgers.test_log_place import Topic

[FIRST] = next_alerts("shop", rule("1"), 2, seen("1.50"), as_of(9), lambda _: 0)
RECORD = st.tuples(st.integers(0, 3), st.integers(1, 3), st.booleans(), st.integers(0, 130), st.booleans())


def alert(account: int, episode: int = 1, fired: bool = True, day: int = 0, balance: bool = False) -> Alert:
    key = replace(FIRST.key, account_id=f"a{account}", period_start_us=0 if balance else START)
    key = replace(key, namespace=f"shop {account % 2}")
    return replace(
        FIRST, key=key, episode=episode, state="fired" if fired else "recovered", catalog_offset=day,
        period_end_us=0 if balance else START + account * 20 * DAY_US, offsets={(1, account): day},
    )  # fmt: skip


def stored(valid: ValidAlerts) -> list[Row]:
    return sorted(valid.rows())


@given(st.lists(RECORD, max_size=60), st.floats(0, 1))
def test_going_on_from_the_rows_is_reading_the_whole_log(
    steps: list[tuple[int, int, bool, int, bool]], part: float
) -> None:
    log = [(alert(*of), START + of[3] * DAY_US) for of in sorted(steps, key=lambda of: of[3])]
    log += [(alert(0, 1, True, 400), START + 400 * DAY_US)]
    at = int(part * len(log))
    before, whole = ValidAlerts(), ValidAlerts()
    for record in log[:at]:
        assert before.apply(*record) == whole.apply(*record)
    resumed = ValidAlerts.of_rows(stored(before))
    assert stored(resumed) == stored(before)
    for record in log[at:]:
        assert resumed.apply(*record) == whole.apply(*record)
    assert stored(resumed) == stored(whole)
    for namespace in ("shop 0", "shop 1"):
        day = log[-1][1] // DAY_US
        assert resumed.number_on(namespace, day) == whole.number_on(namespace, day)


def test_rows_of_a_version_are_written_one_way() -> None:
    """Where they change, so does the version: a file of another one is made anew."""
    valid = ValidAlerts()
    assert valid.apply(alert(1), START)
    assert valid.apply(alert(2, balance=True), START)
    written = blake2b(repr(stored(valid)).encode(), digest_size=8).hexdigest()
    assert (ROWS_VERSION, written) == (1, "8c6f1047a03e64dc")
    with pytest.raises(ValueError, match="missing"):
        ValidAlerts.of_rows(stored(valid)[:2])


class AlertTopic(Topic):
    """Its records are of after any instant that is looked up."""

    def offsets_for_times(self, partitions: list[TopicPartition], timeout: float) -> list[SimpleNamespace]:
        return [
            SimpleNamespace(partition=0, offset=len(self.log) if place.offset == OFFSET_END else 0, error=None)
            for place in partitions
        ]


@pytest.fixture
def ledger_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A ledger over a topic, ClickHouse having so many records."""
    monkeypatch.setattr(fold_image, "LEAST_BEHIND", 2)
    monkeypatch.setattr(fold_image, "log_id", lambda *_, **__: "log")
    monkeypatch.setattr(alert_ledger, "LedgerWriter", lambda *_: None)
    given = Settings(snapshot_dir=str(tmp_path))

    def ledger(topic: AlertTopic, stored_to: int) -> AlertLedger:
        monkeypatch.setattr(ledger_reader, "Consumer", topic)
        return AlertLedger(given, {0: stored_to})

    return ledger


def test_a_start_reads_what_is_beyond_the_file(ledger_of: Any) -> None:
    values = [alert(number, balance=True).encode("me") for number in range(8)]
    first = ledger_of(AlertTopic(*values[:6]), 6)
    assert first.refresh()
    assert first.unstored == []
    first.save()
    topic = AlertTopic(*values)
    second = ledger_of(topic, 6)
    assert second.positions[0] < 7, "the last record known is read again, to know the log by it"
    assert second.positions[0] >= 5
    assert second.refresh()
    assert [read.alert.key.account_id for read in second.unstored] == ["a6", "a7"]
    whole = ledger_of(AlertTopic(*values), 0)
    assert whole.refresh()
    assert stored(second.valid) == stored(whole.valid)
    findings = Findings()
    compare(second.valid.rows(), whole.valid.rows(), "file", findings)
    assert findings.differences() == []


def test_verify_compares_the_file_with_the_log(ledger_of: Any, tmp_path: Path) -> None:
    ledger = ledger_of(AlertTopic(*(alert(number, balance=number % 2 == 0).encode("me") for number in range(6))), 6)
    ledger.refresh()
    ledger.save()
    scope: Any = SimpleNamespace(settings=Settings(snapshot_dir=str(tmp_path)))
    findings = Findings()
    check_images(scope, findings, lambda *_: None)
    assert findings.differences() == []
    with closing(sqlite3.connect(fold_image.image_path(str(tmp_path), ALERTS))) as database, database:
        database.execute("DELETE FROM fold WHERE key = (SELECT min(key) FROM fold WHERE part = 'alert')")
    check_images(scope, findings, lambda *_: None)
    [difference] = findings.differences()
    assert (difference.where[:5], difference.found) == ("alert", "no entry")
    path = Path(fold_image.image_path(str(tmp_path), ALERTS))
    path.write_bytes(b"no database" * 1000)
    check_images(scope, findings, lambda *_: None)
    assert [each.where for each in findings.differences()] == [difference.where, str(path)]


@pytest.mark.parametrize("stored_to", [0, 5])
def test_a_file_ahead_of_what_is_stored_is_passed_over(ledger_of: Any, stored_to: int) -> None:
    """ClickHouse was restored from an earlier time: what lies between is to be stored again."""
    values = [alert(number, balance=True).encode("me") for number in range(6)]
    first = ledger_of(AlertTopic(*values), 6)
    first.refresh()
    first.save()
    second = ledger_of(AlertTopic(*values), stored_to)
    assert second.refresh()
    assert [read.offset for read in second.unstored] == list(range(stored_to, 6))


def test_a_log_that_lost_its_end_and_grew_again_is_read_from_its_beginning(ledger_of: Any) -> None:
    first = ledger_of(AlertTopic(*(alert(number, balance=True).encode("me") for number in range(6))), 6)
    first.refresh()
    first.save()
    second = ledger_of(AlertTopic(*(alert(number + 9, balance=True).encode("me") for number in range(7))), 6)
    assert second.refresh()
    assert second.valid.version(alert(9, balance=True).key.alert_id) == 1
    assert second.valid.version(alert(0, balance=True).key.alert_id) == 0
