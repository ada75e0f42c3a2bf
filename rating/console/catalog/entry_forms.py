"""The forms of the catalog's entries: what each asks for, with what the namespace has to choose from. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rating.console.catalog.choices import INTERVALS, choice, entries_of, metrics_of
from rating.console.catalog.form_nodes import FieldGroup, FieldObject, FieldRows, FormNode, TypedField
from rating.console.catalog.further_forms import alert_rule_nodes, credit_grant_nodes, feature_nodes
from rating.console.catalog.price_nodes import price_nodes
from rating.console.catalog.term_nodes import DAY, discounts, granted_features, top_ups
from schemas.catalog.state import NamespaceView
from schemas.values.json_text import JsonObject
from schemas.values.time_zones import NAMES

_NAMED: Final = "Letters, digits, - and _; it stays"
_CODE: Final = TypedField("code", "Code", hint=_NAMED, required=True, lasting=True)
_NAME: Final = TypedField("name", "Name", hint="what people read", size=30)
_OPERATORS: Final = tuple(
    (name, name.replace("_", " "))
    for name in ("", "eq", "ne", "in", "not_in", "gt", "gte", "lt", "lte", "exists", "contains", "starts_with")
)
_AGGREGATIONS: Final = (
    ("sum", "Sum of a property"),
    ("count", "Count of events"),
    ("count_unique", "Count of different values"),
    ("max", "Largest value"),
    ("min", "Smallest value"),
    ("latest", "Latest value"),
)
_FILTERS: Final = (
    TypedField("property", "Property", "path", "path, e.g. to.country"),
    TypedField("operator", "Is", "choice", options=_OPERATORS),
    TypedField("value", "Value", "operand", 'with commas for in; "5" in quotes is text'),
)
_PROFILE: Final[tuple[FormNode, ...]] = (
    TypedField("code", "Code", hint="the metric is called meter.code"),
    TypedField("aggregation", "Measures", "choice", options=_AGGREGATIONS),
    TypedField("property", "Property", "path", "path of the number or value, e.g. usage.tokens; none for a count"),
    TypedField("unit", "Unit", size=12),
    TypedField("dimensions", "Dimensions", "paths", "paths, with commas: usage is split by them", size=30),
    FieldRows("filters", "Filters: events that count", "Filter", _FILTERS, "All of them must hold."),
    FieldGroup(
        "More",
        (
            TypedField("name", "Name"),
            TypedField("carry_over", "Latest value goes on in a period without events", "flag"),
            TypedField(
                "compare", "Different values are compared", "choice",
                options=(("value", "as JSON: 42 and \"42\" differ"), ("text", "as text")),
            ),
        ),
        closed=True,
    ),
)  # fmt: skip
_METRIC: Final[tuple[FormNode, ...]] = (
    FieldGroup(
        "Events",
        (
            _CODE,
            _NAME,
            TypedField("event_name", "Event name", hint="of the events it measures; empty: its code"),
            TypedField("unit", "Unit", hint="e.g. token, GB, call", size=12),
        ),
    ),
    FieldRows("profiles", "What is measured", "Measure", _PROFILE),
    FieldGroup(
        "More",
        (
            TypedField(
                "window", "Rolled up by", "choice", options=(("day", "day"), ("hour", "hour"), ("minute", "minute"))
            ),
            TypedField(
                "start", "Counts from", hint="an instant; one in the past counts older events again", each_time=True
            ),
        ),
        closed=True,
    ),
)
_BUYER: Final[tuple[FormNode, ...]] = (
    TypedField("name", "Full name", hint="empty: the name above", size=30),
    TypedField("address", "Address", "texts", "its lines with commas between, the country last", size=40),
    TypedField("tax_id", "Tax id", hint="e.g. VAT DE123456789"),
    TypedField("email", "E-mail", size=30),
)
_PLAN: Final[tuple[FormNode, ...]] = (
    FieldGroup(
        "Plan",
        (
            _CODE,
            _NAME,
            TypedField("currency", "Currency", hint="ISO code, e.g. USD, or a unit of your own", required=True, size=8),
            TypedField(
                "interval", "Billed every", "choice",
                options=INTERVALS,
            ),
        ),
    ),
    FieldGroup(
        "Terms",
        (
            TypedField("trial_days", "Trial days", "integer", size=6),
            TypedField("payment_terms_days", "Days to pay", "integer", "30 where it says nothing", size=6),
            TypedField("grace_seconds", "Seconds of grace", "integer", "for late events at a period's end", size=8),
            TypedField("minimum_commitment", "Least total a period", size=12),
            TypedField("invoice_threshold", "Bill at once from", hint="unbilled use of a running period", size=12),
            TypedField(
                "approval", "Invoices", "choice",
                options=(("none", "are final by themselves"), ("required", "wait for approval")),
            ),
        ),
        closed=True,
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class CatalogPlace:
    """A kind of entry on the console. ``path``: below /catalog/; ``resource``: of the API's path."""

    path: str
    kind: str
    resource: str
    title: str
    what: str
    side: str
    """the sidebar's place"""


