"""``doctor``: why an account's usage of a metric is what it is. Reads what is stored, explains event by event, writes
nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import KafkaException

from rating.backfill_status import read_backfills
from rating.doctor.diagnosis import BillingStatus, Diagnosis, Example, Group, Outside, RefusedEvents
from rating.doctor.without_price import without_price
from rating.invoices.billed_so_far import billed_until
from rating.periods import Interval
from rating.subscriptions.timeline import timelines
from rating.usage import UsageQuery, measured, usage_totals
from rating.usage.render import Binder, considered
from rating.usage.void_conditions import standing
from schemas.catalog.backfill_jobs import jobs
from schemas.catalog.follower import read_catalog
from schemas.catalog.models import Product
from schemas.catalog.profiles import BEGINNING, FOREVER, ProfileVersion, profile_versions, resolve
from schemas.catalog.state import Catalog, NamespaceView
from schemas.clickhouse.client import connect
from schemas.event_schema.filled import NO_DEFAULTS, Defaults
from schemas.events.event_types import EventTypes, event_types
from schemas.filters import MISSING, lookup
from schemas.ledgers.checkpoints import read_progress
from schemas.ledgers.transport import LedgerUnavailable
from schemas.matching.rules import Matcher, failing_filter
from schemas.settings import Settings
from schemas.usage_log.generation_change import end_offsets
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import canonical, exact
from schemas.values.quantity import is_rounded
from schemas.values.suggestions import NAMES, similar

EXAMINED: Final = 50_000
_EXAMPLES: Final = 3
_MAX_NAMES: Final = 2000

_OURS: Final = "namespace = {n:String} AND account_id = {account:String}"
_NAMED: Final = f"{_OURS} AND event_name IN {{names:Array(String)}}"
_AT: Final = "toUnixTimestamp64Micro(timestamp)"
_WITHIN: Final = f"{_AT} >= {{start:Int64}} AND {_AT} < {{end:Int64}}"

_STANDING: Final = standing(["namespace = {n:String}", "account_id = {account:String}"], "")
_VOIDED: Final = f"""
SELECT reason, author, count(), argMin(idempotency_key, timestamp), toUnixTimestamp64Micro(min(timestamp)),
    toUnixTimestamp64Milli(min(void_append_time))
FROM voided_events FINAL WHERE {_NAMED} AND {_WITHIN}
GROUP BY reason, author ORDER BY count() DESC, reason, author LIMIT 20"""

_COUNTS: Final = f"""
SELECT countIf({_WITHIN}), countIf({_WITHIN} AND {{matched}} AND {_STANDING}),
    countIf({_AT} < {{start:Int64}}), maxIf({_AT}, {_AT} < {{start:Int64}}),
    countIf({_AT} >= {{end:Int64}}), minIf({_AT}, {_AT} >= {{end:Int64}})
FROM usage_events FINAL WHERE {_NAMED}"""
_POSITION: Final = "(generation, partition, offset, `index`)"
_MATCHED: Final = "has(match_profile_ids, {profile:String})"
_UNMATCHED: Final = f"""
SELECT idempotency_key, {_AT}, properties, event_name,
    unmeterable_reasons[indexOf(unmeterable_profile_ids, {{profile:String}})], batches.catalog_offset
FROM (
    SELECT * FROM usage_events FINAL WHERE {_NAMED} AND {_WITHIN} AND NOT {{matched}} AND {_STANDING}
    ORDER BY timestamp DESC LIMIT {EXAMINED}
) AS events
LEFT ANY JOIN (SELECT generation, partition, offset, catalog_offset FROM usage_batches FINAL
    WHERE namespace = {{n:String}}) AS batches
