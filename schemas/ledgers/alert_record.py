"""Records of usage.alerts: an alert fired or recovered. The first valid record wins (``first_valid``).

An alert is a threshold of a rule for one subject (an account or a subscription) in one period. Its versions alternate:
1 fired (episode 1), 2 recovered, 3 fired (episode 2), … A record is valid only if its version follows, so whoever
writes a version that stands already, or has missed one, has written nothing. So is a record of a period that ended long
before the record was appended.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import msgspec

from schemas.kafka.codec import CodecError, codec
from schemas.ledgers.first_valid import Claim, FirstValid
from schemas.ledgers.folds.fold_row import Row
from schemas.ledgers.generations import Offsets, offsets_of, written_offsets
from schemas.values.deterministic_ids import deterministic_id

AlertState = Literal["fired", "recovered"]
_codec = codec("usage_alert")
ALERT_PREFIX: Final = "alr_"
"""Begins every alert's id."""
_STATES: Final = ("fired", "recovered")
DAY_US: Final = 86_400_000_000
EVALUATED_DAYS: Final = 100
"""A period is evaluated until so long after its end, whatever comes late."""
REMEMBERED_DAYS: Final = EVALUATED_DAYS + 10
"""Records of a period that ended longer ago are void. So nothing of it need be remembered: what is held grows with the
alerts of these days, and of balances, not with the log."""
ROWS_VERSION: Final = 1
"""Of the rows of ``ValidAlerts``. Another one wherever they change, or what they mean."""


@dataclass(frozen=True, slots=True)
class _Row:
    """An alert that is remembered; ``ended_day``: as in ``ValidAlerts``, None where it is remembered for ever."""

    version: int
    ended_day: int | None


@dataclass(frozen=True, slots=True)
class _Known:
    """What is remembered beside alerts, as in ``ValidAlerts``."""

    clock_us: int
    offsets: dict[tuple[int, int], int]
    catalog_offsets: dict[str, int]
    of_day: dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class AlertKey:
    """What an alert is of. ``subscription``: "" where the account is watched; ``period_start_us``: microseconds UTC, 0
    for a balance; ``threshold``: as in the rule."""

    namespace: str
    rule: str
    account_id: str
    subscription: str
    period_start_us: int
    threshold: str

    @property
    def alert_id(self) -> str:
        """A deterministic id, equal in all processes: ``alr_`` and 24 hexadecimal digits."""
        parts = (self.rule, self.account_id, self.subscription, str(self.period_start_us), self.threshold)
        return deterministic_id(ALERT_PREFIX, self.namespace, *parts)


@dataclass(frozen=True, slots=True)
class Alert:
    """One record. ``value``, ``limit``: decimals as text, in units of the profile or of the currency ``metric``.
    Instants: microseconds UTC."""

    key: AlertKey
    episode: int
    state: AlertState
    rule_version: int
    measure: str
    metric: str
    period_end_us: int
    limit: str
    direction: str
    value: str
    as_of_us: int
    checkpoint: int
    catalog_offset: int
    offsets: Offsets
    body: str = "{}"
    """JSON text: of an anomaly, the numbers by which it is one"""

    @property
    def version(self) -> int:
        """1, 2, …: odd where it fired."""
        return 2 * self.episode - (self.state == "fired")

    @property
    def message_id(self) -> str:
        """The header webhook-id of its message."""
        return f"{self.key.alert_id}_v{self.version}"

    def encode(self, claim_id: str) -> bytes:
        """The record's bytes; ``claim_id``: who wrote it."""
        record = asdict(self) | {
            "namespace": self.key.namespace, "alert_id": self.key.alert_id, "rule": self.key.rule,
            "account_id": self.key.account_id, "subscription": self.key.subscription,
            "period_start": self.key.period_start_us, "period_end": self.period_end_us,
            "threshold": self.key.threshold, "as_of": self.as_of_us, "body": self.body, "claim_id": claim_id,
            "offsets": written_offsets(self.offsets),
        }  # fmt: skip
        return _codec.encode(record)


def alert_of(record: Mapping[str, Any]) -> Alert:
    """The alert of a decoded record. Raises ValueError where its id is not that of what it names."""
    key = AlertKey(
        record["namespace"], record["rule"], record["account_id"], record["subscription"], record["period_start"],
        record["threshold"],
    )  # fmt: skip
    if record["alert_id"] != key.alert_id or record["state"] not in _STATES or record["episode"] < 1:
        raise ValueError(f"{record['alert_id'][:40]!r} is no alert of what the record names")
    return Alert(
        key, record["episode"], record["state"], record["rule_version"], record["measure"], record["metric"],
        record["period_end"], record["limit"], record["direction"], record["value"], record["as_of"],
        record["checkpoint"], record["catalog_offset"], offsets_of(record), record["body"],
    )  # fmt: skip


