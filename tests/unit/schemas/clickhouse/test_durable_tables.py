"""What a cursor or a mark says is there outlives a loss of power: its rows are on the disk before it is."""

from __future__ import annotations

import re

from schemas.clickhouse.damaged_parts import METERED, WINDOWS
from schemas.migrations import files

COMPARED_WITH_THEIR_TOPICS = frozenset({"catalog_entries", "invoice_numbers", "credit_note_numbers"})
"""Copies without a mark: what they lack is copied at the next start."""
WITHOUT_ROWS_THAT_ARE_RELIED_ON = frozenset(
    {"acknowledged_records", "acknowledged_events"}  # counts that may be too small
    | {"copy_progress", "webhook_progress", "webhook_replays"}  # marks: without the newest, work is done again
)


def tables() -> tuple[set[str], set[str]]:
    """All tables that the migrations make, and those whose inserts are fsynced."""
    made: set[str] = set()
    durable: set[str] = set()
    for _, path in files():
        for statement in path.read_text().split(";\n"):
            if found := re.search(r"CREATE TABLE (?:IF NOT EXISTS )?\{database\}\.(\w+)", statement):
                if "ENGINE = Null" in statement:  # it keeps no rows: its views' tables do
                    continue
                made.add(found[1])
            elif not (found := re.search(r"ALTER TABLE \{database\}\.(\w+)[^;]*MODIFY SETTING", statement)):
                continue
            if "fsync_after_insert = 1" in statement and "fsync_part_directory = 1" in statement:
                durable.add(found[1])
    return made, durable


def test_every_table_is_durable_or_needs_not_be() -> None:
    made, durable = tables()
    assert made - durable == COMPARED_WITH_THEIR_TOPICS | WITHOUT_ROWS_THAT_ARE_RELIED_ON


def test_what_a_replay_and_a_roll_up_write_is_durable() -> None:
    assert tables()[1] >= METERED | WINDOWS