USING (generation, partition, offset)
ORDER BY timestamp, idempotency_key"""
_FINE: Final = f"""
SELECT idempotency_key, {_AT}, properties FROM usage_events FINAL
WHERE {_NAMED} AND {_WITHIN} AND {{matched}} AND {_STANDING} AND match(properties, '[.][0-9]{{13}}|[eE]-')
ORDER BY timestamp DESC, idempotency_key LIMIT {EXAMINED}"""


def diagnose(settings: Settings, namespace: str, account_id: str, metric: str, *, interval: Interval) -> Diagnosis:
    """What became of the account's events for ``metric`` (meter.profile, or meter alone where it has one profile).

    ``interval`` is of event time, half-open, UTC. Raises LookupError, naming what exists, for an unknown metric;
    LedgerUnavailable where Kafka does not answer. Blocking.
    """
    catalog = read_catalog(settings)
    view = catalog.view(namespace)
    versions = resolve(view, metric)
    client = connect(settings)
    try:
        return _Examination(client, catalog, view, versions, account_id, interval).diagnosis(_waiting(settings, client))
    finally:
        client.close()


def _waiting(settings: Settings, client: Any) -> int:
    """Records of usage.events that are not metered yet; 0 where the log's end is not known."""
    try:
        ends = end_offsets(settings)
    except (LedgerUnavailable, KafkaException):
        return 0
    progress = read_progress(client)
    return sum(max(0, end - progress.get(key, 0)) for key, end in ends.items())