PLACES: Final = {
    catalog_place.path: catalog_place
    for catalog_place in (
        CatalogPlace("metrics", "meter", "meters", "Billable metrics", "metric", "settings"),
        CatalogPlace("products", "product", "products", "Products", "product", "catalog/products"),
        CatalogPlace("plans", "plan", "plans", "Plans", "plan", "catalog/plans"),
        CatalogPlace("accounts", "account", "accounts", "Customers", "customer", "accounts"),
        CatalogPlace("subscriptions", "subscription", "subscriptions", "Subscriptions", "subscription", "accounts"),
        CatalogPlace("features", "feature", "features", "Features", "feature", "settings"),
        CatalogPlace("credits", "credit_grant", "credit-grants", "Prepaid credits", "credit grant", "settings"),
        CatalogPlace("alert-rules", "alert_rule", "alert-rules", "Alert rules", "alert rule", "alerts"),
    )
}


def nodes_of(view: NamespaceView, kind: str) -> tuple[FormNode, ...]:
    """The form of a kind of entry."""
    return _NODES[kind](view)


def charge_nodes(view: NamespaceView, model: str) -> tuple[FormNode, ...]:
    """The form of one charge of a plan; ``model``: of its price."""
    return (
        FieldGroup("Product", (choice("product", "Product", entries_of(view, "product"), required=True),)),
        FieldGroup("Price", (price_nodes(model),)),
        FieldGroup(
            "More",
            (
                TypedField("code", "Code of the charge", hint="empty: the product's"),
                TypedField("prorated", "A part of a period costs a part of a fee", "flag"),
                TypedField("in_advance", "Billed at the beginning of the period", "flag", "flat prices only"),
                TypedField(
                    "included", "Included units after a change of price", "choice",
                    options=(
                        ("", "by default"), ("shared", "shared"), ("whole", "whole again"), ("prorated", "in part"),
                    ),
                ),
                TypedField(
                    "tiers", "Tiers after a change of price", "choice",
                    options=(("", "by default"), ("continue", "go on"), ("reset", "begin again")),
                ),
            ),
            closed=True,
        ),
    )  # fmt: skip


def opening(kind: str, given: JsonObject) -> JsonObject:
    """What the form of a new entry opens with. ``given``: what the link named."""
    start: dict[str, JsonObject] = {
        "meter": {"profiles": [{"code": "total", "aggregation": "sum"}]},
        "product": {"kind": "metered"},
        "plan": {"interval": "month"},
        "account": {"time_zone": "UTC"},
        "credit_grant": {"source": "paid"},
    }
    body = start.get(kind, {}) | {name: value for name, value in given.items() if value}
    if kind == "subscription" and body.get("account") and body.get("plan"):
        body |= {"code": f"{body['account']}-{body['plan']}"}
    return body


def _product(view: NamespaceView) -> tuple[FormNode, ...]:
    kinds = (("metered", "Usage, by a metric"), ("flat", "A fee, without a metric"))
    return (
        FieldGroup(
            "Product",
            (
                _CODE,
                TypedField("name", "Name", hint="shown on invoices", size=30),
                TypedField("kind", "Bills", "choice", options=kinds),
                choice("profile", "Metric", metrics_of(view)),
                TypedField("unit", "Unit", hint="shown on invoices; empty: the metric's", size=12),
            ),
        ),
    )


def _account(view: NamespaceView) -> tuple[FormNode, ...]:
    return (
        FieldGroup(
            "Customer",
            (
                TypedField("code", "Code", hint="the account_id of its events; it stays", required=True, lasting=True),
                _NAME,
                TypedField(
                    "time_zone",
                    "Time zone",
                    hint="of its days and months",
                    options=tuple((zone, zone) for zone in sorted(NAMES)),
                ),
            ),
        ),
        FieldGroup("On its invoices", (FieldObject("buyer", _BUYER),), closed=True),
        top_ups(),
    )


def _subscription(view: NamespaceView) -> tuple[FormNode, ...]:
    return (
        FieldGroup(
            "Subscription",
            (
                TypedField("code", "Code", hint=_NAMED, required=True, lasting=True),
                TypedField("account", "Customer", hint="its code", options=entries_of(view, "account"), required=True),
                choice("plan", "Plan", entries_of(view, "plan"), required=True),
                TypedField("start", "From", hint=DAY, required=True),
                TypedField("end", "Until (not included)", hint="empty: no end"),
                TypedField("change_at", "The change holds from", hint="empty: from now on", each_time=True),
            ),
        ),
        FieldGroup(
            "Terms",
            (
                TypedField("plan_version", "Version of the plan", "integer", "empty: the newest", size=6),
                TypedField("billing_anchor", "Periods begin on the day of", hint="a date; empty: the calendar's"),
                TypedField("trial_end", "Nothing is billed before", hint=DAY),
                TypedField("minimum_commitment", "Least total a period", size=12),
                TypedField("invoice_threshold", "Bill at once from", size=12),
            ),
            closed=True,
        ),
        discounts(view),
        granted_features(view, may_take_away=True),
        top_ups(),
    )


_NODES: Final[dict[str, Callable[[NamespaceView], tuple[FormNode, ...]]]] = {
    "meter": lambda _: _METRIC,
    "product": _product,
    "plan": lambda view: (*_PLAN, discounts(view), granted_features(view, may_take_away=False), top_ups()),
    "account": _account,
    "subscription": _subscription,
    "feature": feature_nodes,
    "credit_grant": credit_grant_nodes,
    "alert_rule": alert_rule_nodes,
}
