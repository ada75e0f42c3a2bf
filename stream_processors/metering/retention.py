"""Retention of identities: which may be dropped from filters and from usage_identities, and when (DESIGN invariant
4). The rules are pure; ``Forgetter`` applies them.

A worker's filters must contain every identity appended within W before any record still to be decided. The journal
must keep identities for W plus the log's retention, because records still in the log may be read again. Both rules
use append times, never a clock. W of a namespace is the longest that any version of its settings defined, and
unlimited once a version removed the maximum event age. Identities stored without a namespace (by old releases) are
kept for ever.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.catalog.models import Namespace
from schemas.catalog.state import DEFAULT_NAMESPACE, Catalog, NamespaceView
from schemas.kafka.topics import EVENTS_RETENTION_DAYS
from schemas.values.instants import DAY, micros
from stream_processors.metering.dedupe import window_us
from stream_processors.metering.journal import Journal

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 6 * 3600.0
_FIRST_LOOK_SECONDS: Final = 60.0
_MARGIN_DAYS: Final = 1
"""Allowance for append times that go back after a change of partition leader, when the brokers' clocks differ."""


def keep_us(view: NamespaceView) -> int | None:
    """How long identities of a namespace are needed after their append, in microseconds; None: for ever."""
    settings: list[Namespace] = [entry.model for entry in view.history("namespace", view.namespace)]
    if view.namespace == DEFAULT_NAMESPACE or not settings:
        settings.append(Namespace(code=DEFAULT_NAMESPACE))
    windows = [
        window_us(namespace_settings.max_event_age_seconds, namespace_settings.max_event_skew_seconds)
        for namespace_settings in settings
    ]
    return (
        None
        if None in windows
        else max(namespace_settings for namespace_settings in windows if namespace_settings is not None)
    )


@dataclass(frozen=True, slots=True)
class Horizon:
    """``lifted``: namespaces whose identities are needed for ever; ``longest_us``: the longest time (microseconds)
    for all others."""

    lifted: frozenset[str]
    longest_us: int

    def first_day(self, append_us: int) -> int:
        """The first append day (UTC days since 1970) needed for records appended at ``append_us`` or later."""
        return (append_us - self.longest_us) // DAY - _MARGIN_DAYS


def horizon(catalog: Catalog) -> Horizon:
    """The horizon of all namespaces in the catalog as read so far."""
    keeps = {name: keep_us(catalog.view(name)) for name in catalog.namespaces()}
    finite = [keep for keep in keeps.values() if keep is not None]
    return Horizon(frozenset(name for name, keep in keeps.items() if keep is None), max(finite, default=0))


def forgettable(
    days: Mapping[int, Iterable[str]], catalog: Catalog, newest_us: int
) -> list[tuple[int, tuple[str, ...] | None]]:
    """The identities that the journal may drop, as (append day, namespaces); namespaces None means the whole day.

    ``days``: append day (since 1970) → namespaces with identities of that day; ``newest_us``: append time of the
    newest metered record, microseconds UTC.
    """
    names = {name for namespaces in days.values() for name in namespaces}
    keeps = {name: keep_us(catalog.view(name)) for name in names if name}
    result: list[tuple[int, tuple[str, ...] | None]] = []
    for day, namespaces in sorted(days.items()):
        over = []
        for name in sorted(namespaces):
            keep = keeps.get(name)
            limit = None if keep is None else keep + (EVENTS_RETENTION_DAYS + _MARGIN_DAYS) * DAY
            if limit is not None and (day + 1) * DAY <= newest_us - limit:
                over.append(name)
        if over:
            result.append((day, None if len(over) == len(set(namespaces)) else tuple(over)))
    return result


class Forgetter:
    """Drops expired identities from usage_identities every few hours; several workers may do so at once."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._look_at = time.monotonic() + _FIRST_LOOK_SECONDS

    def due(self) -> bool:
        """Whether the next run is due."""
        return time.monotonic() >= self._look_at

    def run(self, catalog: Catalog) -> Sequence[tuple[int, tuple[str, ...] | None]]:
        """Drop expired identities and return what was dropped, as ``forgettable`` does. Raises Stopping."""
        self._look_at = time.monotonic() + LOOK_SECONDS
        rows = self._journal.query("read the newest append", "SELECT max(append_time), count() FROM usage_batches")
        newest, count = rows[0]
        if not count:
            return ()
        listed = self._journal.query(
            "read the days of usage_identities",
            "SELECT toUInt32(toDate(append_time, 'UTC')), groupUniqArray(toString(namespace)) FROM usage_identities"
            " WHERE append_time < {newest:DateTime64(3, 'UTC')} - toIntervalDay({days:UInt32}) GROUP BY 1",
            {"newest": newest, "days": EVENTS_RETENTION_DAYS},
        )
        past = forgettable({int(day): names for day, names in listed}, catalog, micros(newest))
        for day, names in past:
            partition = time.strftime("%Y%m%d", time.gmtime(day * 86_400))
            if names is None:
                self._journal.command(
                    f"forget the identities of {partition}",
                    f"ALTER TABLE usage_identities DROP PARTITION {partition}",
                    {},
                )
            else:
                self._journal.command(
                    f"forget identities of {partition}",
                    f"ALTER TABLE usage_identities DELETE IN PARTITION {partition} WHERE namespace IN "
                    f"{{names:Array(String)}}",
                    {"names": list(names)},
                )
        if past:
            log.info("identities of %d days were forgotten, up to day %d", len(past), past[-1][0])
        return past
