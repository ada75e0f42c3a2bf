"""Whether a piece of work that takes long gets on: by the processor time of its threads, and by what ClickHouse says of its requests.

A flush of half a million rows, a roll-up or a copy that is made anew may take minutes, which is no standing still.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from schemas.clickhouse import connect
from schemas.clickhouse_errors import code_of
from schemas.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 5.0
QUIET_SECONDS: Final = 20.0
"""What has moved since then need not be looked at."""
CPU_STEP: Final = 0.25
"""Seconds of processor time that count as a step: who only waits, and looks now and then, uses less in a minute."""
_ANSWER_SECONDS: Final = 10


@dataclass(frozen=True, slots=True)
class Subject:
    """One stage: ``silent_since``: monotonic instant of its last step, None while it is idle or has an error; ``threads``: beginnings of the
    names of those that work for it; ``comments`` of its journals' requests."""

    name: str
    silent_since: Callable[[], float | None]
    threads: Sequence[str]
    comments: Sequence[str]


@dataclass(frozen=True, slots=True)
class Figure:
    """How far the work is: seconds of processor time, here and in ClickHouse, and rows read and written by the requests under way."""

    cpu: float
    rows: int


Ask = Callable[[Sequence[str]], Mapping[str, Figure] | None]
"""Comment → figure of its requests that run; those without any are absent. None: ClickHouse does not let us see."""


class GettingOn:
    """When each subject was last seen to get on. ``look`` from one thread, ``at`` from any."""

    def __init__(self, subjects: Iterable[Subject], ask: Ask, threads: Callable[[Sequence[str]], float]) -> None:
        self._subjects = tuple(subjects)
        self._ask, self._threads = ask, threads
        self._figures: dict[str, tuple[Figure, float]] = {}
        self._blind = False

    def at(self, name: str) -> float | None:
        """Monotonic instant; None where it cannot be seen whether the work gets on."""
        if self._blind:
            return None
        known = self._figures.get(name)
        return 0.0 if known is None else known[1]

    def look(self, now: float) -> None:
        """Look at those that have been silent for a while. ``now``: monotonic seconds."""
        silent = []
        for subject in self._subjects:
            since = subject.silent_since()
            if since is None or now - since < QUIET_SECONDS:
                self._figures.pop(subject.name, None)
            else:
                silent.append(subject)
        if not silent:
            return
        found = self._ask([comment for subject in silent for comment in subject.comments])
        self._blind = found is None
        for subject in silent:
            asked = [(found or {})[comment] for comment in subject.comments if comment in (found or {})]
            figure = Figure(
                self._threads(subject.threads) + sum(one.cpu for one in asked), sum(one.rows for one in asked)
            )
            before = self._figures.get(subject.name)
            if before is None or figure.rows != before[0].rows or abs(figure.cpu - before[0].cpu) >= CPU_STEP:
                self._figures[subject.name] = figure, 0.0 if before is None else now


class Watching(threading.Thread):
    """Looks every few seconds until ``stop``, in a thread and with a client of its own: whatever else waits, this does not."""

    def __init__(self, subjects: Iterable[Subject], settings: Settings, stop: threading.Event) -> None:
        super().__init__(name="getting on", daemon=True)
        self._settings, self._stop_event = settings, stop
        self._client: Any = None
        self._looks = GettingOn(subjects, self._ask, thread_seconds)
        self.at = self._looks.at

    def run(self) -> None:
        while not self._stop_event.wait(LOOK_SECONDS):
            self._looks.look(time.monotonic())

    def _ask(self, comments: Sequence[str]) -> Mapping[str, Figure] | None:
        if not comments:
            return {}
        try:
            if self._client is None:
                self._client = connect(self._settings, timeout_seconds=_ANSWER_SECONDS)
            rows = self._client.query(sql(self._settings), parameters={"comments": list(comments)}).result_rows
        except (ClickHouseError, HTTPError, OSError) as error:
            self._client = None
            if not code_of(error):
                return {}  # a ClickHouse that does not answer gets on with nothing
            log.warning("whether requests get on cannot be seen: %s", error)
            return None
        return {str(comment): Figure(float(cpu), int(count)) for comment, cpu, count in rows}


def sql(settings: Settings) -> str:
    """What runs, by comment: seconds of processor time, rows. A change of parts (ALTER … DELETE) is told by the merges that it waits for."""
    cluster = settings.clickhouse_cluster
    processes, merges = (
        f"clusterAllReplicas('{cluster}', system.{name})" if cluster else f"system.{name}"
        for name in ("processes", "merges")
    )
    return f"""
SELECT Settings['log_comment'] AS comment, sum(ProfileEvents['UserTimeMicroseconds'] + ProfileEvents['SystemTimeMicroseconds']) / 1e6,
    sum(read_rows + written_rows) + if(max(query_kind IN ('Alter', 'Delete')), (SELECT sum(rows_read) FROM {merges} WHERE is_mutation), 0)
FROM {processes} WHERE Settings['log_comment'] IN (SELECT arrayJoin({{comments:Array(String)}})) GROUP BY comment"""


def thread_seconds(names: Sequence[str]) -> float:
    """Processor time of this process's threads whose names begin with one of ``names``; 0 where the system does not tell."""
    beginnings = tuple(names)
    numbers = [one.native_id for one in threading.enumerate() if beginnings and one.name.startswith(beginnings)]
    return sum(_seconds(number) for number in numbers if number is not None)


def _seconds(thread: int) -> float:
    try:
        fields = Path(f"/proc/self/task/{thread}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return 0.0