class ValidAlerts:
    """The fold of usage.alerts: which records are valid. Records of an alert must be applied in log order."""

    def __init__(self) -> None:
        self._versions: dict[Hashable, int] = {}
        self._valid = FirstValid(self._versions)
        self.offsets: dict[tuple[int, int], int] = {}
        """(generation, partition) → the furthest position that a valid record counted."""
        self._catalog_offsets: dict[str, int] = {}
        self._clock_us = 0
        self._ended: dict[int, list[str]] = {}  # day (since 1970, UTC) in which the period ended → alerts
        self._of_day: dict[str, tuple[int, int]] = {}  # namespace → (day of its newest valid record, records in it)

    def __len__(self) -> int:
        """Alerts that are remembered."""
        return len(self._versions)

    def rows(self) -> Iterator[Row]:
        """Those of its file."""
        encode = msgspec.msgpack.encode
        yield "log", b"", encode(_Known(self._clock_us, self.offsets, self._catalog_offsets, self._of_day))
        days = {alert_id: day for day, ended in self._ended.items() for alert_id in ended}
        for alert_id, version in self._versions.items():
            yield "alert", str(alert_id).encode(), encode(_Row(version, days.get(str(alert_id))))

    @classmethod
    def of_rows(cls, rows: Iterable[Row]) -> ValidAlerts:
        """What goes on as that with these rows would. Raises ValueError (msgspec's errors are) where they are none."""
        valid, known = cls(), None
        decode = msgspec.msgpack.Decoder(_Row).decode
        for part, key, value in rows:
            if part == "log":
                known = msgspec.msgpack.decode(value, type=_Known)
                continue
            row, alert_id = decode(value), key.decode()
            valid._versions[alert_id] = row.version
            if row.ended_day is not None:
                valid._ended.setdefault(row.ended_day, []).append(alert_id)
        if known is None:
            raise ValueError("what is remembered beside alerts is missing")
        valid._clock_us, valid.offsets = known.clock_us, known.offsets
        valid._catalog_offsets, valid._of_day = known.catalog_offsets, known.of_day
        return valid

    def apply(self, alert: Alert, append_us: int = 0) -> bool:
        """Whether the next record is valid. ``append_us``: its append time, microseconds UTC; the latest one so far is
        the time by which all followers forget the same."""
        self._pass(append_us)
        alert_id, end_us, namespace = alert.key.alert_id, alert.period_end_us, alert.key.namespace
        if end_us and end_us // DAY_US < self._clock_us // DAY_US - REMEMBERED_DAYS:
            return False
        if not self._valid.offer(Claim(alert_id, alert.version)):
            return False
        if end_us and alert.version == 1:
            self._ended.setdefault(end_us // DAY_US, []).append(alert_id)
        for partition, end in alert.offsets.items():
            self.offsets[partition] = max(end, self.offsets.get(partition, 0))
        known = self._catalog_offsets.get(namespace, 0)
        self._catalog_offsets[namespace] = max(alert.catalog_offset, known)
        day = self._clock_us // DAY_US
        self._of_day[namespace] = day, self.number_on(namespace, day) + 1
        return True

    def _pass(self, append_us: int) -> None:
        """Time passes to that of a record; alerts of periods that ended long before are forgotten."""
        today, self._clock_us = self._clock_us // DAY_US, max(append_us, self._clock_us)
        if self._clock_us // DAY_US > today:
            for day in [day for day in self._ended if day < self._clock_us // DAY_US - REMEMBERED_DAYS]:
                for alert_id in self._ended.pop(day):
                    self._versions.pop(alert_id, None)

    def number_on(self, namespace: str, day: int) -> int:
        """Valid records of the namespace that were appended on a day (since 1970, UTC): that of its newest one, or a
        later one."""
        newest, number = self._of_day.get(namespace, (0, 0))
        return number if newest >= day else 0

    def apply_bytes(self, value: bytes, append_us: int = 0) -> Alert | None:
        """``apply`` on a record's bytes; None where it is void, as foreign bytes are."""
        try:
            alert = alert_of(_codec.decode(value))
        except (CodecError, ValueError):
            return None
        return alert if self.apply(alert, append_us) else None

    def version(self, alert_id: str) -> int:
        """The alert's present version; 0: it never fired."""
        return self._valid.version(alert_id)

    def catalog_offset(self, namespace: str) -> int:
        """The furthest catalog offset by which a valid record of the namespace was made: who knows less of the catalog
        has other rules and prices, and cannot judge."""
        return self._catalog_offsets.get(namespace, 0)

    def covers(self, offsets: Offsets) -> bool:
        """Whether some record counted events that lie at or beyond ``offsets``: what is measured there is too old to
        judge by."""
        return any(end > offsets.get(partition, 0) for partition, end in self.offsets.items())
