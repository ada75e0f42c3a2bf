"""Whose usage changed since the last round, by the workers' cursor; where it goes on is kept in ClickHouse, so that a
process that was killed, or was away, looks at all that came meanwhile. Blocking."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from clickhouse_connect.driver.client import Client

from rating.alerts.alert_store import evaluated_offsets, write_evaluated
from rating.alerts.changed_accounts import changed_accounts, changed_namespaces, progress_at, ranges_between
from rating.alerts.pending import LONG_AGO
from schemas.clickhouse.errors import explained
from schemas.ledgers.checkpoints import read_progress
from schemas.ledgers.generations import Offsets

log = logging.getLogger(__name__)

_WRITTEN_SECONDS: Final = 10.0
_UNRULED_SECONDS: Final = 30.0
_FIRST_PAUSE: Final = 2.0
_LONGEST_PAUSE: Final = 300.0


@dataclass(frozen=True, slots=True)
class _Missed:
    """A namespace whose changes could not be read: from where on, and not before which instant (monotonic)."""

    earlier: Offsets
    appended_ms: int
    tries: int = 0
    not_before: float = LONG_AGO


class UsageChanges:
    """``read`` gives each change once in a process's life, and ``evaluated`` says that all of them were looked at."""

    def __init__(self, client: Client, ruled_us: int) -> None:
        """``ruled_us``: when the first rule was published, from where on all is a change if nothing was looked at
        before; microseconds UTC."""
        self._client = client
        self._cursor: Offsets = evaluated_offsets(client) or progress_at(client, ruled_us)
        self._missed: dict[str, _Missed] = {}
        # Changes of namespaces without rules, in this half minute and the one before: a rule may be known here later
        # than the usage that came after it.
        self._unruled: tuple[dict[str, _Missed], dict[str, _Missed]] = {}, {}
        self._unruled_since = LONG_AGO
        self._written: Offsets = self._cursor
        self._written_at = LONG_AGO

    def read(self, namespaces: Collection[str], now: float) -> dict[str, dict[str, int]]:
        """Of these namespaces: account → the earliest instant at which its usage changed (microseconds UTC). Where one
        namespace's question fails, the others are answered, and it is asked again, ever more seldom. Raises what
        ClickHouse's client raises where nothing can be read. ``now``: monotonic."""
        cursor = read_progress(self._client)
        for namespace, appended_ms in changed_namespaces(self._client, ranges_between(self._cursor, cursor)).items():
            to = self._missed if namespace in namespaces else self._unruled[0]
            to.setdefault(namespace, _Missed(self._cursor, appended_ms))
        self._take_unruled(namespaces, now)
        changes: dict[str, dict[str, int]] = {}
        for namespace, missed in list(self._missed.items()):
            if namespace not in namespaces:
                del self._missed[namespace]
            elif missed.not_before <= now:
                ranges = ranges_between(missed.earlier, cursor)
                try:
                    changes[namespace] = changed_accounts(self._client, namespace, ranges, missed.appended_ms)
                except Exception as error:
                    read_progress(self._client)  # where ClickHouse is away, that is nobody's fault
                    log.warning("%s: whose usage changed cannot be read: %s", namespace, explained(error))
                    pause = min(_FIRST_PAUSE * 2**missed.tries, _LONGEST_PAUSE)
                    again = _Missed(missed.earlier, missed.appended_ms, missed.tries + 1, now + pause)
                    self._missed[namespace] = again
        for namespace in changes:  # not before: where this raises, all is asked again
            del self._missed[namespace]
        self._cursor = cursor
        return changes

    def _take_unruled(self, namespaces: Collection[str], now: float) -> None:
        """Changes of namespaces that have got rules since are missed, too."""
        for earlier in self._unruled:
            for namespace in [name for name in earlier if name in namespaces]:
                self._missed[namespace] = earlier.pop(namespace)
        if now - self._unruled_since >= _UNRULED_SECONDS:
            self._unruled, self._unruled_since = ({}, self._unruled[0]), now

    def evaluated(self, now: float) -> None:
        """All accounts that ``read`` gave were looked at, and what followed is appended."""
        if not self._missed and self._cursor != self._written and now - self._written_at >= _WRITTEN_SECONDS:
            write_evaluated(self._client, self._cursor)
            self._written, self._written_at = self._cursor, now