class _Examination:
    def __init__(
        self, client: Any, catalog: Catalog, view: NamespaceView, versions: tuple[ProfileVersion, ...], account_id: str, interval: Interval
    ) -> None:  # fmt: skip
        self._client = client
        self._catalog = catalog
        self._view = view
        self._versions = versions
        self._account = account_id
        self._interval = interval
        self._start, self._end = micros(interval.start), micros(interval.end)
        self._profile = versions[-1].profile_id
        self._names = tuple(dict.fromkeys(version.event_name for version in reversed(versions)))
        self._jobs = jobs(view)
        self._at_offset: dict[int, tuple[ProfileVersion, ...]] = {}

    def _rows(self, sql: str, **more: Any) -> Sequence[Sequence[Any]]:
        parameters = {
            "n": self._view.namespace, "account": self._account, "names": list(self._names), "profile": self._profile,
            "start": self._start, "end": self._end,
        }  # fmt: skip
        found: Sequence[Sequence[Any]] = self._client.query(sql, parameters=parameters | more).result_rows
        return found

    def diagnosis(self, waiting: int) -> Diagnosis:
        profile = measured(self._versions, self._start, self._end)
        query = UsageQuery(self._view.namespace, profile, self._start, self._end, accounts=(self._account,))
        condition, more = _MATCHED, {}
        if profile.backfilled:  # what the meter matched may be replaced, and what it did not be backfilled
            bind = Binder()
            counting = " AND ".join(considered(query, bind))
            condition, more = (
                f"{_POSITION} IN (SELECT {_POSITION} FROM usage_records FINAL WHERE {counting})",
                bind.parameters,
            )
        counts, unmatched, fine = (sql.replace("{matched}", condition) for sql in (_COUNTS, _UNMATCHED, _FINE))
        received, matched, before, last_before, after, first_after = map(int, self._rows(counts, **more)[0])
        groups = _Groups()
        examined = 0
        for key, stamp, properties, name, reason, catalog_offset in self._rows(unmatched, **more):
            examined += 1
            kind, why, value = self._fate(int(stamp), properties, name, reason, int(catalog_offset))
            groups.add(kind, why, Example(key, rfc3339(int(stamp)), value))
        path = self._versions[-1].property or ()
        if path and profile.aggregation != "count_unique":
            for key, stamp, properties in self._rows(fine, **more):
                if is_rounded(lookup(_parsed(properties), path)):
                    groups.add(
                        "rounded", f"at {'.'.join(path)}", Example(key, rfc3339(int(stamp)), _value(properties, path))
                    )
        voided, taken_back = self._voided()
        ((duplicates,),) = self._rows(f"SELECT count() FROM duplicate_events FINAL WHERE {_NAMED} AND {_WITHIN}")
        others = self._other_names()
        (total,) = usage_totals(self._client, query)
        return Diagnosis(
            namespace=self._view.namespace, account_id=self._account, profile_id=self._profile, event_names=self._names,
            interval=self._interval, aggregation=profile.aggregation, quantity=total.usage.quantity,
            received=received, matched=matched, filtered=groups.of("filtered"), unmeterable=groups.of("unmeterable"),
            not_valid=groups.of("not_valid"), too_early=groups.of("too_early"),
            unexamined=max(0, received - matched - examined - taken_back), duplicates=int(duplicates), rejections=self._rejections(),
            outside=Outside(
                before, rfc3339(last_before) if before else "", after, rfc3339(first_after) if after else ""
            ),
            other_names=others, similar_names=similar([name for name, _ in others], self._names),
            similar_accounts=() if received or others else self._similar_accounts(), billing=self._billing(), waiting=waiting, voided=voided,
            rounded=groups.of("rounded"),
            backfilling=self._backfilling(),
        )  # fmt: skip

    def _fate(self, stamp: int, properties: str, name: str, reason: str, catalog_offset: int) -> tuple[str, str, str]:
        """(kind, why, the value in question) of an event that has no record of this profile."""
        if reason:
            path = self._versions[-1].property or ()
            filled = self._types(catalog_offset).defaults(name)
            return "unmeterable", f"{reason} at {'.'.join(path)}", _value(properties, path, filled)
        versions = self._at(catalog_offset)
        backfilled = [
            version
            for job in self._jobs
            for version in job.versions
            if version.profile_id == self._profile and job.done and catalog_offset < job.known_from
            and stamp >= job.start_us
        ]  # fmt: skip
        versions = (*backfilled[-1:], *versions)
        if not versions:
            return "too_early", self._profile, ""
        for version in versions:
            if version.event_name == name and version.valid_from_us <= stamp < version.valid_to_us:
                filled = self._types(catalog_offset).defaults(name)
                refused = failing_filter(version, _parsed(properties), filled)
                if (
                    refused is None
                    and version in backfilled
                    and (lost := _unmeterable(version, name, stamp, properties, filled))
                ):
                    path = version.property or ()
                    return "unmeterable", f"{lost} at {'.'.join(path)}", _value(properties, path)
                if refused is None:
                    return "not_valid", "though it would match today; `weir verify` compares what is stored", ""
                value = "" if refused.value is None or refused.operator == "exists" else f" {_wanted(refused.value)}"
                why = f"{'.'.join(refused.property)} {refused.operator}{value}"
                return (
                    "filtered",
                    why,
                    f"{'.'.join(refused.property)} {_value(properties, refused.property, filled) or 'missing'}",
                )
        return "not_valid", f"valid {'; '.join(map(_span, versions))}", ""

    def _backfilling(self) -> str:
        """A sentence about a version of the profile that is still to count older events of the interval; "" for
        none."""
        if not any(version.waits() and (version.backfill_from_us or 0) < self._end for version in self._versions):
            return ""
        found = [
            one
            for one in read_backfills(self._client, self._view)
            if one.state != "done" and any(version.profile_id == self._profile for version in one.job.versions)
        ]
        return found[0].sentence() if found else ""

    def _at(self, catalog_offset: int) -> tuple[ProfileVersion, ...]:
        """The profile's versions as the batch's catalog knew them."""
        if catalog_offset not in self._at_offset:
            view = self._catalog.view(self._view.namespace, catalog_offset)
            self._at_offset[catalog_offset] = tuple(
                version for version in profile_versions(view) if version.profile_id == self._profile
            )
        return self._at_offset[catalog_offset]

    def _types(self, catalog_offset: int) -> EventTypes:
        """The event types as the batch's catalog knew them."""
        return event_types(self._catalog.view(self._view.namespace, catalog_offset))

    def _voided(self) -> tuple[tuple[Group, ...], int]:
        """Voided events by reason and author, and how many they are in all."""
        groups = []
        for reason, author, count, key, first_us, voided_ms in self._rows(_VOIDED):
            why = f"{reason!r}, by {author} at {rfc3339(int(voided_ms) * 1000)}"
            groups.append(Group(why, int(count), (Example(key, rfc3339(int(first_us)), ""),)))
        ((total,),) = self._rows(f"SELECT count() FROM voided_events FINAL WHERE {_NAMED} AND {_WITHIN}")
        return tuple(groups), int(total)

    def _rejections(self) -> tuple[RefusedEvents, ...]:
        rows = self._rows(
            f"SELECT toString(stage), toString(reason), sum(events) AS count, argMax(detail, received_at)"
            f" FROM rejected_events FINAL WHERE {_OURS} AND stage != 'replay' AND rejection_id NOT IN"
            " (SELECT rejection_id FROM rejected_events WHERE namespace = {n:String} AND stage = 'replay')"
            f" GROUP BY stage, reason HAVING count > 0 ORDER BY count DESC, stage, reason LIMIT 10"
        )
        return tuple(RefusedEvents(stage, reason, int(count), detail) for stage, reason, count, detail in rows)

    def _other_names(self) -> tuple[tuple[str, int], ...]:
        rows = self._rows(
            f"SELECT toString(event_name), count() AS events FROM usage_events FINAL"
            f" WHERE {_OURS} AND NOT has({{names:Array(String)}}, event_name) GROUP BY event_name ORDER BY events DESC LIMIT 20"
        )
        return tuple((str(name), int(count)) for name, count in rows)

    def _similar_accounts(self) -> tuple[str, ...]:
        rows = self._rows(
            "SELECT DISTINCT account_id FROM usage_events WHERE namespace = {n:String}"
            f" ORDER BY editDistanceUTF8(account_id, {{account:String}}) LIMIT {NAMES * 3}"
        )
        known = [entry.code for entry in self._view.all("account")]
        names = dict.fromkeys([str(row[0]) for row in rows] + known[:_MAX_NAMES])
        return similar([name for name in names if name != self._account], (self._account,))

    def _billing(self) -> BillingStatus:
        subscriptions: list[str] = []
        charges: list[str] = []
        unpriced: list[str] = []
        billed = billed_until(self._client, self._view.namespace, self._account)
        for line in timelines(self._view, []):
            if line.account_id != self._account:
                continue
            found = [one for one in line.segments if one.start_us < self._end and one.end_us > self._start]
            subscriptions.extend(f"subscription {line.subscription}" for _ in found[:1])
            for segment in found:
                for charge in segment.plan.charges:
                    product = self._view.get("product", charge.product)
                    if product is not None and self._bills(product.model):
                        charges.append(
                            f"charge {charge.key} of plan {segment.plan.code} by subscription {line.subscription}"
                        )
                        lacking = without_price(
                            self._client, self._view, line, segment, charge, self._versions, (self._start, self._end),
                            billed.get(line.subscription),
                        )  # fmt: skip
                        unpriced += (one.sentence() for one in lacking)
        known = self._view.get("account", self._account) is not None
        return BillingStatus(known, tuple(subscriptions), tuple(dict.fromkeys(charges)), tuple(dict.fromkeys(unpriced)))

    def _bills(self, product: Product) -> bool:
        return product.profile is not None and product.profile in (self._profile, self._versions[-1].meter)


