"""The verdict: what ClickHouse and the usage API say against what the producers know and what the log holds."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx

from rating.books import read_books
from rating.verify.verification import verify
from schemas.clickhouse.client import connect
from schemas.events.batch import decode_batch
from schemas.events.voids import is_void
from schemas.kafka.topics import events_topic
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings
from tests.chaos.alert_audit import AlertVerdict, audit_alerts
from tests.chaos.fold import METRICS, Totals, fold
from tests.chaos.traffic import Identity, Sent


@dataclass(slots=True)
class Verdict:
    """``lost`` and ``double`` count events; the others are sentences, none where all is well."""

    events: int = 0
    copies: int = 0
    duplicates: int = 0
    conflicts: int = 0
    lost: int = 0
    double: int = 0
    foreign: int = 0
    totals: int = 0
    voided: int = 0
    differences: list[str] = field(default_factory=list)
    imbalances: list[str] = field(default_factory=list)
    verify: list[str] = field(default_factory=list)
    alerts: AlertVerdict = field(default_factory=AlertVerdict)

    @property
    def clean(self) -> bool:
        """Whether every promise was kept."""
        wrong = self.differences or self.imbalances or self.verify or self.alerts.wrong
        return not (self.lost or self.double or self.foreign or wrong)


def missing(settings: Settings, events: dict[Identity, Sent]) -> int:
    """How many of the events are not counted (yet). Raises what ClickHouse's client raises."""
    counted = _counted(settings)
    return sum(1 for identity in events if identity not in counted)


def audit(settings: Settings, events: dict[Identity, Sent], voided: set[Identity], rating: str, key: str) -> Verdict:
    """Compare everything, once all of it is metered. ``voided``: events that must not be in any total."""
    verdict = Verdict(events=len(events), voided=len(voided))
    counted = _counted(settings)
    verdict.lost = sum(1 for identity in events if identity not in counted)
    verdict.double = sum(rows - 1 for identity, rows in counted.items() if identity in events)
    log = _log(settings)
    verdict.foreign = sum(1 for identity in counted if identity not in log)
    for namespace in sorted({identity.namespace for identity in events}):
        verdict.imbalances += _books(settings, namespace, log, voided, verdict)
    expected = fold(
        event for event in events.values() if event.event_name in ("call", "ping") and event.identity not in voided
    )
    found = _totals(sorted({identity.namespace for identity in events}), rating, key, events)
    verdict.totals = len(expected)
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            verdict.differences.append(f"{'/'.join(name)}: sent {expected.get(name)}, metered {found.get(name)}")
    verdict.alerts = audit_alerts(settings, events, voided)
    verdict.verify = [str(found) for found in verify(settings, namespace=None)]
    return verdict


def _counted(settings: Settings) -> Counter[Identity]:
    client = connect(settings)
    try:
        rows = client.query(
            "SELECT toString(namespace), toString(source), idempotency_key, count() FROM usage_events "
            "FINAL GROUP BY 1, 2, 3"
        ).result_rows
    finally:
        client.close()
    return Counter({Identity(namespace, source, key): count for namespace, source, key, count in rows})


def _log(settings: Settings) -> dict[Identity, list[tuple[str, str, str]]]:
    """Every copy in usage.events by identity: name, account and canonical properties, in log order."""
    copies: dict[Identity, list[tuple[str, str, str]]] = {}
    with LedgerReader(settings, events_topic(settings.generation)) as reader:
        for record in reader.read_to(reader.end_offsets()):
            if is_void(record.value):
                continue  # no event
            batch = decode_batch(record.value)
            for index in range(batch.size):
                identity = Identity(batch.namespace, batch.sources[index], batch.idempotency_keys[index])
                text = json.dumps(json.loads(batch.properties[index], parse_float=str), sort_keys=True)
                copies.setdefault(identity, []).append((batch.event_name(index), batch.account_ids[index], text))
    return copies


def _books(
    settings: Settings, namespace: str, log: dict[Identity, list[tuple[str, str, str]]], voided: set[Identity],
    verdict: Verdict
) -> list[str]:  # fmt: skip
    client = connect(settings)
    try:
        books = read_books(client, namespace)
    finally:
        client.close()
    mine = [copies for identity, copies in log.items() if identity.namespace == namespace]
    same = sum(copies.count(copies[0]) - 1 for copies in mine)
    expected = {
        "refused": 0,
        "accepted": sum(map(len, mine)),
        "metered": sum(1 for copies in mine if copies[0][0] in ("call", "ping")),
        "unmatched": sum(1 for copies in mine if copies[0][0] not in ("call", "ping")),
        "voided": sum(
            1 for identity in voided if identity.namespace == namespace and log[identity][0][0] in ("call", "ping")
        ),
        "duplicates": same,
        "conflicts": sum(map(len, mine)) - len(mine) - same,
    }
    verdict.copies += expected["accepted"]
    verdict.duplicates += expected["duplicates"]
    verdict.conflicts += expected["conflicts"]
    shown = books.to_json()
    wrong = [
        f"{namespace}: {name} is {shown[name]}, the log says {value}"
        for name, value in expected.items()
        if shown[name] != value
    ]
    return wrong if books.balanced else [*wrong, f"{namespace}: the books do not balance: {shown}"]


def _totals(namespaces: list[str], rating: str, key: str, events: dict[Identity, Sent]) -> Totals:
    totals: Totals = {}
    stamps = [event.timestamp for event in events.values()]
    span = {"from": _instant(min(stamps)), "to": _instant(max(stamps) + timedelta(seconds=1))} if stamps else {}
    with httpx.Client(base_url=rating, headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
        for namespace in namespaces:
            for metric in METRICS:
                by = "account,to.region" if metric == "call.abroad" else "account"
                answer = client.get(
                    "/v1/usage", params=span | {"metric": metric, "group_by": by}, headers={"Weir-Namespace": namespace}
                )
                answer.raise_for_status()
                for row in answer.json()["rows"]:
                    totals[namespace, metric, _row_name(row)] = Decimal(row["quantity"])
    return totals


def _row_name(row: dict[str, Any]) -> str:
    regions = list(row.get("dimensions", {}).values())
    return "/".join([row["account_id"], *regions])


def _instant(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
