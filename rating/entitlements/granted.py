"""Which features an account has at an instant, by its active subscriptions and their newest terms, as billing reads
them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rating.invoicing.due import current_span
from rating.subscriptions.billing_periods import Span
from rating.subscriptions.timeline import PlanningError, Segment, Timeline, timeline_of
from schemas.catalog.entitlements.credit_floors import CreditFloor
from schemas.catalog.entitlements.features import Feature, FeatureGrant, FeatureLimit, StaticValue
from schemas.catalog.profiles import FOREVER
from schemas.catalog.state import NamespaceView

_OF_PERIODS: Final = ("account", "plan", "plan_version", "start", "billing_anchor", "change_at", "trial_end")


@dataclass(frozen=True, slots=True)
class Grant:
    """A feature as one active subscription grants it. ``value``: of a static one; ``limits``: of a metered one;
    ``span``: the subscription's running period; ``line``: its timeline; ``block``: only as long as its interim
    invoices are paid; ``credit_floor``: only while so much prepaid credit is left."""

    feature: Feature
    value: StaticValue | None
    limits: tuple[FeatureLimit, ...]
    line: Timeline
    segment: Segment
    span: Span
    block: bool = False
    credit_floor: CreditFloor | None = None

    @property
    def asks_for_payment(self) -> bool:
        """Whether it, or one of its limits, blocks until interim invoices are paid."""
        return self.block or any(limit.block for limit in self.limits)


@dataclass(frozen=True, slots=True)
class Granted:
    """What an account has in [now, ``until_us``): by feature code, the grants of its subscriptions, the one that
    started last first; ``problems``: of subscriptions that cannot be planned, and features that cannot be read."""

    account_id: str
    time_zone: str
    grants: Mapping[str, tuple[Grant, ...]]
    until_us: int
    problems: tuple[str, ...] = ()


def granted_to(
    view: NamespaceView, account_id: str, now_us: int, billed_until_us: Mapping[str, int] | None = None
) -> Granted:
    """What an account has at an instant. ``billed_until_us``: subscription → end of its last billed period, where a
    change of time zone or anchor may have moved it; periods go on from there, else from the subscription's start."""
    problems: list[str] = []
    grants: dict[str, list[Grant]] = {}
    until_us = FOREVER
    active: list[tuple[Timeline, Segment, Span]] = []
    for line in _lines(view, account_id, problems):
        segment = next((part for part in line.segments if part.start_us <= now_us < part.end_us), None)
        until_us = min([until_us, *(edge for edge in _edges(line) if edge > now_us)])
        if segment is None:
            continue
        try:
            current = current_span(line, (billed_until_us or {}).get(line.subscription), now_us)
        except (PlanningError, ValueError) as error:
            problems.append(f"subscription {line.subscription}: {error}")
            continue
        if current is not None:
            until_us = min(until_us, current[0].end_us)
            active.append((line, segment, current[0]))
    for line, segment, span in sorted(active, key=lambda part: (-part[0].start_us, part[0].subscription)):
        for grant in _in_force(segment):
            entry = view.get("feature", grant.feature)
            if entry is None:
                continue
            try:
                feature: Feature = entry.model
            except ValueError as error:  # a newer release's, in a rolling upgrade
                problems.append(f"feature {grant.feature}: this release cannot read it: {error}")
                continue
            limits = feature.all_limits if grant.limits is None else grant.limits
            value = feature.value if grant.value is None else grant.value
            in_force = limits if feature.profile is not None else ()
            held = Grant(feature, value, in_force, line, segment, span, grant.block, grant.credit_floor)
            grants.setdefault(feature.code, []).append(held)
    in_order = {code: tuple(of_feature) for code, of_feature in sorted(grants.items())}
    return Granted(account_id, view.time_zone(account_id), in_order, until_us, tuple(problems))


def billed_ends_matter(view: NamespaceView, account_id: str) -> bool:
    """Whether periods may be others than the newest terms make them from the start: the account's time zone, or what
    periods are made of in one of its subscriptions, was changed, so ``granted_to`` needs what is billed."""
    zones = {entry.body.get("time_zone") for entry in view.history("account", account_id)}
    subscriptions = view.histories_referring("subscription", "account", account_id)
    terms = ({tuple(entry.body.get(name) for name in _OF_PERIODS) for entry in history} for history in subscriptions)
    return len(zones) > 1 or any(len(of_subscription) > 1 for of_subscription in terms)


def _lines(view: NamespaceView, account_id: str, problems: list[str]) -> Iterator[Timeline]:
    for versions in view.histories_referring("subscription", "account", account_id):
        try:
            if versions[-1].model.account != account_id:
                continue
            line = timeline_of(view, versions)
        except PlanningError as error:
            problems.append(str(error))
        except ValueError as error:  # a body that nobody would take today: it holds back its own subscription alone
            problems.append(f"subscription {versions[-1].code}: {error}")
        else:
            if line is not None:
                yield line


def _edges(line: Timeline) -> Iterable[int]:
    return (edge for segment in line.segments for edge in (segment.start_us, segment.end_us))


def _in_force(segment: Segment) -> Iterator[FeatureGrant]:
    """The grants of the plan, and in place of those of the same feature the subscription's own."""
    own_features = {grant.feature for grant in segment.features}
    for grant in (*(grant for grant in segment.plan.features if grant.feature not in own_features), *segment.features):
        if grant.granted:
            yield grant
