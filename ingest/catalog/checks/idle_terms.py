"""Warnings about terms that do nothing: credit that has expired before it is granted, and alert rules whose percentages
are of nothing, or which fire before anything is used. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from ingest.catalog.checks.touched import Touched
from ingest.catalog.document import Fault
from ingest.catalog.planned import Planned
from schemas.catalog.alerts import AlertRule
from schemas.catalog.entitlements.features import Feature, FeatureLimit
from schemas.catalog.meters import ZERO_WITHOUT_USAGE, Meter
from schemas.catalog.models import Account, Plan, Subscription
from schemas.catalog.terms import CreditGrant, boundary
from schemas.values.instants import rfc3339

_MOST: Final = 200
"""Plans, and subscriptions of an account, that are looked at for a rule; where there are more it is not told."""


def idle_terms(planned: Planned, touched: Touched, now_us: int | None) -> Iterator[Fault]:
    """What the document declares to no effect at ``now_us`` (microseconds UTC; None: not known)."""
    for code in touched.codes.get("credit_grant", ()):
        grant = planned.get("credit_grant", code)
        if isinstance(grant, CreditGrant) and planned.declares("credit_grant", code) and now_us is not None:
            yield from _expired(planned, code, grant, now_us)
    for code in touched.codes.get("alert_rule", ()):
        rule = planned.get("alert_rule", code)
        if isinstance(rule, AlertRule) and planned.declares("alert_rule", code):
            if rule.by_percentage:
                yield from _of_nothing(planned, code, rule)
            yield from _from_the_start(planned, code, rule)


def _expired(planned: Planned, code: str, grant: CreditGrant, now_us: int) -> Iterator[Fault]:
    account = planned.get("account", grant.account or "")
    expires_us = boundary(grant.expires, account.time_zone if isinstance(account, Account) else "UTC")
    if expires_us is not None and expires_us <= now_us:
        detail = (
            f"it expired at {rfc3339(expires_us)}, so it pays for nothing that is used now; name an instant to come"
        )
        yield Fault(f"{planned.path_of('credit_grant', code)}.expires", detail)


def _of_nothing(planned: Planned, code: str, rule: AlertRule) -> Iterator[Fault]:
    detail = ""
    if rule.measure == "spend" and rule.budget is None and not _committed(planned, rule):
        detail = (
            f"no plan in {rule.currency} has a minimum_commitment, so these percentages are of nothing; write budget"
        )
    elif rule.measure == "entitlement" and not _limited(planned, rule):
        of = f" that resets by {rule.interval}" if rule.interval else " that resets by more than a minute"
        detail = f"feature {rule.feature} has no limit{of}, so these percentages are of nothing; give it one"
    if detail:
        yield Fault(f"{planned.path_of('alert_rule', code)}.thresholds", detail)


def _from_the_start(planned: Planned, code: str, rule: AlertRule) -> Iterator[Fault]:
    """A rule that fires in each period before anything is used, which is what a falling one of a total means."""
    if rule.measure == "usage":
        totals = _adds_up(planned, rule.profile or "")
    else:
        totals = rule.measure in ("spend", "entitlement")
    path = planned.path_of("alert_rule", code)
    if totals and rule.falling:
        detail = (
            f"{rule.measure} begins each period at 0, so a falling rule fires as the period begins, and recovers above;"
            " write rising, if more of it is what you want to know"
        )
        yield Fault(f"{path}.direction", detail)
    elif totals and "0" in rule.thresholds:
        yield Fault(f"{path}.thresholds", "0 is reached as each period begins, so it fires then; write more than 0")


def _adds_up(planned: Planned, address: str) -> bool:
    """Whether a profile is 0 without events."""
    code, _, profile_code = address.partition(".")
    meter = planned.get("meter", code)
    profiles = meter.profiles if isinstance(meter, Meter) else ()
    return any(profile.aggregation in ZERO_WITHOUT_USAGE for profile in profiles if profile_code in ("", profile.code))


def _committed(planned: Planned, rule: AlertRule) -> bool:
    """Whether there may be a minimum commitment for percentages to be of; a rule of a plan or subscription without one
    is refused."""
    if rule.plan is not None or rule.subscription is not None:
        return True
    if rule.account is None:
        if planned.count("plan") > _MOST or planned.count("subscription") > _MOST:
            return True
        terms = [planned.get(kind, code) for kind in ("plan", "subscription") for code in planned.codes(kind)]
    else:
        subscriptions = planned.subscriptions(rule.account)[:_MOST]
        terms = [*subscriptions, *(planned.get("plan", subscription.plan) for subscription in subscriptions)]
    return any(isinstance(model, Plan | Subscription) and model.minimum_commitment for model in terms)


def _limited(planned: Planned, rule: AlertRule) -> bool:
    """Whether there may be a limit for percentages to be of."""
    feature = planned.get("feature", rule.feature or "")
    if not isinstance(feature, Feature) or planned.count("plan") > _MOST or planned.count("subscription") > _MOST:
        return True
    limits: list[FeatureLimit] = list(feature.all_limits)
    for kind in ("plan", "subscription"):
        for code in planned.codes(kind):
            model = planned.get(kind, code)
            if isinstance(model, Plan | Subscription):
                limits += [
                    limit for grant in model.features if grant.feature == rule.feature for limit in grant.limits or ()
                ]
    return any(
        limit.rolling is None and limit.reset != "minute" and rule.interval in (None, limit.reset) for limit in limits
    )
