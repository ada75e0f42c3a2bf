"""Alerts against an independent fold of what was acknowledged: each crossing fired once, and what a void took back
recovered. Which records of usage.alerts are valid is worked out here anew."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from schemas.clickhouse.client import connect
from schemas.kafka.codec import codec
from schemas.kafka.topics import ALERTS
from schemas.ledgers.ledger_reader import LedgerReader
from schemas.settings import Settings
from tests.chaos.traffic import ACCOUNTS, SWINGING, Identity, Sent

DAILY: Final = (5, 20, 60)
YEARLY: Final = (10, 50, 200)
RULES: Final[dict[str, Any]] = {
    "accounts": [{"code": code} for code in (SWINGING, *(f"acct_{number}" for number in range(ACCOUNTS)))],
    "alert_rules": [
        {"code": "daily", "measure": "usage", "profile": "call.count", "interval": "day", "thresholds": list(DAILY)},
        {
            "code": "yearly", "measure": "usage", "profile": "call.count_unique", "interval": "year",
            "thresholds": list(YEARLY),
        },
    ],
}  # fmt: skip
_EVALUATED: Final = timedelta(days=100)


class Place(NamedTuple):
    """What an alert is of; ``start_us``: of the period, microseconds UTC."""

    namespace: str
    rule: str
    account: str
    start_us: int
    threshold: int


@dataclass(slots=True)
class Crossing:
    """Whether the threshold is passed in the end; ``ever``: with what was voided; ``voids``: events of the period."""

    passed: bool
    ever: bool
    voids: int


@dataclass(slots=True)
class AlertVerdict:
    """``fired``, ``recovered`` and ``anew`` (fired once more) count valid records; ``wrong`` are sentences."""

    fired: int = 0
    recovered: int = 0
    anew: int = 0
    wrong: list[str] = field(default_factory=list)


def crossings(events: Iterable[Sent], voided: set[Identity], now: datetime) -> dict[Place, Crossing]:
    """Every threshold of every period that is evaluated at ``now``."""
    periods: dict[tuple[str, str, str, datetime, datetime], list[Sent]] = {}
    for event in events:
        if event.event_name != "call":
            continue
        day = event.timestamp.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        year = day.replace(month=1, day=1)
        for rule, start, end in (
            ("daily", day, day + timedelta(days=1)), ("yearly", year, year.replace(year=year.year + 1)),
        ):  # fmt: skip
            if end + _EVALUATED > now:
                place = event.identity.namespace, rule, event.account, start, end
                periods.setdefault(place, []).append(event)
    expected: dict[Place, Crossing] = {}
    for (namespace, rule, account, start, _), group in periods.items():
        live = [event for event in group if event.identity not in voided]
        values = [len({event.value for event in each}) if rule == "yearly" else len(each) for each in (live, group)]
        for threshold in YEARLY if rule == "yearly" else DAILY:
            place = Place(namespace, rule, account, int(start.timestamp()) * 1_000_000, threshold)
            expected[place] = Crossing(values[0] >= threshold, values[1] >= threshold, len(group) - len(live))
    return expected


def wrong_alerts(expected: dict[Place, Crossing], fired: dict[Place, int]) -> list[str]:
    """What is wrong with the alerts. ``fired``: place → the version that stands: odd ones fired, 1 + 2 × (episode − 1),
    even ones recovered."""
    wrong: list[str] = []
    for place in sorted(expected.keys() | fired.keys()):
        crossing, version = expected.get(place, Crossing(False, False, 0)), fired.get(place, 0)
        # What was taken back before anybody looked was no crossing; without voids it fires once, and stays.
        most = int(crossing.ever) + 2 * crossing.voids
        if version % 2 != crossing.passed or version > most or (version and not crossing.ever):
            passed = "is passed" if crossing.passed else "is not passed"
            wrong.append(
                f"{'/'.join(map(str, place))}: version {version}, the threshold {passed}, {crossing.voids} voids"
            )
    return wrong


def audit_alerts(settings: Settings, events: dict[Identity, Sent], voided: set[Identity]) -> AlertVerdict:
    """Compare usage.alerts, and its copy in ClickHouse, with the fold."""
    verdict = AlertVerdict()
    versions: dict[str, int] = {}
    places: dict[str, Place] = {}
    valid: set[tuple[str, int]] = set()
    decode = codec("usage_alert").decode
    with LedgerReader(settings, ALERTS) as reader:
        for record in reader.read_to(reader.end_offsets()):
            alert = decode(record.value)
            alert_id, version = alert["alert_id"], 2 * alert["episode"] - (alert["state"] == "fired")
            if version != versions.get(alert_id, 0) + 1:
                continue  # somebody was before it
            versions[alert_id] = version
            valid.add((alert_id, version))
            place = Place(
                alert["namespace"], alert["rule"], alert["account_id"], alert["period_start"], int(alert["threshold"])
            )
            if places.setdefault(alert_id, place) != place:
                verdict.wrong.append(f"{alert_id} is of {place} and of {places[alert_id]}")
    verdict.fired = sum(version % 2 for _, version in valid)
    verdict.recovered = len(valid) - verdict.fired
    verdict.anew = sum(version % 2 for _, version in valid if version > 1)
    expected = crossings(events.values(), voided, datetime.now(UTC))
    verdict.wrong += wrong_alerts(expected, {places[alert_id]: version for alert_id, version in versions.items()})
    client = connect(settings)
    try:
        rows = client.query("SELECT alert_id, version FROM usage_alerts FINAL").result_rows
    finally:
        client.close()
    copied = [(str(alert_id), int(version)) for alert_id, version in rows]
    if sorted(copied) != sorted(valid):
        verdict.wrong.append(f"the copy has {len(copied)} alerts, the log {len(valid)}: not the same")
    return verdict
