"""What the writers of usage.events say that they acknowledged, against what its log gave: records that the log has lost show here."""

from __future__ import annotations

import time
from typing import Any, Final

from rating.evidence.difference import Findings, Progress
from rating.evidence.scope import Scope

NAME: Final = "acknowledged events"
_CURSORS: Final = (
    "SELECT generation, partition, max(next_offset) AS cursor FROM usage_progress GROUP BY generation, partition"
)
# Of each writer its greatest count that lies below the cursor; of a generation that is over, its last one: what it says above was lost.
_SQL: Final = f"""
SELECT namespace, sum(acknowledged), sum(accepted), sum(given_up) FROM (
    SELECT namespace, max(counts.events) AS acknowledged, 0 AS accepted, 0 AS given_up FROM (
        SELECT writer, toString(namespace) AS namespace, generation, partition, next_offset, events FROM acknowledged_events
        WHERE ({{n:String}} = '' OR namespace = {{n:String}})
    ) AS counts LEFT JOIN ({_CURSORS}) AS cursors USING (generation, partition)
    WHERE counts.next_offset <= cursors.cursor OR (generation = {{g:UInt32}} AND partition = {{p:UInt32}} AND counts.next_offset <= {{e:UInt64}})
        OR generation < (SELECT max(generation) FROM usage_progress)
    GROUP BY writer, namespace, generation, partition
    UNION ALL
    SELECT toString(namespace), 0, sum(events), 0 FROM usage_batches FINAL
    WHERE ({{n:String}} = '' OR namespace = {{n:String}}) GROUP BY namespace
    UNION ALL
    SELECT toString(namespace), 0, 0, sum(events) FROM usage_given_up FINAL
    WHERE ({{n:String}} = '' OR namespace = {{n:String}}) GROUP BY namespace
) WHERE namespace != '' GROUP BY namespace ORDER BY namespace"""

REMEDY: Final = (
    "look for the lost part of the log (a backup of Kafka) and send those events again; `weir log give-up` names them as lost, and the books"
    " balance"
)


def lost(
    client: Any, namespace: str | None, *, assumed: tuple[int, int, int] = (0, 0, 0)
) -> dict[str, tuple[int, int]]:
    """Namespace → (acknowledged events that are not in the log and were not given up, given up). Blocking. ``assumed``: (generation,
    partition, cursor) as it will be."""
    generation, partition, cursor = assumed
    parameters = {"n": namespace or "", "g": generation, "p": partition, "e": cursor}
    rows = client.query(_SQL, parameters=parameters).result_rows
    return {
        str(name): (max(0, int(acknowledged) - int(accepted) - int(given)), int(given))
        for name, acknowledged, accepted, given in rows
    }


def check_acknowledged(scope: Scope, findings: Findings, on_progress: Progress) -> None:
    """Nothing is missing of what gateways, admission and commands acknowledged, by their own count."""
    on_progress(NAME, 0, 1)
    found = lost(scope.client, scope.namespace)
    if any(missing for missing, _ in found.values()):
        time.sleep(1.0)  # rows that were written while they were counted
        found = lost(scope.client, scope.namespace)
    for name, (missing, _) in found.items():
        if missing:
            findings.add(
                "acknowledged",
                f"namespace {name}",
                "every event that was acknowledged",
                f"{missing} are not in the log",
                REMEDY,
            )
    on_progress(NAME, 1, 1)
