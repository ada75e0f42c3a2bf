"""What ClickHouse says it has of the copies of ledger topics."""

from __future__ import annotations

from stream_processors.metering.journal import Journal


def copied_up_to(journal: Journal, topic: str) -> dict[int, int]:
    """Partition → next offset of a ledger topic to copy; partitions of which nothing is copied are left out. Raises
    Stopping."""
    rows = journal.query(
        f"read how far {topic} is copied",
        "SELECT partition, max(next_offset) FROM copy_progress WHERE topic = {t:String} GROUP BY partition",
        {"t": topic},
    )
    return {int(partition): int(offset) for partition, offset in rows}


def stored_versions(journal: Journal) -> int:
    """How many versions of invoices and drafts there are. Raises Stopping."""
    [[count]] = journal.query(
        "count versions of invoices",
        "SELECT (SELECT uniqExact(namespace, invoice_id, version) FROM invoices)"
        " + (SELECT uniqExact(namespace, invoice_id, version) FROM invoice_drafts)",
    )
    return int(count)
