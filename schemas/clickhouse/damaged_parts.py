"""Table parts that ClickHouse has detached because they are damaged. Their rows are missing from queries without
any error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from clickhouse_connect.driver.client import Client

from schemas.health.readiness import UnreadyReason

DEDUPLICATION: Final = frozenset({"usage_events", "usage_identities"})
"""While a part of these tables is missing, deduplication cannot decide whether an event is new."""
COPIES: Final = frozenset(
    {"invoices", "invoice_lines", "invoice_drafts", "invoice_draft_lines", "rejected_events", "catalog_entries"}
)
METERED: Final = DEDUPLICATION | {
    "usage_records",
    "usage_batches",
    "usage_progress",
    "duplicate_events",
    "usage_voids",
    "voided_events",
    "usage_backfills",
    "backfill_records",
    "backfill_progress",
}
NUMBERS: Final = frozenset({"invoice_numbers", "credit_note_numbers"})
WINDOWS: Final = frozenset(
    {"usage_windows", "usage_checkpoints", "profile_versions", "usage_window_folds", "usage_folds"}
)


@dataclass(frozen=True, slots=True)
class DamagedPart:
    """A part in the folder ``detached`` of its table; ``why``: ClickHouse's reason, such as broken-on-start."""

    table: str
    name: str
    why: str

    @property
    def mended_by(self) -> str:
        """The command that restores its rows; empty if none does."""
        if self.table in COPIES | NUMBERS:
            return "weir copies rebuild"
        if self.table in METERED:
            return "weir replay --damaged"
        return "weir copies rebuild windows" if self.table in WINDOWS else ""

    @property
    def remedy(self) -> str:
        """The remedy, as text for people."""
        if self.mended_by:
            return f"`{self.mended_by}` writes its rows again"
        return (
            f"restore the table from a copy; ALTER TABLE {self.table} DROP DETACHED PART '{self.name}' gives its "
            "rows up"
        )


def damaged_parts_of(client: Client) -> list[DamagedPart]:
    """The damaged parts of Weir's tables. Parts that somebody detached manually have no reason and are ignored."""
    rows = client.query(
        "SELECT table, name, reason FROM system.detached_parts"
        " WHERE database = currentDatabase() AND reason IN ('broken', 'broken-on-start', 'broken-from-backup', "
        "'covered-by-broken',"
        " 'noquorum', 'unexpected') AND reason != 'covered-by-broken' ORDER BY table, name"
    ).result_rows
    return [DamagedPart(str(table), str(name), str(why)) for table, name, why in rows]


def drop(client: Client, part: DamagedPart) -> None:
    """Delete a detached part, after its rows were restored."""
    client.command(f"ALTER TABLE `{part.table}` DROP DETACHED PART '{part.name}' SETTINGS allow_drop_detached = 1")


def reasons(parts: list[DamagedPart]) -> Iterator[UnreadyReason]:
    """One readiness reason per remedy."""
    for remedy in sorted({part.remedy for part in parts}):
        alike = [part for part in parts if part.remedy == remedy]
        tables = ", ".join(sorted({part.table for part in alike}))
        held = (
            " (metering waits: whether an event is new cannot be told)"
            if any(part.table in DEDUPLICATION for part in alike)
            else ""
        )
        yield UnreadyReason(
            "parts_set_aside",
            f"ClickHouse has set {len(alike)} damaged parts of {tables} aside, and their rows are missing{held}",
            remedy,
            lasting=True,
        )
