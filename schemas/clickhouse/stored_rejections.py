"""Rejections as ClickHouse has them (``rejected_events``), with what became of each in a replay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from clickhouse_connect.driver.client import Client

from schemas.clickhouse.binder import Binder
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject

REPLAY: Final = "replay"
"""The stage of the records that mark a rejection as replayed."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row of rejected_events.

    ``received_us``: original arrival, microseconds UTC. ``replayed``: result of an earlier replay, "" if none.
    ``original_size``: size in bytes of the complete original if only its beginning is stored, else -1.
    """

    rejection_id: bytes
    namespace: str
    stage: str
    reason: str
    detail: str
    events: int
    account_id: str
    event_name: str
    idempotency_key: str
    original: bytes
    origin_topic: str
    origin_partition: int
    origin_offset: int
    received_us: int
    replayed: str = ""
    original_size: int = -1
    original_hash: str = ""

    @property
    def place(self) -> RejectionPlace:
        """Its place in the order of lists."""
        return self.received_us, self.rejection_id

    def to_json(self) -> JsonObject:
        """Ready for json.dumps: its bytes as text if they are UTF-8, else in hexadecimal."""
        try:
            original = {"original": self.original.decode()}
        except UnicodeDecodeError:
            original = {"original_hex": self.original.hex()}
        return {
            "id": self.rejection_id.hex(), "namespace": self.namespace, "stage": self.stage, "reason": self.reason,
            "detail": self.detail, "events": self.events, "account_id": self.account_id, "event_name": self.event_name,
            "idempotency_key": self.idempotency_key, "received_at": rfc3339(self.received_us),
            "replayed": self.replayed,
            **({"original_size": self.original_size} if self.original_size >= 0 else {}),
        } | original  # fmt: skip


RejectionPlace = tuple[int, bytes]
"""(original arrival in microseconds UTC, id): lists have the newest arrival first, and ids of one instant in order."""


@dataclass(frozen=True, slots=True)
class RejectionCriteria:
    """Criteria of the rejections to read; empty or None matches any. ``since_us``: arrived at or after this instant
    (microseconds UTC). ``of_nobody``: also undecodable records, which belong to no namespace and may hold anybody's
    bytes. ``after``: those that come after this place. At most ``limit``, newest first."""

    namespace: str
    ids: tuple[bytes, ...] = ()
    reason: str = ""
    stage: str = ""
    since_us: int | None = None
    replayed_too: bool = False
    limit: int = 100
    of_nobody: bool = True
    after: RejectionPlace | None = None


def matching_rejections(client: Client, criteria: RejectionCriteria) -> list[Rejection]:
    """Matching rejections, newest first. Blocking."""
    bind = Binder()
    namespaces = [criteria.namespace, *([""] if criteria.of_nobody else [])]
    in_namespace = f"namespace IN {bind('namespaces', 'Array(String)', namespaces)}"
    conditions = [in_namespace, f"stage != '{REPLAY}'"]
    if criteria.ids:
        ids = bind("ids", "Array(String)", [rejection_id.hex().upper() for rejection_id in criteria.ids])
        conditions.append(f"hex(rejection_id) IN {ids}")
    if criteria.reason:
        conditions.append(f"reason = {bind('reason', 'String', criteria.reason)}")
    if criteria.stage:
        conditions.append(f"stage = {bind('stage', 'String', criteria.stage)}")
    if criteria.since_us is not None:
        conditions.append(f"received_at >= {bind.instant('since', criteria.since_us)}")
    if criteria.after is not None:
        received = bind.instant("after", criteria.after[0])
        after_id = bind("after_id", "String", criteria.after[1].hex().upper())
        conditions.append(f"(received_at < {received} OR received_at = {received} AND hex(rejection_id) > {after_id})")
    if not criteria.replayed_too:
        conditions.append("replayed = ''")
    rows = client.query(
        "SELECT hex(rejection_id), namespace, toString(stage), toString(reason), detail, events, account_id,"
        " event_name, idempotency_key, hex(original), origin_topic, origin_partition, origin_offset, received_at,"
        " replays.told AS replayed, original_size, original_hash"
        " FROM rejected_events AS rejections FINAL LEFT ANY JOIN ("
        f"SELECT rejection_id, detail AS told FROM rejected_events FINAL WHERE {in_namespace} AND stage = '{REPLAY}'"
        f") AS replays USING (rejection_id) WHERE {' AND '.join(conditions)}"
        f" ORDER BY received_at DESC, rejection_id LIMIT {bind('limit', 'UInt64', criteria.limit)}",
        parameters=bind.parameters,
    ).result_rows
    return [
        Rejection(
            bytes.fromhex(row[0]), row[1], row[2], row[3], row[4], int(row[5]), row[6], row[7], row[8],
            bytes.fromhex(row[9]), row[10], int(row[11]), int(row[12]), micros(row[13]), row[14],
            int(row[15]), row[16],
        )
        for row in rows
    ]  # fmt: skip
