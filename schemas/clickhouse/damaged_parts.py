"""Parts that ClickHouse has set aside because they are damaged: their rows are in no table, and no query says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from schemas.health.readiness import Reason

DEDUPLICATION: Final = frozenset({"usage_events", "usage_identities"})
"""While a part of these is missing, whether an event is new cannot be told."""
COPIES: Final = frozenset(
    {"invoices", "invoice_lines", "invoice_drafts", "invoice_draft_lines", "rejected_events", "catalog_entries"}
)
METERED: Final = DEDUPLICATION | {
    "usage_records", "usage_batches", "usage_progress", "duplicate_events", "usage_voids", "voided_events",
}  # fmt: skip
NUMBERS: Final = frozenset({"invoice_numbers", "credit_note_numbers"})
WINDOWS: Final = frozenset({"usage_windows", "usage_checkpoints", "profile_versions"})


@dataclass(frozen=True, slots=True)
class SetAside:
    """A part in the folder ``detached`` of its table; ``why`` is the engine's word, such as broken-on-start."""

    table: str
    name: str
    why: str

    @property
    def mended_by(self) -> str:
        """The command that writes its rows again; empty where none does."""
        if self.table in COPIES | NUMBERS:
            return "weir copies rebuild"
        if self.table in METERED:
            return "weir replay --damaged"
        return "weir copies rebuild windows" if self.table in WINDOWS else ""

    @property
    def remedy(self) -> str:
        """For people."""
        if self.mended_by:
            return f"`{self.mended_by}` writes its rows again"
        return (
            f"restore the table from a copy; ALTER TABLE {self.table} DROP DETACHED PART '{self.name}' gives its "
            "rows up"
        )


def set_aside(client: Any) -> list[SetAside]:
    """Damaged parts of Weir's tables. Those that somebody detached by hand have no reason, and are his."""
    rows = client.query(
        "SELECT table, name, reason FROM system.detached_parts"
        " WHERE database = currentDatabase() AND reason IN ('broken', 'broken-on-start', 'broken-from-backup', "
        "'covered-by-broken',"
        " 'noquorum', 'unexpected') AND reason != 'covered-by-broken' ORDER BY table, name"
    ).result_rows
    return [SetAside(str(table), str(name), str(why)) for table, name, why in rows]


def drop(client: Any, part: SetAside) -> None:
    """Delete a part that was set aside. Its rows must be there again."""
    client.command(f"ALTER TABLE `{part.table}` DROP DETACHED PART '{part.name}' SETTINGS allow_drop_detached = 1")


def reasons(parts: list[SetAside]) -> Iterator[Reason]:
    """One a remedy."""
    for remedy in sorted({part.remedy for part in parts}):
        alike = [part for part in parts if part.remedy == remedy]
        tables = ", ".join(sorted({part.table for part in alike}))
        held = (
            " (metering waits: whether an event is new cannot be told)"
            if any(part.table in DEDUPLICATION for part in alike)
            else ""
        )
        yield Reason(
            "parts_set_aside", f"ClickHouse has set {len(alike)} damaged parts of {tables} aside, and their rows are "
                f"missing{held}",
            remedy, lasting=True,
        )  # fmt: skip
