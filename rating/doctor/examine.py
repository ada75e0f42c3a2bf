"""``doctor``: why an account's usage of a metric is what it is. Reads what is stored, explains event by event, writes
nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from clickhouse_connect.driver.client import Client
from confluent_kafka import KafkaException

from rating.backfill_status import read_backfills
from rating.doctor.diagnosis import BillingStatus, Diagnosis, ExampleEvent, Group, Outside, RefusedEvents
from rating.doctor.fates import FateGroups, Fates, UnmatchedEvent, parsed, value_text
from rating.doctor.without_price import SubscribedCharge, without_price
from rating.invoices.billed_so_far import billed_until
from rating.periods import Interval
from rating.subscriptions.shared_timelines import timelines
from rating.usage import UsageQuery, measured, usage_totals
from rating.usage.usage_conditions import conditions_with_voided
from rating.usage.void_conditions import not_voided
from rating.verify.scope import Row
from schemas.catalog.models import Product
from schemas.catalog.profiles import ProfileVersion, resolve
from schemas.catalog.state import Catalog, NamespaceView
from schemas.clickhouse.binder import Binder
from schemas.clickhouse.positions import EVENT
from schemas.filters import lookup
from schemas.ledgers.checkpoints import read_progress
from schemas.ledgers.errors import LedgerUnavailable
from schemas.settings import Settings
from schemas.usage_log.generation_change import end_offsets
from schemas.values.instants import micros, rfc3339
from schemas.values.json_text import JsonObject
from schemas.values.quantity import is_rounded
from schemas.values.suggestions import NAMES, similar

EXAMINED: Final = 50_000
_EXAMPLES: Final = 3
_MAX_NAMES: Final = 2000

_OURS: Final = "namespace = {n:String} AND account_id = {account:String}"
_NAMED: Final = f"{_OURS} AND event_name IN {{names:Array(String)}}"
_AT: Final = "toUnixTimestamp64Micro(timestamp)"
_WITHIN: Final = f"{_AT} >= {{start:Int64}} AND {_AT} < {{end:Int64}}"

_STANDING: Final = not_voided(["namespace = {n:String}", "account_id = {account:String}"], "")
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


def diagnose(
    client: Client,
    catalog: Catalog,
    view: NamespaceView,
    account_id: str,
    metric: str,
    *,
    interval: Interval,
    waiting: int = 0,
) -> Diagnosis:
    """What became of the account's events for ``metric`` (meter.profile, or meter alone where it has one profile).

    ``view``: the account's namespace in ``catalog``. ``interval`` is of event time, half-open, UTC. ``waiting``: what
    ``waiting_records`` says. Raises LookupError, naming what exists, for an unknown metric. Blocking.
    """
    return _Examination(client, catalog, view, resolve(view, metric), account_id, interval).diagnosis(waiting)


def waiting_records(settings: Settings, client: Client, catalog: Catalog) -> int:
    """Records of usage.events that are not metered yet, of all namespaces; 0 where the log's end is not known.
    Blocking."""
    try:
        ends = end_offsets(settings, catalog.generations.state)
    except (LedgerUnavailable, KafkaException):
        return 0
    progress = read_progress(client)
    return sum(max(0, end - progress.get(key, 0)) for key, end in ends.items())


class _Examination:
    """One look at an account's usage of a profile in an interval: the queries, and the diagnosis that they make."""

    def __init__(
        self,
        client: Client,
        catalog: Catalog,
        view: NamespaceView,
        versions: tuple[ProfileVersion, ...],
        account_id: str,
        interval: Interval,
    ) -> None:
        self._client = client
        self._view = view
        self._versions = versions
        self._account = account_id
        self._interval = interval
        self._start, self._end = micros(interval.start), micros(interval.end)
        self._profile = versions[-1].profile_id
        self._names = tuple(dict.fromkeys(version.event_name for version in reversed(versions)))
        self._fates = Fates(catalog, view, versions)

    def _rows(self, sql: str, **further: object) -> Sequence[Row]:
        parameters = {
            "n": self._view.namespace,
            "account": self._account,
            "names": list(self._names),
            "profile": self._profile,
            "start": self._start,
            "end": self._end,
        }
        rows: Sequence[Row] = self._client.query(sql, parameters=parameters | further).result_rows
        return rows

    def diagnosis(self, waiting: int) -> Diagnosis:
        """Ask ClickHouse and put it together. ``waiting``: records of usage.events that are not metered yet."""
        profile = measured(self._versions, self._start, self._end)
        query = UsageQuery(self._view.namespace, profile, self._start, self._end, accounts=(self._account,))
        condition: str = _MATCHED
        parameters: JsonObject = {}
        if profile.backfilled:  # what the meter matched may be replaced, and what it did not be backfilled
            bind = Binder()
            counting = " AND ".join(conditions_with_voided(query, bind))
            condition = f"{EVENT} IN (SELECT {EVENT} FROM usage_records FINAL WHERE {counting})"
            parameters = bind.parameters
        counts, unmatched, fine = (sql.replace("{matched}", condition) for sql in (_COUNTS, _UNMATCHED, _FINE))
        received, matched, earlier, last_earlier, later, first_later = map(int, self._rows(counts, **parameters)[0])
        groups = FateGroups()
        examined = 0
        for key, stamp, properties, name, reason, catalog_offset in self._rows(unmatched, **parameters):
            examined += 1
            fate = self._fates.of(UnmatchedEvent(key, int(stamp), properties, name, reason, int(catalog_offset)))
            groups.add(fate.kind, fate.why, ExampleEvent(key, rfc3339(int(stamp)), fate.value))
        path = self._versions[-1].property or ()
        if path and profile.aggregation != "count_unique":
            for key, stamp, properties in self._rows(fine, **parameters):
                if is_rounded(lookup(parsed(properties), path)):
                    groups.add(
                        "rounded",
                        f"at {'.'.join(path)}",
                        ExampleEvent(key, rfc3339(int(stamp)), value_text(properties, path)),
                    )
        voided, taken_back = self._voided()
        ((duplicates,),) = self._rows(f"SELECT count() FROM duplicate_events FINAL WHERE {_NAMED} AND {_WITHIN}")
        others = self._other_names()
        (total,) = usage_totals(self._client, query)
        return Diagnosis(
            namespace=self._view.namespace,
            account_id=self._account,
            profile_id=self._profile,
            event_names=self._names,
            interval=self._interval,
            aggregation=profile.aggregation,
            quantity=total.usage.quantity,
            received=received,
            matched=matched,
            filtered=groups.of("filtered"),
            unmeterable=groups.of("unmeterable"),
            not_valid=groups.of("not_valid"),
            too_early=groups.of("too_early"),
            unexamined=max(0, received - matched - examined - taken_back),
            duplicates=int(duplicates),
            rejections=self._rejections(),
            outside=Outside(
                earlier, rfc3339(last_earlier) if earlier else "", later, rfc3339(first_later) if later else ""
            ),
            other_names=others,
            similar_names=similar([name for name, _ in others], self._names),
            similar_accounts=() if received or others else self._similar_accounts(),
            billing=self._billing(),
            waiting=waiting,
            voided=voided,
            rounded=groups.of("rounded"),
            backfilling=self._backfilling(),
        )

    def _backfilling(self) -> str:
        """A sentence about a version of the profile that is still to count older events of the interval; "" for
        none."""
        if not any(version.waits() and (version.backfill_from_us or 0) < self._end for version in self._versions):
            return ""
        unfinished = [
            backfill
            for backfill in read_backfills(self._client, self._view)
            if backfill.state != "done"
            and any(version.profile_id == self._profile for version in backfill.job.versions)
        ]
        return unfinished[0].sentence() if unfinished else ""

    def _voided(self) -> tuple[tuple[Group, ...], int]:
        """Voided events by reason and author, and how many they are in all."""
        groups = []
        for reason, author, count, key, first_us, voided_ms in self._rows(_VOIDED):
            why = f"{reason!r}, by {author} at {rfc3339(int(voided_ms) * 1000)}"
            groups.append(Group(why, int(count), (ExampleEvent(key, rfc3339(int(first_us)), ""),)))
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
            f" WHERE {_OURS} AND NOT has({{names:Array(String)}}, event_name)"
            " GROUP BY event_name ORDER BY events DESC LIMIT 20"
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
        """The account's subscriptions in the interval, the charges on the profile, and what they have no price for."""
        subscriptions: list[str] = []
        charges: list[str] = []
        unpriced: list[str] = []
        billed = billed_until(self._client, self._view.namespace, self._account)
        for line in timelines(self._view, []):
            if line.account_id != self._account:
                continue
            segments = [held for held in line.segments if held.start_us < self._end and held.end_us > self._start]
            subscriptions.extend(f"subscription {line.subscription}" for _ in segments[:1])
            for segment in segments:
                for charge in segment.plan.charges:
                    product = self._view.get("product", charge.product)
                    if product is not None and self._bills(product.model):
                        charges.append(
                            f"charge {charge.key} of plan {segment.plan.code} by subscription {line.subscription}"
                        )
                        lacking = without_price(
                            self._client,
                            self._view,
                            SubscribedCharge(line, segment, charge, billed.get(line.subscription)),
                            self._versions,
                            (self._start, self._end),
                        )
                        unpriced += (usage.sentence() for usage in lacking)
        known = self._view.get("account", self._account) is not None
        return BillingStatus(known, tuple(subscriptions), tuple(dict.fromkeys(charges)), tuple(dict.fromkeys(unpriced)))

    def _bills(self, product: Product) -> bool:
        return product.profile is not None and product.profile in (self._profile, self._versions[-1].meter)
