"""What may be forgotten of identities, and when (DESIGN invariant 4). The rules are pure; ``Forgetter`` applies them.

A worker's filters must know every identity that may count within W of a record still to be decided; the journal, every
one within W of a record that is still in the log, since that may be read again: W + the log's retention. Both go by
append times, never by a clock. W is that of the namespace: the longest that any version of its settings ever said, and
for ever once one of them lifted the age. Identities from before the namespace stood beside them are kept for ever, too.
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
"""Append times of a partition ascend but for a broker's clock after a change of leader."""


def keep_us(view: NamespaceView) -> int | None:
    """How long identities of a namespace matter after their append, microseconds; None: for ever."""
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
    """``lifted``: namespaces whose identities matter for ever; ``longest_us``: how long those of all others do at
    most."""

    lifted: frozenset[str]
    longest_us: int

    def first_day(self, append_us: int) -> int:
        """The first append day (since 1970, UTC) that matters to records appended at ``append_us`` or later."""
        return (append_us - self.longest_us) // DAY - _MARGIN_DAYS


def horizon(catalog: Catalog) -> Horizon:
    """As of everything that was read of the catalog."""
    keeps = {name: keep_us(catalog.view(name)) for name in catalog.namespaces()}
    finite = [keep for keep in keeps.values() if keep is not None]
    return Horizon(frozenset(name for name, keep in keeps.items() if keep is None), max(finite, default=0))


def forgettable(
    days: Mapping[int, Iterable[str]], catalog: Catalog, newest_us: int
) -> list[tuple[int, tuple[str, ...] | None]]:
    """Of append days (since 1970) and the namespaces that have identities of them: what the journal may lose. None: the
    whole day; else only these namespaces of it. ``newest_us``: append time of the newest metered record."""
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
    """Looks every few hours; any number of workers may."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._look_at = time.monotonic() + _FIRST_LOOK_SECONDS

    def due(self) -> bool:
        """Whether it is time to look."""
        return time.monotonic() >= self._look_at

    def run(self, catalog: Catalog) -> Sequence[tuple[int, tuple[str, ...] | None]]:
        """Drop what may be forgotten; what was dropped. Raises Stopping."""
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
