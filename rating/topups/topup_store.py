"""The copy of usage.topups in ClickHouse (migration 051), for lists and messages. Blocking."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from rating.topups.topup_ledger import AppendedTopup
from schemas.catalog.prepaid.topup_record import TopupRecord
from schemas.clickhouse.copy_progress import read_copied, write_copied
from schemas.kafka.topics import TOPUPS
from schemas.ledgers.generations import written_offsets
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject

_INSTANT: Final = pa.timestamp("us", "UTC")
_TEXTS: Final = (
    "namespace", "topup_id", "account_id", "currency", "state", "amount", "cost", "cost_currency", "floor", "target",
    "balance", "reference",
)  # fmt: skip
_NUMBERS: Final = ("version", "number", "checkpoint")
_COLUMNS: Final = (
    "namespace, account_id, currency, version, number, state, amount, cost, cost_currency, `floor`, target, balance,"
    " toUnixTimestamp64Micro(as_of) AS as_of_us, checkpoint, catalog_offset, generations, partitions, next_offsets,"
    " reference, toUnixTimestamp64Micro(appended_at) AS appended_us, topup_id"
)
TopupPlace = tuple[int, str]
"""(instant of the balance that it was requested of, microseconds UTC; top-up id): where a top-up stands in lists."""


@dataclass(frozen=True, slots=True)
class StoredTopup:
    """A record as stored. ``appended_us``: microseconds UTC."""

    record: TopupRecord
    appended_us: int

    @property
    def place(self) -> TopupPlace:
        """Where it stands in lists."""
        return self.record.as_of, self.record.topup_id

    def to_json(self) -> JsonObject:
        """As API and messages show it."""
        record = self.record
        return {
            "topup_id": record.topup_id,
            "account_id": record.account_id,
            "currency": record.currency,
            "number": record.number,
            "version": record.version,
            "state": record.state,
            "at": rfc3339(self.appended_us),
            "amount": record.amount,
            "cost": record.cost,
            "cost_currency": record.cost_currency,
            "floor": record.floor,
            "target": record.target,
            "balance": record.balance,
            "reference": record.reference or None,
            "credit_grant": record.topup_id if record.state == "paid" else None,
            "as_of": {
                "instant": rfc3339(record.as_of),
                "checkpoint": record.checkpoint or None,
                "catalog_offset": record.catalog_offset,
                "offsets": written_offsets(record.offsets),
            },
        }


@dataclass(frozen=True, slots=True)
class TopupCriteria:
    """Which top-ups of an account are listed. ``after``: the last one of the page before."""

    namespace: str
    account_id: str
    state: str | None = None
    after: TopupPlace | None = None
    limit: int = 50


def write_topups(client: Client, topups: Sequence[AppendedTopup]) -> None:
    """Insert valid records; durable on return. Written again, they are the same rows."""
    if topups:
        client.insert_arrow("usage_topups", _table(topups))


def list_topups(client: Client, criteria: TopupCriteria) -> list[StoredTopup]:
    """Each by its newest record, the newest request first."""
    parameters: dict[str, Any] = {
        "namespace": criteria.namespace, "account": criteria.account_id, "limit": criteria.limit
    }  # fmt: skip
    newest = (
        f"SELECT {_COLUMNS} FROM usage_topups FINAL WHERE namespace = {{namespace:String}}"
        " AND account_id = {account:String} ORDER BY version DESC LIMIT 1 BY topup_id"
    )
    conditions: list[str] = []
    if criteria.state is not None:
        conditions.append("state = {state:String}")
        parameters["state"] = criteria.state
    if criteria.after is not None:
        conditions.append("(as_of_us, topup_id) < ({at:Int64}, {id:String})")
        parameters |= dict(zip(("at", "id"), criteria.after, strict=True))
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    order = " ORDER BY as_of_us DESC, topup_id DESC LIMIT {limit:UInt32}"
    rows = client.query(f"SELECT * FROM ({newest}){where}{order}", parameters=parameters).result_rows
    return [_stored(row) for row in rows]


def read_topups(
    client: Client, namespace: str, versions: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], StoredTopup]:
    """(top-up id, version) → those records that are stored."""
    ids, _ = zip(*versions, strict=True)
    rows = client.query(
        f"SELECT {_COLUMNS} FROM usage_topups FINAL WHERE namespace = {{namespace:String}}"
        " AND topup_id IN {ids:Array(String)}",
        parameters={"namespace": namespace, "ids": sorted(set(ids))},
    ).result_rows
    stored = [_stored(row) for row in rows]
    return {(topup.record.topup_id, topup.record.version): topup for topup in stored}


def copied_positions(client: Client) -> dict[int, int]:
    """Partition of usage.topups → next offset below which every valid record is stored, paid ones are granted, and
    messages are queued."""
    return read_copied(client, TOPUPS)


def write_positions(client: Client, positions: Mapping[int, int]) -> None:
    """Write such positions."""
    write_copied(client, {(TOPUPS, partition): end for partition, end in positions.items()})


def _stored(row: Sequence[Any]) -> StoredTopup:
    (
        namespace, account_id, currency, version, number, state, amount, cost, cost_currency, floor, target, balance,
        as_of_us, checkpoint, catalog_offset, generations, partitions, next_offsets, reference, appended_us, _,
    ) = row  # fmt: skip
    places = zip(map(int, generations), map(int, partitions), strict=True)
    record = TopupRecord(
        str(namespace), str(account_id), str(currency), int(version), int(number), state, str(amount), str(cost),
        str(cost_currency), str(floor), str(target), str(balance), int(as_of_us), int(checkpoint), int(catalog_offset),
        dict(zip(places, map(int, next_offsets), strict=True)), str(reference),
    )  # fmt: skip
    return StoredTopup(record, int(appended_us))


def _table(appended: Sequence[AppendedTopup]) -> pa.Table:
    records = [topup.record for topup in appended]
    places = [sorted(record.offsets.items()) for record in records]
    columns: dict[str, pa.Array] = {
        name: pa.array([getattr(record, name) for record in records], pa.string()) for name in _TEXTS
    }
    for name in _NUMBERS:
        columns[name] = pa.array([getattr(record, name) for record in records], pa.uint32())
    columns["catalog_offset"] = pa.array([record.catalog_offset for record in records], pa.uint64())
    columns["as_of"] = pa.array([record.as_of for record in records], _INSTANT)
    columns["appended_at"] = pa.array([topup.appended_us for topup in appended], _INSTANT)
    columns["generations"] = pa.array(
        [[generation for (generation, _), _ in of] for of in places], pa.list_(pa.uint32())
    )
    columns["partitions"] = pa.array([[partition for (_, partition), _ in of] for of in places], pa.list_(pa.uint32()))
    columns["next_offsets"] = pa.array([[end for _, end in of] for of in places], pa.list_(pa.uint64()))
    return pa.table(columns)
