"""Backfills as their users see them: what is to be counted, how far it is, and from which event on it can count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from schemas.catalog.backfill_jobs import Job, jobs
from schemas.catalog.state import NamespaceView
from schemas.values.instants import micros, rfc3339

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

    from schemas.values.json_text import JsonObject

BackfillState = Literal["waiting", "running", "done"]


@dataclass(frozen=True, slots=True)
class Stored:
    """Counted events that the journal has of one name from an instant on. ``oldest_us``: of the first of them; None:
    there is none."""

    events: int
    oldest_us: int | None


@dataclass(frozen=True, slots=True)
class BackfillProgress:
    """``events_read`` of ``events_total`` (an estimate until all are read) gave ``records``. ``checkpoint``: from which
    on they count; None: not yet. ``oldest_us``: the oldest stored event that is or was to be read; what is older is out
    of reach."""

    job: Job
    state: BackfillState
    events_read: int
    events_total: int
    records: int
    oldest_us: int | None

    @property
    def checkpoint(self) -> int | None:
        """The last of the backfill's checkpoints."""
        return self.job.reaches[-1].checkpoint if self.job.reaches else None

    @property
    def percent(self) -> int:
        """Of the events read, in whole percent; 100 only where it is done."""
        if self.state == "done":
            return 100
        return min(99, self.events_read * 100 // self.events_total) if self.events_total else 0

    def to_json(self) -> JsonObject:
        """Ready for json.dumps."""
        job = self.job
        return {
            "backfill": job.name,
            "meter": job.meter,
            "version": job.version,
            "profiles": sorted(version.profile_id for version in job.versions),
            "event_name": job.event_name,
            "start": rfc3339(job.start_us),
            "published_at": rfc3339(job.published_us),
            "state": self.state,
            "percent": self.percent,
            "events_read": self.events_read,
            "events_total": self.events_total,
            "records": self.records,
            "checkpoint": self.checkpoint,
            "oldest_event": None if self.oldest_us is None else rfc3339(self.oldest_us),
        }

    def sentence(self) -> str:
        """For people."""
        return sentence(self.to_json())


def sentence(backfill: JsonObject) -> str:
    """How far a backfill is, for people; ``backfill`` as GET /v1/backfills shows it."""
    what = f"{', '.join(backfill['profiles'])} version {backfill['version']}"
    since = f"from {backfill['start']} on"
    if backfill["state"] == "done":
        return f"{what} counts all events {since}, as of checkpoint {backfill['checkpoint']}"
    return f"{what} is backfilling {since}: {backfill['percent']} % of {backfill['events_total']} events are read"


def read_backfills(client: Client, view: NamespaceView) -> list[BackfillProgress]:
    """Those of the namespace, in order of meters and versions. Blocking."""
    declared = jobs(view)
    if not declared:
        return []
    progress: dict[str, list[int]] = {}
    rows = client.query(
        "SELECT backfill, max(events_read), argMax(events_total, (day, events_read)),"
        " argMax(records, (day, events_read)) FROM backfill_progress WHERE startsWith(backfill, {prefix:String})"
        " GROUP BY backfill, to_checkpoint",
        parameters={"prefix": f"{view.namespace}/"},
    ).result_rows
    for label, *numbers in rows:
        name = str(label).rpartition("#")[0]
        sums = progress.get(name, [0, 0, 0])
        progress[name] = [total + int(number) for total, number in zip(sums, numbers, strict=True)]
    return [_status(client, view, job, progress.get(job.name)) for job in declared]


def _status(client: Client, view: NamespaceView, job: Job, progress: list[int] | None) -> BackfillProgress:
    stored = stored_events(client, view.namespace, job.event_name, job.start_us)
    state: BackfillState = "done" if job.done else "waiting" if progress is None else "running"
    read, total, records = progress or [0, stored.events, 0]
    return BackfillProgress(job, state, read, total, records, stored.oldest_us)


def stored_events(client: Client, namespace: str, event_name: str, start_us: int) -> Stored:
    """What a backfill from ``start_us`` would read, or a little more: what came since its version was published is
    metered. Blocking."""
    ((count, oldest),) = client.query(
        "SELECT count(), min(timestamp) FROM usage_events WHERE namespace = {ns:String} AND event_name = {name:String}"
        " AND timestamp >= fromUnixTimestamp64Micro({start:Int64}, 'UTC')",
        parameters={"ns": namespace, "name": event_name, "start": start_us},
    ).result_rows
    return Stored(int(count), micros(oldest) if count else None)
