"""The copy of usage.alerts in ClickHouse (migration 042), for lists and messages. Blocking."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from clickhouse_connect.driver.client import Client

from rating.alerts.alert_ledger import AppendedAlert
from schemas.clickhouse.copy_progress import read_copied, write_copied
from schemas.kafka.topics import ALERTS, EVENTS_PREFIX
from schemas.ledgers.alert_record import Alert, AlertKey
from schemas.ledgers.generations import Offsets, written_offsets
from schemas.values.instants import rfc3339
from schemas.values.json_text import JsonObject

_EVALUATED: Final = f"{ALERTS} of {EVENTS_PREFIX}"
"""Begins what stands for a topic in the progress of evaluation; the generation follows."""
_INSTANT: Final = pa.timestamp("us", "UTC")
_COLUMNS: Final = (
    "namespace, toUnixTimestamp64Micro(appended_at) AS appended_us, alert_id, version, episode, state, rule,"
    " rule_version, account_id, subscription, measure, metric, toUnixTimestamp64Micro(period_start) AS start_us,"
    " toUnixTimestamp64Micro(period_end) AS end_us, threshold, `limit`, direction, value,"
    " toUnixTimestamp64Micro(as_of) AS as_of_us, checkpoint, catalog_offset, generations, partitions, next_offsets,"
    " body"
)
AlertPlace = tuple[int, str, int]
"""(append time in microseconds UTC, alert id, version): where an alert stands in lists."""


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert as stored. ``appended_us``: microseconds UTC."""

    alert: Alert
    appended_us: int

    @property
    def place(self) -> AlertPlace:
        """Where it stands in lists."""
        return self.appended_us, self.alert.key.alert_id, self.alert.version

    def to_json(self) -> JsonObject:
        """As API and messages show it."""
        alert, key = self.alert, self.alert.key
        without_period = alert.measure in ("balance", "entitlement")
        return {
            "alert_id": key.alert_id,
            "version": alert.version,
            "state": alert.state,
            "episode": alert.episode,
            "at": rfc3339(self.appended_us),
            "rule": key.rule,
            "rule_version": alert.rule_version,
            "account_id": key.account_id,
            "subscription": key.subscription or None,
            "measure": alert.measure,
            "metric": alert.metric if alert.measure in ("usage", "anomaly") else None,
            "feature": alert.metric if alert.measure == "entitlement" else None,
            "currency": alert.metric if alert.measure in ("spend", "balance") else None,
            "period_start": None if without_period else rfc3339(key.period_start_us),
            "period_end": None if without_period else rfc3339(alert.period_end_us),
            "direction": alert.direction,
            "threshold": key.threshold,
            "limit": alert.limit,
            "value": alert.value or None,
            "anomaly": {"kind": key.threshold} | json.loads(alert.body) if alert.measure == "anomaly" else None,
            "as_of": {
                "instant": rfc3339(alert.as_of_us),
                "checkpoint": alert.checkpoint or None,
                "catalog_offset": alert.catalog_offset,
                "offsets": written_offsets(alert.offsets),
            },
        }


@dataclass(frozen=True, slots=True)
class AlertCriteria:
    """Which alerts of a namespace are listed: those of which everything that is given holds. ``open_only``: the newest
    version of each alert, where it fired and its period has not ended by ``now_us``. ``after``: the last one of the
    page before. ``kind``: of an anomaly."""

    namespace: str
    account_id: str | None = None
    subscription: str | None = None
    rule: str | None = None
    measure: str | None = None
    metric: str | None = None
    kind: str | None = None
    state: str | None = None
    since_us: int | None = None
    open_only: bool = False
    now_us: int = 0
    after: AlertPlace | None = None
    limit: int = 50


def write_alerts(client: Client, alerts: Sequence[AppendedAlert]) -> None:
    """Insert valid records; durable on return. Written again, they are the same rows."""
    if alerts:
        client.insert_arrow("usage_alerts", _table(alerts))


def list_alerts(client: Client, criteria: AlertCriteria) -> list[StoredAlert]:
    """The newest first."""
    conditions = ["namespace = {namespace:String}"]
    parameters: dict[str, Any] = {"namespace": criteria.namespace, "limit": criteria.limit}
    for name in ("account_id", "subscription", "rule", "measure", "metric", "kind"):
        if (value := getattr(criteria, name)) is not None:
            conditions.append(f"{'threshold' if name == 'kind' else name} = {{{name}:String}}")
            parameters[name] = value
    if criteria.since_us is not None:
        conditions.append("appended_at >= fromUnixTimestamp64Micro({since:Int64}, 'UTC')")
        parameters["since"] = criteria.since_us
    table = f"SELECT {_COLUMNS} FROM usage_alerts FINAL WHERE {' AND '.join(conditions)}"
    if criteria.open_only:
        newest = f"{table} ORDER BY version DESC LIMIT 1 BY alert_id"
        table = f"SELECT * FROM ({newest}) WHERE state = 'fired' AND (end_us = 0 OR end_us > {{now:Int64}})"
        parameters["now"] = criteria.now_us
    outer: list[str] = []
    if criteria.state is not None:
        outer.append("state = {state:String}")
        parameters["state"] = criteria.state
    if criteria.after is not None:
        outer.append("(appended_us, alert_id, version) < ({at:Int64}, {id:String}, {version:UInt32})")
        parameters |= dict(zip(("at", "id", "version"), criteria.after, strict=True))
    where = f" WHERE {' AND '.join(outer)}" if outer else ""
    order = " ORDER BY appended_us DESC, alert_id DESC, version DESC LIMIT {limit:UInt32}"
    rows = client.query(f"SELECT * FROM ({table}){where}{order}", parameters=parameters).result_rows
    return [_stored(row) for row in rows]


