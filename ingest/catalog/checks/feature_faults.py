"""Faults of features' limits that depend on what measures them, and on what a plan charges. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from ingest.catalog.planned import Planned
from schemas.catalog.entitlements.features import Feature, FeatureGrant, FeatureLimit
from schemas.catalog.meters import Meter

Faults = Iterator[tuple[str, str]]
"""Place below what is checked, and what is wrong."""


_KINDS: Final[dict[type, str]] = {bool: "true or false", int: "a whole number", str: "a text"}


def limit_faults(planned: Planned, limits: Sequence[FeatureLimit], profile_id: str) -> Faults:
    """Rolling windows over a profile of ``latest``, whose value does not add up over time."""
    meter_code, _, profile_code = profile_id.partition(".")
    meter = planned.get("meter", meter_code)
    aggregations = (
        [profile.aggregation for profile in meter.profiles if profile.code == profile_code]
        if isinstance(meter, Meter)
        else []
    )
    for number, limit in enumerate(limits):
        if limit.rolling is not None and aggregations == ["latest"]:
            detail = (
                f"{profile_id} is the latest value, which no window of time has a part of; write a reset in place of"
                " the rolling window"
            )
            yield f"[{number}].rolling", detail


def grant_faults(
    planned: Planned,
    grant: FeatureGrant,
    feature: Feature,
    profile_id: str,
    plan: str,
    charged: frozenset[str],
) -> Faults:
    """What a plan or a subscription to it cannot grant; ``profile_id``: what measures the feature, "" for nothing;
    ``charged``: profiles that the plan bills."""
    if feature.profile is not None and grant.value is not None:
        yield ".value", f"feature {feature.code} is metered by {feature.profile}; write limits, or remove the value"
    if grant.value is not None and feature.value is not None and type(grant.value) is not type(feature.value):
        has = f"{feature.code} has {_KINDS[type(feature.value)]} ({str(feature.value)[:40]})"
        yield ".value", f"{str(grant.value)[:40]!r} is {_KINDS[type(grant.value)]}, and {has}; write such a one"
    if feature.profile is None and grant.limits:
        yield ".limits", f"feature {feature.code} is not metered; name its profile, or remove the limits"
    if feature.profile is None or not grant.granted:
        return
    if grant.limits is not None:
        for below, detail in limit_faults(planned, grant.limits, profile_id):
            yield f".limits{below}", detail
    for number, limit in enumerate(feature.all_limits if grant.limits is None else grant.limits):
        if limit.amount is not None and profile_id and profile_id not in charged:
            field_path = f".limits[{number}].amount" if grant.limits is not None else ".feature"
            detail = f"plan {plan} charges nothing for {profile_id}, so its use has no cost; limit the quantity instead"
            yield field_path, detail
