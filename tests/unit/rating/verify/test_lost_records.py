"""Acknowledged records that ClickHouse only lacks, since a part of usage_batches is damaged, are not told as lost."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client

from rating.verify.lost_records import lost_events

MISSING = ("n", 1, 0, False, 5, 7, 2, 20)
REPLACED = ("n", 1, 0, False, 2, 3, 1, 3)
GIVEN_UP = ("n", 1, 0, True, 9, 10, 1, 4)


class Journal:
    """What is missing in usage_batches, and what other records replaced; ``damaged``: tables with a damaged part."""

    def __init__(self, damaged: list[str]) -> None:
        self._damaged = damaged

    def query(self, sql: str, parameters: Any = None) -> Any:
        if "system.detached_parts" in sql:
            rows: list[Any] = [(table, "part", "broken-on-start") for table in self._damaged]
        elif "bitmapAndnot" in sql:
            rows = [MISSING, GIVEN_UP]
        elif "HAVING count() > 1" in sql:
            rows = [REPLACED]
        else:
            rows = []
        return SimpleNamespace(result_rows=rows)


@pytest.mark.parametrize(
    ("damaged", "lost"), [([], 23), (["usage_events", "invoices"], 23), (["invoices", "usage_batches"], 3)]
)
def test_what_a_damaged_part_held_is_not_lost(damaged: list[str], lost: int) -> None:
    assert lost_events(cast(Client, Journal(damaged)), "n") == {"n": (lost, 4)}
