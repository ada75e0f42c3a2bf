"""Backfills: a profile version published with a start in the past also counts events that arrived before it (DESIGN
invariants 5 and 7).

    published    at catalog offset c; events of batches with a catalog offset ≥ c are metered by it like by any version
    staged       counted events of older batches, from its start on, are matched by it into backfill_records
    recorded     once everything below them is staged: a checkpoint b on usage.checkpoints that names the backfill
    rolled up    the staged records are copied to usage_records and usage_windows, with b in a column
    done         an entry of kind ``backfill`` on usage.catalog; from then on totals as of b or later contain the
                 backfilled records, in place of those that earlier versions gave for the same events

Each step depends only on the results of the steps before, so any process may do it, any number of times. Until the last
step every event counts once, under the version that metered it, and as of checkpoints below b that remains so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.catalog.backfill_reach import Backfill, BackfillReach, backfill_code
from schemas.catalog.profiles import ProfileVersion, profile_versions
from schemas.catalog.state import Catalog, NamespaceView
from schemas.ledgers.checkpoints import Cut
from schemas.values.instants import DAY


@dataclass(frozen=True, slots=True)
class Job:
    """One backfill. ``known_from``: the catalog offset from which on batches know the version (c above);
    ``versions``: the profile versions it counts, all of one meter entry; ``reaches``: the checkpoints at which it
    is done."""

    namespace: str
    meter: str
    version: int
    event_name: str
    start_us: int
    published_us: int
    known_from: int
    versions: tuple[ProfileVersion, ...]
    reaches: tuple[BackfillReach, ...]

    @property
    def name(self) -> str:
        """The name by which checkpoints refer to it: namespace/meter/version."""
        return f"{self.namespace}/{self.meter}/{self.version}"

    @property
    def rounds(self) -> bool:
        """Whether numbers of backfilled events are rounded to 12 decimals."""
        return all(version.rounds for version in self.versions)

    @property
    def done(self) -> bool:
        """Whether older events count already."""
        return bool(self.reaches)

    def entry(self, cut: Cut) -> Backfill:
        """The catalog entry to publish once ``cut``, the backfill's checkpoint, is rolled up."""
        offsets = tuple((generation, partition, end) for (generation, partition), end in sorted(cut.offsets.items()))
        return Backfill(
            code=backfill_code(self.meter, self.version),
            meter=self.meter,
            version=self.version,
            checkpoint=cut.number,
            offsets=offsets,
        )


def staged_name(name: str, part: int) -> str:
    """Name of the rows staged for the backfill's ``part``-th checkpoint (from 1)."""
    return f"{name}#{part}"


def jobs(view: NamespaceView) -> tuple[Job, ...]:
    """All backfills of the namespace, done or not, ordered by meter and version, which is the order in which they
    run."""
    stated = [
        (entry, entry.valid_from_us)
        for entries in view.histories("meter")
        for entry in entries
        if not entry.retired and entry.valid_from_us is not None and entry.valid_from_us < entry.published_us
    ]
    if not stated:
        return ()
    waiting: list[Job] = []
    latest = {(version.profile_id, version.version): version for version in profile_versions(view)}
    for entry, start_us in stated:
        # The versions are those at publication; the progress is the present one.
        then = profile_versions(view.at(entry.offset + 1))
        versions = tuple(
            version
            for version in then
            if version.meter == entry.code and version.version == entry.version and version.backfill_from_us is not None
        )
        if not versions:
            continue
        now = latest.get((versions[0].profile_id, entry.version))
        waiting.append(
            Job(
                view.namespace,
                entry.code,
                entry.version,
                versions[0].event_name,
                start_us,
                entry.published_us,
                entry.offset + 1,
                versions,
                now.reaches if now else (),
            )
        )
    return tuple(waiting)


def waiting(catalog: Catalog) -> Iterator[Job]:
    """Pending backfills of all namespaces; only the first of each meter, since the next one builds on it."""
    for namespace in catalog.namespaces():
        meters: set[str] = set()
        for job in jobs(catalog.view(namespace)):
            if not job.done and job.meter not in meters:
                meters.add(job.meter)
                yield job


STRAGGLERS_US = DAY
"""How long after publication a finished backfill checks for events from gateways that did not know the version yet; far
beyond any delivery timeout."""


def watched(catalog: Catalog, now_us: int) -> Iterator[Job]:
    """Finished backfills for which such events may still arrive: the last one of each meter."""
    for namespace in catalog.namespaces():
        known = {job.meter: job for job in jobs(catalog.view(namespace))}
        yield from (job for job in known.values() if job.done and now_us - job.published_us < STRAGGLERS_US)


def job_of(catalog: Catalog, name: str) -> Job | None:
    """The backfill named by a checkpoint; None if the catalog has none."""
    namespace, _, address = name.partition("/")
    return next((job for job in jobs(catalog.view(namespace)) if job.name == f"{namespace}/{address}"), None)
