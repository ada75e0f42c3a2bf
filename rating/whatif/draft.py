"""A draft meter tried on past events before it is published: what would match, and what it would come to. Reads only.

Events are those that counted, as the journal has them; they are matched by the code that meters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from clickhouse_connect.driver.client import Client

from rating.explain.recomputed import plain_or_none
from rating.periods import Interval
from rating.pricing import plain
from rating.usage import UsageGroup, UsageQuery, measured, usage_totals
from rating.usage.void_conditions import not_voided
from rating.verify.independent.event_totals import EventMeasure, Fold
from schemas.catalog.meters import ZERO_WITHOUT_USAGE, Aggregation, Meter
from schemas.catalog.profiles import ProfileVersion, profile_versions
from schemas.catalog.state import Catalog, NamespaceView, record_of
from schemas.clickhouse.binder import Binder
from schemas.errors import WeirError
from schemas.events.event_types import DefaultsByOffset
from schemas.matching.rules import Match
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.quantity import unscaled

TrialProgress = Callable[[str, int, int], None]
_DIGITS: Final = 60
_AT_ONCE: Final = 1_000  # events matched between two steps of progress, at which the work may be ended


class TooManyEvents(WeirError, ValueError):
    """More events than may be looked at; the message says how many there are."""


@dataclass(slots=True)
class Tried:
    """One profile of the draft. ``unmeterable``: reason → events that passed its filters without a usable value."""

    version: ProfileVersion
    matched: int = 0
    unmeterable: Counter[str] = field(default_factory=Counter)
    accounts: dict[str, Fold] = field(default_factory=dict)
    everything: Fold = field(default_factory=Fold)
    current: UsageGroup | None = None

    def take(self, account_id: str, us: int, match: Match) -> None:
        """Count one match of an event at ``us`` (microseconds UTC)."""
        self.matched += 1
        measure = EventMeasure(unscaled(match.units), match.unique_value, match.unique_value or None, {})
        self.accounts.setdefault(account_id, Fold()).add(us, measure)
        self.everything.add(us, measure)

    def to_json(self, events: int, limit: int) -> JsonObject:
        """Ready for json.dumps; ``events``: how many were looked at."""
        aggregation = self.version.aggregation
        ranked = sorted(
            ((name, fold, fold.quantity(aggregation)) for name, fold in self.accounts.items()),
            key=lambda total: (-total[2], total[0]),
        )
        now = None if self.current is None else self.current.usage
        return {
            "profile": self.version.profile_id,
            "aggregation": aggregation,
            "unit": self.version.unit,
            "matched": self.matched,
            "unmeterable": dict(sorted(self.unmeterable.items())),
            "not_matched": events - self.matched - self.unmeterable.total(),
            "quantity": _quantity(self.everything, aggregation),
            "current": None if now is None else {"quantity": plain_or_none(now.quantity), "events": now.events},
            "accounts": [
                {"account_id": name, "events": fold.events, "quantity": _decimal_text(quantity)}
                for name, fold, quantity in ranked[:limit]
            ],
            "accounts_left_out": max(0, len(ranked) - limit),
        }


@dataclass(frozen=True, slots=True)
class MeterTrial:
    """A draft meter tried on past events. ``events``: counted events of the meter's event name in the interval, without
    voided ones."""

    interval: Interval
    event_name: str
    events: int
    profiles: tuple[Tried, ...]

    def to_json(self, limit: int = 1000) -> JsonObject:
        """Ready for json.dumps."""
        return {
            "from": rfc3339(micros(self.interval.start)),
            "to": rfc3339(micros(self.interval.end)),
            "event_name": self.event_name,
            "events": self.events,
            "profiles": [profile.to_json(self.events, limit) for profile in self.profiles],
        }


def draft_versions(namespace: str, meter: Meter) -> tuple[ProfileVersion, ...]:
    """The versions that the meter would bring, valid at all times."""
    catalog = Catalog()
    catalog.apply(record_of(namespace, meter, kind="meter", version=1, author="", claim_id=""), 0, 0)
    return profile_versions(catalog.view(namespace))


def try_meter(
    client: Client,
    view: NamespaceView,
    meter: Meter,
    interval: Interval,
    *,
    account_id: str | None = None,
    at_most: int | None = None,
    on_progress: TrialProgress = lambda *_: None,
) -> MeterTrial:
    """What the draft makes of the events in ``interval``, by event time. Raises TooManyEvents beyond ``at_most``.
    Blocking."""
    versions = draft_versions(view.namespace, meter)
    name = versions[0].event_name
    bind = Binder()
    conditions = [
        f"namespace = {bind('namespace', 'String', view.namespace)}",
        f"event_name = {bind('name', 'String', name)}",
        f"timestamp >= {bind.instant('start', micros(interval.start))}",
        f"timestamp < {bind.instant('end', micros(interval.end))}",
    ]
    if account_id is not None:
        conditions.append(f"account_id = {bind('account', 'String', account_id)}")
    conditions.append(not_voided(conditions[:1], ""))
    where = " AND ".join(conditions)
    ((total,),) = client.query(
        f"SELECT count() FROM usage_events FINAL WHERE {where}", parameters=bind.parameters
    ).result_rows
    if at_most is not None and total > at_most:
        raise TooManyEvents(
            f"holds {total} events, and at most {at_most} are tried at once; ask for a shorter one, or one account"
        )
    profiles = {version.profile_id: Tried(version) for version in versions}
    defaults = DefaultsByOffset(view, name)
    matcher_at = defaults.matchers(versions)
    done = 0
    for block in _blocks(client, _events_sql(where, conditions[0], with_offsets=defaults.any), bind.parameters):
        for account, us, key, properties, catalog_offset in block:
            try:
                outcome = matcher_at(int(catalog_offset)).match(name, us, key, properties)
            except ValueError:
                continue  # written past acceptance: it would give no usage
            for match in outcome.matches:
                profiles[match.profile_id].take(account, us, match)
            for profile_id, reason in outcome.unmeterable:
                profiles[profile_id].unmeterable[reason] += 1
        done += len(block)
        on_progress("trying", done, int(total))
    for profile in profiles.values():
        profile.current = _current(client, view, profile.version.profile_id, interval, account_id)
    return MeterTrial(interval, name, int(total), tuple(profiles.values()))


def _events_sql(where: str, of_namespace: str, *, with_offsets: bool) -> str:
    """Account, time, key, properties, and the catalog offset of the batch, 0 where nothing depends on it."""
    columns = "account_id, toUnixTimestamp64Micro(timestamp), idempotency_key, properties"
    if not with_offsets:
        return f"SELECT {columns}, 0 FROM usage_events FINAL WHERE {where}"
    return (
        f"SELECT {columns}, batches.catalog_offset"
        f" FROM (SELECT * FROM usage_events FINAL WHERE {where}) AS counted LEFT ANY JOIN"
        f" (SELECT generation, partition, offset, catalog_offset FROM usage_batches WHERE {of_namespace}) AS batches"
        " USING (generation, partition, offset)"
    )


def _blocks(client: Client, sql: str, parameters: JsonObject) -> Iterator[Sequence[Sequence[Any]]]:
    with client.query_row_block_stream(sql, parameters=parameters) as stream:
        for block in stream:
            for start in range(0, len(block), _AT_ONCE):
                yield block[start : start + _AT_ONCE]


def _current(
    client: Client, view: NamespaceView, profile_id: str, interval: Interval, account_id: str | None
) -> UsageGroup | None:
    """What the published profile of the same name measures, None where there is none."""
    versions = [version for version in profile_versions(view) if version.profile_id == profile_id]
    if not versions:
        return None
    start, end = micros(interval.start), micros(interval.end)
    accounts = None if account_id is None else (account_id,)
    query = UsageQuery(view.namespace, measured(versions, start, end), start, end, accounts=accounts)
    return usage_totals(client, query)[0]


def _quantity(fold: Fold, aggregation: Aggregation) -> str | None:
    return (
        None if not fold.events and aggregation not in ZERO_WITHOUT_USAGE else _decimal_text(fold.quantity(aggregation))
    )


def _decimal_text(number: Fraction) -> str:
    scaled = number * 10**_DIGITS
    return plain(Decimal(scaled.numerator).scaleb(-_DIGITS))
