"""What was dropped had counted before, and nothing counted twice (DESIGN invariant 3)."""

from __future__ import annotations

from typing import Final

from rating.verify.difference import Findings, VerifyProgress
from rating.verify.records import position_text
from rating.verify.scope import Scope
from schemas.values.instants import DAY, SECOND, rfc3339

_FIRST: Final = "first_generation, first_partition, first_offset, first_index"

_DROPPED_SQL: Final = """
SELECT namespace, generation, partition, offset, `index`, first_generation, first_partition, first_offset, first_index,
    event.found, event.source = source AND event.idempotency_key = idempotency_key AND event.namespace = namespace
        AS same,
    (first_generation, first_offset, first_index) < (generation, offset, `index`) AS earlier, count() OVER ()
FROM (SELECT * FROM duplicate_events FINAL WHERE {dropped}) AS dropped
LEFT ANY JOIN (
    SELECT namespace, source, idempotency_key, 1 AS found, generation AS first_generation, partition AS first_partition,
        offset AS first_offset, `index` AS first_index
    FROM usage_events FINAL
    WHERE {own} AND (generation, partition, offset, `index`) IN (SELECT {first} FROM duplicate_events WHERE {dropped})
) AS event USING (first_generation, first_partition, first_offset, first_index)
WHERE NOT (found AND same AND earlier)
LIMIT {{room:UInt32}}"""

# The table is sorted by identity, so the groups are formed in order, one at a time.
_TWICE_SQL: Final = """
SELECT hex(identity), toString(namespace), toUnixTimestamp64Milli(append_time), generation, partition, offset, `index`,
    idempotency_key, batch.catalog_offset
FROM usage_events FINAL
LEFT ANY JOIN (SELECT generation, partition, offset, catalog_offset FROM usage_batches FINAL WHERE {own}) AS batch
USING (generation, partition, offset)
WHERE {metered} AND identity IN (
    SELECT identity FROM usage_identities FINAL WHERE {durable} GROUP BY identity HAVING count() > 1
    SETTINGS optimize_aggregation_in_order = 1
)
ORDER BY identity, generation, offset, `index`"""

_REMEDY: Final = "this must never happen; keep the topic and report it with both positions"


def check_duplicates(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Every duplicate points at a counted event of the same identity; no identity counted twice within its window."""
    on_progress("duplicates", 0, 2)
    rows = scope.rows(
        _DROPPED_SQL.format(own=scope.of_namespace, dropped=scope.metered, first=_FIRST),
        {"room": max(findings.room, 1)},
    )
    for row in rows:
        where = f"duplicate_events {row[0]} at {position_text(*row[1:5])}"
        first_position = position_text(*row[5:9])
        if not row[9]:
            found_text = f"no counted event at {first_position}"
        elif not row[10]:
            found_text = f"another event at {first_position}"
        else:
            found_text = f"the later position {first_position}"
        findings.add("duplicate", where, "an earlier counted event of the same identity", found_text, _REMEDY)
    if rows:
        findings.add_more(int(rows[0][-1]) - len(rows))
    on_progress("duplicates", 1, 2)
    _counted_twice(scope, findings)
    on_progress("duplicates", 2, 2)


def _counted_twice(scope: Scope, findings: Findings) -> None:
    previous: tuple[str, int, str] | None = None
    for name, namespace, ms, generation, partition, offset, index, key, catalog_offset in scope.rows(
        _TWICE_SQL.format(own=scope.of_namespace, metered=scope.metered, durable=scope.durable)
    ):
        position = position_text(generation, partition, offset, index)
        if previous is not None and previous[0] == name:
            window = _window_us(scope, namespace, int(catalog_offset))
            apart = (int(ms) - previous[1]) * 1000
            if window is None or apart < window:
                lasts = "for ever" if window is None else f"for {window // SECOND} s"
                findings.add(
                    "counted twice",
                    f"{namespace} idempotency key {key} at {previous[2]} and at {position}",
                    f"one counted copy {lasts}",
                    f"a second one at {rfc3339(int(ms) * 1000)}",
                    _REMEDY,
                )
        previous = (str(name), int(ms), position)


def _window_us(scope: Scope, namespace: str, catalog_offset: int) -> int | None:
    """W of DESIGN invariant 4: age + skew + a day of margin; None: for ever."""
    settings = scope.catalog.view(namespace, catalog_offset).settings
    if settings.max_event_age_seconds is None:
        return None
    return (settings.max_event_age_seconds + settings.max_event_skew_seconds) * SECOND + DAY
