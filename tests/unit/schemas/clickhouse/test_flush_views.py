"""What counts is stored alike whether a flush comes by usage_flush or by usage_flush_counted."""

from __future__ import annotations

import re

from schemas.migrations import files


def views_of(table: str) -> dict[str, str]:
    """Table that a view of ``table`` fills → what the view selects, without a condition on the fate."""
    text = "\n".join(path.read_text() for _, path in files())
    made = re.findall(
        rf"CREATE MATERIALIZED VIEW[^;]*? TO \{{database\}}\.(\w+) AS\n([^;]*?FROM \{{database\}}\.{table}\b[^;]*);",
        text,
    )
    return {
        target: select.replace(table, "usage_flush").replace("WHERE fate = 0", "").strip() for target, select in made
    }


def columns_of(table: str) -> list[str]:
    """The definitions of a table's columns."""
    text = "\n".join(path.read_text() for _, path in files())
    [columns] = re.findall(
        rf"CREATE TABLE IF NOT EXISTS \{{database\}}\.{table} [^(]*\((.*?)\n\)\nENGINE", text, re.DOTALL
    )
    return [column.rstrip(",") for column in columns.strip().splitlines()]


def test_both_doors_of_a_flush_fill_the_same() -> None:
    whole, counted = views_of("usage_flush"), views_of("usage_flush_counted")
    assert set(whole) - set(counted) == {"duplicate_events"}
    assert set(counted) == {"usage_events", "usage_identities", "usage_records"}
    assert all(select == whole[target] for target, select in counted.items())
    columns = columns_of("usage_flush_counted")
    assert columns == columns_of("usage_flush")[: len(columns)]
