"""Why each metric counted an event or did not."""

from __future__ import annotations

from dataclasses import dataclass

from rating.console.events.read_events import MeteredEvent
from rating.doctor.fates import Fates, UnmatchedEvent
from schemas.catalog.profiles import profile_versions
from schemas.catalog.state import Catalog, NamespaceView

_WORDS = {
    "filtered": "a filter refused it",
    "unmeterable": "it has no value to measure",
    "not_valid": "no version of it was valid then",
    "too_early": "it came before the metric was published",
}


@dataclass(frozen=True, slots=True)
class MetricFate:
    """What a metric made of an event: ``counted``, or what kept it out, and what stands there in the event."""

    metric: str
    counted: bool
    why: str = ""
    value: str = ""


def metric_fates(catalog: Catalog, view: NamespaceView, event: MeteredEvent) -> list[MetricFate]:
    """Of every metric of events with this name, and every one that counted it, those that did first."""
    reasons = dict(event.unmeterable)
    fates = [MetricFate(profile, counted=True) for profile in sorted(event.profiles)]
    versions = profile_versions(view)
    names = {version.profile_id for version in versions if version.event_name == event.event_name} | {*reasons}
    for profile in sorted(names - {*event.profiles}):
        of_profile = tuple(version for version in versions if version.profile_id == profile)
        if not of_profile:
            fates.append(MetricFate(profile, counted=False, why=reasons[profile]))
            continue
        unmatched = UnmatchedEvent(
            event.idempotency_key, event.us, event.properties, event.event_name, reasons.get(profile, ""),
            event.catalog_offset,
        )  # fmt: skip
        fate = Fates(catalog, view, of_profile).of(unmatched)
        fates.append(MetricFate(profile, False, f"{_WORDS[fate.kind]}: {fate.why}", fate.value))
    return fates
