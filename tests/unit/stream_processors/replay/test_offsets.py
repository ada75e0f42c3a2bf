"""A replay never puts the records of another log in place of those that were metered, and rolls up what it changed."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.clickhouse.replays import ANOTHER_REPLAY_SQL
from schemas.ledgers.checkpoints import Checkpoints
from stream_processors.metering.metered_topic import RawRecord
from stream_processors.replay.offsets import Remeter, first_other

UNIT = [RawRecord(0, offset, 1_000 * offset + 999, b"") for offset in range(5, 9)]
METERED = {raw.offset: raw.append_us // 1000 for raw in UNIT}


def test_the_records_that_were_metered_are_replayed_and_so_are_those_that_clickhouse_lost() -> None:
    assert first_other(UNIT, METERED) is None
    assert first_other(UNIT, {}) is None
    assert first_other(UNIT, {5: METERED[5]}) is None


def test_a_record_that_was_appended_at_another_time_is_another() -> None:
    assert first_other(UNIT, METERED | {7: METERED[7] - 1, 8: 0}) == UNIT[2]


def test_windows_and_folds_are_let_be_where_no_checkpoint_has_anything_of_the_range() -> None:
    rolled_up: list[Sequence[int]] = []
    remeter: Any = SimpleNamespace(
        _settings=SimpleNamespace(generation=1),
        _rollup=SimpleNamespace(checkpoints=Checkpoints, again=lambda numbers, afresh: rolled_up.append(numbers)),
    )
    assert Remeter._roll_up(remeter, 0, 5, 9, True) == []
    assert not rolled_up


def test_a_replay_of_what_no_checkpoint_has_says_that_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[str] = []
    remeter: Any = object.__new__(Remeter)
    remeter._settings, remeter._topic, remeter._partitions = SimpleNamespace(generation=1), "usage.events", 1
    remeter._journal = SimpleNamespace(
        run=lambda what, work: {(1, 0): 10}, command=lambda what, sql, parameters: commands.append(sql)
    )
    for name, value in {"_bounds": (0, 10), "_units": (), "_roll_up": []}.items():
        monkeypatch.setattr(Remeter, name, lambda *_, value=value: value)
    assert remeter.replay(0, 0, 10).checkpoints == []
    assert commands == [ANOTHER_REPLAY_SQL]
