"""Checks references between catalog entries, on the catalog as it would be after a plan. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from ingest.catalog.checks.feature_faults import grant_faults, limit_faults
from ingest.catalog.checks.filters_by_schema import unfit_faults
from ingest.catalog.checks.fine_amounts import too_fine
from ingest.catalog.checks.touched import Touched
from ingest.catalog.checks.unit_faults import NAMING_UNITS, undeclared_units
from ingest.catalog.document import Fault, Tick, no_tick
from ingest.catalog.planned import Planned
from schemas.catalog.alerts import AlertRule
from schemas.catalog.base import Model
from schemas.catalog.entitlements.features import Feature
from schemas.catalog.meters import ZERO_WITHOUT_USAGE, Meter
from schemas.catalog.models import Plan, Product, Subscription
from schemas.catalog.terms import CreditGrant
from schemas.prices import PriceError, price_in
from schemas.values.suggestions import similar

_COMPARED = 50_000  # limit on names compared to suggest similar ones, over all messages of a plan
_EVER = datetime.max.replace(tzinfo=UTC)


def reference_faults(planned: Planned, touched: Touched, tick: Tick = no_tick) -> Iterator[Fault]:
    """References to entries that do not exist, and subscriptions that would bill the same usage twice, among what is
    in ``touched``. Raises what ``tick`` raises."""
    return _References(planned, touched, tick).faults()


class _References:
    def __init__(self, planned: Planned, touched: Touched, tick: Tick) -> None:
        self._planned = planned
        self._touched = touched
        self._tick = tick
        self._to_compare = _COMPARED
        self._billed_by_plan: dict[tuple[str, int], frozenset[str]] = {}

    def faults(self) -> Iterator[Fault]:
        for kind in ("feature", "product"):
            for code, model in self._models(kind):
                assert isinstance(model, Feature | Product)
                profile_id, wrong = self._resolve(model.profile) if model.profile is not None else ("", "")
                if wrong:
                    yield self._fault(kind, code, ".profile", wrong)
                elif isinstance(model, Feature):
                    for below, detail in limit_faults(self._planned, model.limits, profile_id):
                        yield self._fault(kind, code, f".limits{below}", detail)
        yield from unfit_faults(self._planned, self._touched.codes.get("meter", ()))
        for code, plan in self._models("plan"):
            assert isinstance(plan, Plan)
            for number, charge in enumerate(plan.charges):
                product = self._planned.get("product", charge.product)
                if product is None:
                    yield self._fault(
                        "plan", code, f".charges[{number}].product", self._absent("product", charge.product)
                    )
                elif charge.in_advance and isinstance(product, Product) and product.kind != "flat":
                    detail = f"product {product.code} is metered, and usage is billed in arrears; remove it"
                    yield self._fault("plan", code, f".charges[{number}].in_advance", detail)
            yield from self._discount_faults("plan", code, plan, plan)
            yield from self._grant_faults("plan", code, plan, plan)
        for code, grant in self._models("credit_grant"):
            assert isinstance(grant, CreditGrant)
            for kind, owner in (("account", grant.account), ("subscription", grant.subscription)):
                if owner is not None and not self._planned.has(kind, owner):
                    yield self._fault("credit_grant", code, f".{kind}", self._absent(kind, owner))
            yield from self._recurrence_faults(code, grant)
            for number, product_code in enumerate(grant.products):
                if not self._planned.has("product", product_code):
                    detail = self._absent("product", product_code)
                    yield self._fault("credit_grant", code, f".products[{number}]", detail)
        for code, rule in self._models("alert_rule"):
            assert isinstance(rule, AlertRule)
            yield from self._alert_faults(code, rule)
        for code, subscription in self._models("subscription"):
            assert isinstance(subscription, Subscription)
            yield from self._subscription_faults(code, subscription)
        for kind in NAMING_UNITS:
            for code, model in self._models(kind):
                for field_path, unit in undeclared_units(self._planned, model):
                    yield self._fault(kind, code, field_path, self._absent("unit", unit))
        for account in self._touched.accounts:
            yield from self._overlaps(self._planned.subscriptions(account))

    def _models(self, kind: str) -> Iterator[tuple[str, Model]]:
        for code in self._touched.codes.get(kind, ()):
            self._tick()
            if (model := self._planned.get(kind, code)) is not None:
                yield code, model

    def _fault(self, kind: str, code: str, below: str, detail: str) -> Fault:
        if not self._planned.declares(kind, code) and below:
            return Fault("$", f"{kind} {code} (not in this document) at {below.removeprefix('.')}: {detail}")
        return Fault(self._planned.path_of(kind, code) + below, detail)

    def _resolve(self, address: str) -> tuple[str, str]:
        """Resolve a profile address "meter" or "meter.profile" to (profile id, "") or ("", error)."""
        code, _, profile_code = address.partition(".")
        meter = self._planned.get("meter", code)
        if meter is None:
            return "", self._absent("meter", code)
        assert isinstance(meter, Meter)
        known = [profile.code for profile in meter.profiles]
        if not profile_code and len(known) == 1:
            return f"{code}.{known[0]}", ""
        if profile_code in known:
            return address, ""
        listed = ", ".join(f"{code}.{profile}" for profile in known)
        if not profile_code:
            return "", f"meter {code} has several profiles; say which: {listed}"
        return "", f"no profile {address}; known: {listed}"

    def _absent(self, kind: str, code: str) -> str:
        """Error message for a missing entry, with the remedy."""
        if self._planned.standing(kind, code) is not None:
            return f"{kind} {code} is retired here; remove it there first"
        if self._planned.was_retired(kind, code):
            return f"{kind} {code} is retired; publish it again, or refer to another"
        self._to_compare -= self._planned.count(kind)
        near = similar(self._planned.codes(kind), (code,)) if self._to_compare >= 0 else ()
        return f"no {kind} {code}; did you mean {' or '.join(near)}?" if near else f"no {kind} {code}; declare it"

    def _alert_faults(self, code: str, rule: AlertRule) -> Iterator[Fault]:
        if rule.profile is not None:
            profile_id, wrong = self._resolve(rule.profile)
            if not wrong and rule.measure == "anomaly":
                wrong = self._no_anomalies_of(profile_id)
            if wrong:
                yield self._fault("alert_rule", code, ".profile", wrong)
        feature = self._planned.get("feature", rule.feature) if rule.feature is not None else None
        if isinstance(feature, Feature) and feature.profile is None:
            detail = f"feature {feature.code} has no profile, so nothing of it is used; name a metered one"
            yield self._fault("alert_rule", code, ".feature", detail)
        for kind in ("plan", "subscription", "account", "feature"):
            subject = getattr(rule, kind)
            if subject is not None and not self._planned.has(kind, subject):
                yield self._fault("alert_rule", code, f".{kind}", self._absent(kind, subject))
        if self._planned.declares("alert_rule", code):
            yield from self._alert_base_faults(code, rule)

    def _no_anomalies_of(self, profile_id: str) -> str:
        """Why the profile's days cannot be judged; "": they can."""
        meter_code, _, profile_code = profile_id.partition(".")
        meter = self._planned.get("meter", meter_code)
        assert isinstance(meter, Meter)
        aggregation = next(profile.aggregation for profile in meter.profiles if profile.code == profile_code)
        if aggregation in ZERO_WITHOUT_USAGE:
            return ""
        return f"{profile_id} is {aggregation}, which has no value on a day without events; name a sum or count"

    def _alert_base_faults(self, code: str, rule: AlertRule) -> Iterator[Fault]:
        """Percentages of nothing, and a rule that would measure something else under the names of its alerts."""
        history = self._planned.view.history("alert_rule", code)
        earlier = history[-1].model if history else rule
        for name in ("measure", "profile", "feature", "currency", "interval", "falling"):
            if getattr(earlier, name) != getattr(rule, name):
                field = "direction" if name == "falling" else name
                detail = f"it was {getattr(earlier, field)} and its alerts are of that; write a rule with another code"
                yield self._fault("alert_rule", code, f".{field}", detail)
        percent = any(threshold.endswith("%") for threshold in rule.thresholds)
        if rule.measure != "spend" or rule.budget is not None or not percent:
            return
        subscription = self._planned.get("subscription", rule.subscription or "")
        plan: Model | None = None
        commitment = None
        if isinstance(subscription, Subscription):
            plan = self._planned.plan_version(subscription.plan, subscription.plan_version or 0)
            commitment = subscription.minimum_commitment
        elif rule.plan is not None:
            plan = self._planned.get("plan", rule.plan)
        if isinstance(plan, Plan) and not (plan.minimum_commitment if commitment is None else commitment):
            of = f"plan {plan.code}" if rule.plan is not None else f"subscription {rule.subscription}"
            detail = f"{of} has no minimum_commitment for percentages to be of; write budget"
            yield self._fault("alert_rule", code, ".budget", detail)

    def _subscription_faults(self, code: str, subscription: Subscription) -> Iterator[Fault]:
        if not self._planned.has("account", subscription.account):
            yield self._fault("subscription", code, ".account", self._absent("account", subscription.account))
        if not self._planned.has("plan", subscription.plan):
            yield self._fault("subscription", code, ".plan", self._absent("plan", subscription.plan))
            return
        version = subscription.plan_version or 0
        plan = self._planned.plan_version(subscription.plan, version)
        if plan is None:
            detail = f"plan {subscription.plan} has no version {version}; leave it out for the current one"
            yield self._fault("subscription", code, ".plan_version", detail)
            return
        for charge in plan.charges:
            if not self._planned.has("product", charge.product):
                detail = f"version {version} of plan {plan.code} charges product {charge.product}, which is not there"
                yield self._fault("subscription", code, ".plan_version", detail)
        yield from self._discount_faults("subscription", code, plan, subscription)
        yield from self._grant_faults("subscription", code, plan, subscription)
        charges = {charge.key for charge in plan.charges}
        for number, override in enumerate(subscription.overrides):
            if override.charge not in charges:
                detail = (
                    f"plan {plan.code} has no charge {override.charge}; it has {', '.join(sorted(charges)) or 'none'}"
                )
                yield self._fault("subscription", code, f".overrides[{number}].charge", detail)
            try:
                price_in(override.price, plan.currency)
            except PriceError as error:
                yield self._fault("subscription", code, f".overrides[{number}].price", str(error))

    def _recurrence_faults(self, code: str, grant: CreditGrant) -> Iterator[Fault]:
        """A version that counts recurrences otherwise: what was drawn is kept by their dates."""
        history = self._planned.view.history("credit_grant", code)
        if not history:
            return
        before: CreditGrant = history[-1].model  # also of a retired one, which may come back
        counted = [
            (item.effective, item.recurrence.every) if item.recurrence is not None else None for item in (before, grant)
        ]
        if counted[0] != counted[1]:
            detail = (
                "draws are kept by recurrence, so effective, every, and whether it recurs stay as they are; retire"
                f" {code} (or let it expire) and declare another grant"
            )
            yield self._fault("credit_grant", code, ".recurrence", detail)

    def _grant_faults(self, kind: str, code: str, plan: Plan, owner: Plan | Subscription) -> Iterator[Fault]:
        """Features that are not there, or that are granted what they cannot have."""
        if self._planned.declares(kind, code):
            for below, detail in too_fine(plan.currency, owner):
                yield self._fault(kind, code, below, detail)
        if not owner.features:
            return
        charged = self._billed_by(owner) if isinstance(owner, Subscription) else self._billed(plan)
        for number, grant in enumerate(owner.features):
            self._tick()
            feature = self._planned.get("feature", grant.feature)
            if not isinstance(feature, Feature):
                yield self._fault(kind, code, f".features[{number}].feature", self._absent("feature", grant.feature))
                continue
            profile_id = self._resolve(feature.profile)[0] if feature.profile is not None else ""
            for below, detail in grant_faults(self._planned, grant, feature, profile_id, plan.code, charged):
                yield self._fault(kind, code, f".features[{number}]{below}", detail)

    def _discount_faults(self, kind: str, code: str, plan: Plan, owner: Plan | Subscription) -> Iterator[Fault]:
        """Discounts on a product that the plan does not charge, which would silently have no effect."""
        products = {charge.product for charge in plan.charges}
        for number, discount in enumerate(owner.discounts):
            if discount.product is not None and discount.product not in products:
                detail = f"plan {plan.code} charges no product {discount.product}; name one that it charges, or none"
                yield self._fault(kind, code, f".discounts[{number}].product", detail)

    def _billed_by(self, subscription: Subscription) -> frozenset[str]:
        key = subscription.plan, subscription.plan_version or 0
        known = self._billed_by_plan.get(key)
        if known is None:
            known = self._billed_by_plan[key] = self._billed(self._planned.plan_version(*key))
        return known

    def _billed(self, plan: Plan | None) -> frozenset[str]:
        """The profiles that a plan bills."""
        products = [self._planned.get("product", charge.product) for charge in (plan.charges if plan else ())]
        addresses = [item.profile for item in products if isinstance(item, Product) and item.profile is not None]
        return frozenset(address for address, _ in map(self._resolve, addresses) if address)

    def _overlaps(self, subscriptions: Sequence[Subscription]) -> Iterator[Fault]:
        """Subscriptions of one account that bill the same profile at the same time.

        Per profile, in order of their starts, each is compared only with the earlier one that ends last, so the
        cost stays linear in the number of subscriptions.
        """
        if len(subscriptions) < 2:
            return
        order = {subscription.code: number for number, subscription in enumerate(subscriptions)}
        latest: dict[str, Subscription] = {}
        for subscription in sorted(subscriptions, key=lambda candidate: (_start(candidate), order[candidate.code])):
            self._tick()
            both: dict[str, set[str]] = {}
            for profile in self._billed_by(subscription):
                previous = latest.get(profile)
                if (
                    previous is not None
                    and _start(subscription) < _end(previous)
                    and _start(previous) < _end(subscription)
                ):
                    both.setdefault(previous.code, set()).add(profile)
                if previous is None or _end(subscription) > _end(previous):
                    latest[profile] = subscription
            for code in sorted(both, key=order.__getitem__):
                earlier, second = sorted((order[code], order[subscription.code]))
                yield self._overlap(subscriptions[earlier], subscriptions[second], both[code])

    def _overlap(self, earlier: Subscription, later: Subscription, both: set[str]) -> Fault:
        in_document = self._planned.declares("subscription", later.code)
        late, early = (later, earlier) if in_document else (earlier, later)
        at_once = f"as subscription {early.code} does at the same time; end one before the other starts"
        detail = f"bills {', '.join(sorted(both))} of account {earlier.account}, {at_once}"
        return self._fault("subscription", late.code, "", detail)


def _start(subscription: Subscription) -> datetime:
    assert isinstance(subscription.start, datetime)
    return subscription.start


def _end(subscription: Subscription) -> datetime:
    assert subscription.end is None or isinstance(subscription.end, datetime)
    return subscription.end or _EVER