class _Groups:
    """Events by fate, with a few examples of each."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], tuple[int, tuple[Example, ...]]] = {}

    def add(self, kind: str, why: str, example: Example) -> None:
        count, examples = self._found.get((kind, why), (0, ()))
        kept = examples if len(examples) >= _EXAMPLES else (*examples, example)
        self._found[kind, why] = (count + 1, kept)

    def of(self, kind: str) -> tuple[Group, ...]:
        """The largest first."""
        found = [Group(why, *some) for (one, why), some in self._found.items() if one == kind]
        return tuple(sorted(found, key=lambda group: (-group.events, group.why)))


def _parsed(properties: str) -> Any:
    try:
        return exact(properties)
    except ValueError:
        return {}  # written past acceptance


def _value(properties: str, path: tuple[str, ...], defaults: Defaults = NO_DEFAULTS) -> str:
    """The JSON text at a path, cut to a readable length, or the default in its place; empty for neither."""
    value = lookup(_parsed(properties), path)
    if value is not MISSING:
        return canonical(value)[:80]
    filled = defaults.getter(path)(_parsed(properties)) if path else MISSING
    return "" if filled is MISSING else f"{canonical(filled)[:80]} (left out; the schema's default)"


def _unmeterable(version: ProfileVersion, name: str, stamp: int, properties: str, defaults: Defaults) -> str:
    """Why a version cannot take its value from an event that passes its filters; "" where it can."""
    try:
        lost = (
            Matcher.of((version,), defaults, exactly=not version.rounds).match(name, stamp, "", properties).unmeterable
        )
    except ValueError:
        return "malformed"  # written past acceptance
    return lost[0][1] if lost else ""


def _wanted(value: Any) -> str:
    """A filter's value as people write it; its numbers may be floats, which canonical text refuses."""
    return json.dumps(value, ensure_ascii=False)[:200]


def _span(version: ProfileVersion) -> str:
    start = "the beginning" if version.valid_from_us == BEGINNING else rfc3339(version.valid_from_us)
    end = "on" if version.valid_to_us == FOREVER else f"to {rfc3339(version.valid_to_us)}"
    return f"from {start} {end}"