def read_alerts(client: Client, namespace: str, places: Iterable[AlertPlace]) -> dict[tuple[str, int], StoredAlert]:
    """(alert id, version) → those alerts that are stored there."""
    instants, ids, _ = zip(*places, strict=True)
    rows = client.query(
        f"SELECT {_COLUMNS} FROM usage_alerts FINAL WHERE namespace = {{namespace:String}}"
        " AND appended_at IN (SELECT fromUnixTimestamp64Micro(arrayJoin({instants:Array(Int64)}), 'UTC'))"
        " AND alert_id IN {ids:Array(String)}",
        parameters={"namespace": namespace, "instants": sorted(set(instants)), "ids": sorted(set(ids))},
    ).result_rows
    stored = [_stored(row) for row in rows]
    return {(alert.alert.key.alert_id, alert.alert.version): alert for alert in stored}


def alerts_since(client: Client, namespace: str, since_us: int, alert_id: str | None = None) -> list[StoredAlert]:
    """Those that were appended at or after an instant (microseconds UTC), the oldest first; all, or one alert's
    versions."""
    of_alert = "" if alert_id is None else " AND alert_id = {alert_id:String}"
    rows = client.query(
        f"SELECT {_COLUMNS} FROM usage_alerts FINAL WHERE namespace = {{namespace:String}}"
        f" AND appended_at >= fromUnixTimestamp64Micro({{since:Int64}}, 'UTC'){of_alert}"
        " ORDER BY appended_us, alert_id, version",
        parameters={"namespace": namespace, "since": since_us} | ({} if alert_id is None else {"alert_id": alert_id}),
    ).result_rows
    return [_stored(row) for row in rows]


def copied_positions(client: Client) -> dict[int, int]:
    """Partition of usage.alerts → next offset below which every valid record is stored, and its messages are queued."""
    return read_copied(client, ALERTS)


def write_positions(client: Client, positions: Mapping[int, int]) -> None:
    """Write such positions."""
    write_copied(client, {(ALERTS, partition): end for partition, end in positions.items()})


def evaluated_offsets(client: Client) -> dict[tuple[int, int], int]:
    """(generation, partition) → next offset of usage.events below which all usage was looked at; empty: never."""
    rows = client.query(
        "SELECT topic, partition, max(next_offset) FROM copy_progress WHERE startsWith(topic, {prefix:String})"
        " GROUP BY topic, partition",
        parameters={"prefix": _EVALUATED},
    ).result_rows
    return {(int(topic.removeprefix(_EVALUATED)), int(number)): int(offset) for topic, number, offset in rows}


def write_evaluated(client: Client, offsets: Offsets) -> None:
    """Write such offsets. Without the newest, usage is looked at again."""
    topics = {(f"{_EVALUATED}{generation}", partition): end for (generation, partition), end in offsets.items()}
    write_copied(client, topics)


def _stored(row: Sequence[Any]) -> StoredAlert:
    (
        namespace, appended_us, _, _, episode, state, rule, rule_version, account_id, subscription, measure, metric,
        start_us, end_us, threshold, limit, direction, value, as_of_us, checkpoint, catalog_offset,
        generations, partitions, next_offsets, body,
    ) = row  # fmt: skip
    places = zip(map(int, generations), map(int, partitions), strict=True)
    offsets = dict(zip(places, map(int, next_offsets), strict=True))
    key = AlertKey(str(namespace), str(rule), str(account_id), str(subscription), int(start_us), str(threshold))
    alert = Alert(
        key, int(episode), state, int(rule_version), str(measure), str(metric), int(end_us), str(limit),
        str(direction), str(value), int(as_of_us), int(checkpoint), int(catalog_offset), offsets, str(body),
    )  # fmt: skip
    return StoredAlert(alert, int(appended_us))


def _table(appended: Sequence[AppendedAlert]) -> pa.Table:
    alerts = [record.alert for record in appended]
    keys = [alert.key for alert in alerts]
    places = [sorted(alert.offsets.items()) for alert in alerts]
    columns: dict[str, tuple[list[Any], pa.DataType]] = {
        "namespace": ([key.namespace for key in keys], pa.string()),
        "appended_at": ([record.appended_us for record in appended], _INSTANT),
        "alert_id": ([key.alert_id for key in keys], pa.string()),
        "version": ([alert.version for alert in alerts], pa.uint32()),
        "rule": ([key.rule for key in keys], pa.string()),
        "account_id": ([key.account_id for key in keys], pa.string()),
        "subscription": ([key.subscription for key in keys], pa.string()),
        "period_start": ([key.period_start_us for key in keys], _INSTANT),
        "period_end": ([alert.period_end_us for alert in alerts], _INSTANT),
        "threshold": ([key.threshold for key in keys], pa.string()),
        "as_of": ([alert.as_of_us for alert in alerts], _INSTANT),
        "generations": ([[generation for (generation, _), _ in of] for of in places], pa.list_(pa.uint32())),
        "partitions": ([[partition for (_, partition), _ in of] for of in places], pa.list_(pa.uint32())),
        "next_offsets": ([[end for _, end in of] for of in places], pa.list_(pa.uint64())),
    }
    for name in ("state", "measure", "metric", "limit", "direction", "value", "body"):
        columns[name] = [getattr(alert, name) for alert in alerts], pa.string()
    for name in ("episode", "rule_version", "checkpoint"):
        columns[name] = [getattr(alert, name) for alert in alerts], pa.uint32()
    columns["catalog_offset"] = [alert.catalog_offset for alert in alerts], pa.uint64()
    return pa.table({name: pa.array(values, kind) for name, (values, kind) in columns.items()})
