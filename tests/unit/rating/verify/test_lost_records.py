"""What hides a lost record, and what does not: a damaged part of usage_batches, and records that were carried over."""

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
    """What is missing in usage_batches, and what other records replaced; ``damaged``: tables with a damaged part.
    ``carried``: events that the next generation has of this one; ``named``: those of them whose records are known."""

    def __init__(self, damaged: list[str], carried: int = 0, named: int = 0) -> None:
        self._damaged = damaged
        self._carried = carried
        self._named = named

    def query(self, sql: str, parameters: Any = None) -> Any:
        if "system.detached_parts" in sql:
            rows: list[Any] = [(table, "part", "broken-on-start") for table in self._damaged]
        elif "bitmapAndnotCardinality" in sql:
            rows = [(1, 1)]
        elif "bitmapAndnot" in sql:
            rows = [MISSING, GIVEN_UP]
        elif "HAVING count() > 1" in sql:
            rows = [REPLACED]
        elif "sum(batches.events)" in sql:
            rows = [("n", 2, 0, self._carried)] if self._carried else []
        elif "carried_records" in sql:
            rows = [("n", 1, 0, self._named)] if self._named else []
        else:
            rows = []
        return SimpleNamespace(result_rows=rows)


@pytest.mark.parametrize(
    ("damaged", "lost"), [([], 23), (["usage_events", "invoices"], 23), (["invoices", "usage_batches"], 3)]
)
def test_what_a_damaged_part_held_is_not_lost(damaged: list[str], lost: int) -> None:
    assert lost_events(cast(Client, Journal(damaged)), "n") == {"n": (lost, 4)}


@pytest.mark.parametrize(
    ("carried", "named", "lost", "given_up"),
    [(15, 0, 8, 4), (25, 0, 0, 2), (15, 15, 23, 4), (25, 20, 18, 4), (0, 20, 23, 4)],
)
def test_only_what_was_carried_over_without_a_name_makes_up_for_any_that_is_missing(
    carried: int, named: int, lost: int, given_up: int
) -> None:
    """A named one is compared at its own offset, by ClickHouse."""
    assert lost_events(cast(Client, Journal([], carried, named)), "n") == {"n": (lost, given_up)}
