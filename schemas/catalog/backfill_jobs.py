"""Backfills: a profile version that was published with a start in the past counts the events that came before it
(DESIGN invariants 5 and 7).

    published at catalog offset c   events of batches that know it (catalog offset ≥ c) are metered by it, as by any
    version staged                          counted events of batches that do not, from its start on: matched by it,
    into backfill_records recorded                        a checkpoint b of its own on usage.checkpoints, which names
    it, once all below b's offsets is staged rolled up                       usage_records and usage_windows get what is
    staged, with b in a column done                            an entry of kind ``backfill`` on usage.catalog: who reads
    totals as of b or later counts it from here on,
                                    and no longer what earlier versions gave for these events

Each step is a function of what the steps before it left, so any process may do it, any number of times. Until the last,
every event counts once, under the version that metered it; as of checkpoints below b for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from schemas.catalog.backfills import Backfill, Reach, backfill_code
from schemas.catalog.profiles import ProfileVersion, profile_versions
from schemas.catalog.state import Catalog, NamespaceView
from schemas.ledgers.checkpoints import Cut
from schemas.values.instants import DAY


@dataclass(frozen=True, slots=True)
class Job:
    """One backfill. ``known_from``: the catalog offset from which on batches know the version (c above); ``versions``:
    the profile versions that it counts, all of one meter entry."""

    namespace: str
    meter: str
    version: int
    event_name: str
    start_us: int
    published_us: int
    known_from: int
    versions: tuple[ProfileVersion, ...]
    reaches: tuple[Reach, ...]

    @property
    def name(self) -> str:
        """As checkpoints name it."""
        return f"{self.namespace}/{self.meter}/{self.version}"

    @property
    def rounds(self) -> bool:
        """Whether the events that it counts are measured with numbers rounded to 12 decimals."""
        return all(version.rounds for version in self.versions)

    @property
    def done(self) -> bool:
        """Whether older events count."""
        return bool(self.reaches)

    def entry(self, cut: Cut) -> Backfill:
        """What the catalog is told once ``cut``, which names this backfill, is rolled up."""
        offsets = tuple((generation, partition, end) for (generation, partition), end in sorted(cut.offsets.items()))
        return Backfill(
            code=backfill_code(self.meter, self.version), meter=self.meter, version=self.version, checkpoint=cut.number,
            offsets=offsets,
        )  # fmt: skip


def staged_name(name: str, part: int) -> str:
    """What is staged for the ``part``-th checkpoint (1, 2, …) that names the backfill."""
    return f"{name}#{part}"


def jobs(view: NamespaceView) -> tuple[Job, ...]:
    """Every backfill of the namespace, done or not, in order of meters and versions: the order in which they are to be
    done."""
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
        # What it means, and whose it is, as it was published; how far it has got, as of now.
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
                view.namespace, entry.code, entry.version, versions[0].event_name, start_us, entry.published_us,
                entry.offset + 1, versions, now.reaches if now else (),
            )
        )  # fmt: skip
    return tuple(waiting)


def waiting(catalog: Catalog) -> Iterator[Job]:
    """Of all namespaces the backfills that are to be done; of a meter only the first, since the next one counts on top
    of it."""
    for namespace in catalog.namespaces():
        meters: set[str] = set()
        for job in jobs(catalog.view(namespace)):
            if not job.done and job.meter not in meters:
                meters.add(job.meter)
                yield job


STRAGGLERS_US = DAY
"""So long after its publication events are looked for whose gateway did not know the version: far beyond any delivery
timeout."""


def watched(catalog: Catalog, now_us: int) -> Iterator[Job]:
    """Backfills that are done, of which such events may still come: the last one of a meter."""
    for namespace in catalog.namespaces():
        known = {job.meter: job for job in jobs(catalog.view(namespace))}
        yield from (job for job in known.values() if job.done and now_us - job.published_us < STRAGGLERS_US)


def job_of(catalog: Catalog, name: str) -> Job | None:
    """The backfill that a checkpoint names; None where the catalog has none."""
    namespace, _, address = name.partition("/")
    return next((job for job in jobs(catalog.view(namespace)) if job.name == f"{namespace}/{address}"), None)
