"""Events that a gateway with a wrong clock dated: those without a timestamp whose date is far from their append
time."""

from __future__ import annotations

import shlex
from typing import Final

from rating.verify.difference import Findings, VerifyProgress
from rating.verify.records import position_text
from rating.verify.scope import Scope
from schemas.clickhouse.positions import EVENT
from schemas.kafka.clock import TOLERANCE_US, words
from schemas.values.instants import SECOND, rfc3339

NAME: Final = "dates given by gateways"
_APART: Final = "toUnixTimestamp64Micro(timestamp) - toUnixTimestamp64Milli(append_time) * 1000"
_SQL: Final = f"""
SELECT toString(namespace), account_id, toString(event_name), idempotency_key, toString(source),
    toUnixTimestamp64Micro(timestamp),
    toUnixTimestamp64Milli(append_time) * 1000, generation, partition, offset, `index`, count() OVER ()
FROM usage_events FINAL
WHERE {{metered}} AND dated AND ({_APART} > {TOLERANCE_US} OR {_APART} < -{{behind}})
    AND {EVENT} NOT IN (SELECT {EVENT} FROM voided_events WHERE {{own}})
ORDER BY append_time, generation, partition, offset, `index`
LIMIT {{{{room:UInt32}}}}"""


def check_misdated(scope: Scope, findings: Findings, on_progress: VerifyProgress) -> None:
    """Each of them with its key, the two instants, and how to date it rightly. Voided ones are done with."""
    on_progress(NAME, 0, 1)
    # An accepted event waits for Kafka so long at most: a date that is less behind its append time may be right.
    behind = scope.settings.delivery_seconds * SECOND + TOLERANCE_US
    sql = _SQL.format(metered=scope.metered, own=scope.of_namespace, behind=behind)
    rows = scope.rows(sql, {"room": max(findings.room, 1)})
    for namespace, account, name, key, source, us, append_us, *position, _ in rows:
        where = f"{namespace} event {key!r} ({name} of {account}) at {position_text(*position)}"
        right = rfc3339(int(append_us))
        found_text = f"{rfc3339(int(us))}, by a gateway whose clock was {words(int(us) - int(append_us))}"
        of_source = f" --source {shlex.quote(source)}" if source else ""
        command = f"weir correct {shlex.quote(key)}{of_source} -n {namespace} --event FILE --reason clock"
        remedy = f'write {{"timestamp": "{right}"}} to a file and `{command}`'
        findings.add("dated", where, f"about {right}, when it was appended", found_text, remedy)
    if rows:
        findings.add_more(int(rows[0][-1]) - len(rows))
    on_progress(NAME, 1, 1)
