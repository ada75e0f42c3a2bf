"""The forms of features, credit grants and alert rules. Pure."""

from __future__ import annotations

from typing import Final

from rating.console.catalog.choices import INTERVALS, choice, entries_of, metrics_of
from rating.console.catalog.form_nodes import FieldGroup, FieldObject, FieldRows, FormNode, TypedField
from rating.console.catalog.term_nodes import DAY, LIMITS
from schemas.catalog.state import NamespaceView

_CODE: Final = TypedField("code", "Code", hint="Letters, digits, - and _; it stays", required=True, lasting=True)
_NAME: Final = TypedField("name", "Name", hint="what people read", size=30)
_CURRENCY: Final = "ISO code, e.g. USD, or a unit of your own"
_MEASURES: Final = (
    ("usage", "Usage of a metric"),
    ("spend", "Spend: the running invoice"),
    ("balance", "Balance: prepaid credit that is left"),
    ("entitlement", "Share of a feature's limit that is used"),
    ("anomaly", "Odd days: spikes, drops, silence"),
)


def feature_nodes(view: NamespaceView) -> tuple[FormNode, ...]:
    """What an account can be entitled to."""
    return (
        FieldGroup(
            "Feature",
            (
                _CODE,
                _NAME,
                choice("profile", "Metric", metrics_of(view), "that measures its use; none: it is not measured"),
                TypedField(
                    "value", "Value", "operand", "that an account with it is told; not beside a metric; \"5\" is text"
                ),
            ),
        ),
        FieldRows("limits", "Limits", "Limit", LIMITS, "Several hold side by side; none: unlimited."),
        FieldGroup(
            "One hard limit, written shorter",
            (
                TypedField("limit", "Quantity", size=12),
                TypedField(
                    "reset", "Starts again", "choice",
                    options=(("", "never"), *((name, f"each {name}") for name, _ in INTERVALS)),
                ),
            ),
            closed=True,
        ),
    )  # fmt: skip


def credit_grant_nodes(view: NamespaceView) -> tuple[FormNode, ...]:
    """Prepaid credit of an account or a subscription."""
    recurrence = (
        TypedField(
            "every", "Given again every", "choice",
            options=(("", "–"), *((name, name) for name in ("week", "month", "quarter", "year"))),
        ),
        TypedField("rollover", "What is left is kept up to", hint="empty: it expires", size=12),
    )  # fmt: skip
    return (
        FieldGroup(
            "Prepaid credit",
            (
                _CODE,
                _NAME,
                TypedField("account", "Customer", hint="its code", options=entries_of(view, "account")),
                TypedField("amount", "Amount", required=True, size=12),
                TypedField("currency", "Currency", hint=_CURRENCY, required=True, size=8),
                TypedField("effective", "From", hint=f"{DAY}; empty: from the beginning"),
                TypedField("expires", "Expires", hint="empty: never"),
            ),
        ),
        FieldGroup(
            "What it cost",
            (
                TypedField(
                    "source", "It was", "choice", options=(("paid", "bought"), ("promotional", "given for nothing"))
                ),
                TypedField("cost_basis", "Paid for it", hint="empty: not stated", size=12),
                TypedField("cost_currency", "Currency of that", hint="of credit in a unit of your own alone", size=8),
            ),
            closed=True,
        ),
        FieldGroup("Given again and again", (FieldObject("recurrence", recurrence, optional=True),), closed=True),
        FieldGroup(
            "More",
            (
                TypedField(
                    "subscription", "Of one subscription alone", hint="its code, in place of the customer",
                    options=entries_of(view, "subscription"),
                ),
                TypedField("priority", "Priority", "integer", "lower numbers are drawn first; 1 where empty", size=6),
                TypedField("products", "Pays these products alone", "texts", "codes with commas; empty: all", size=30),
            ),
            closed=True,
        ),
    )  # fmt: skip


def alert_rule_nodes(view: NamespaceView) -> tuple[FormNode, ...]:
    """What is watched, of whom, and where an alert fires."""
    return (
        FieldGroup(
            "Alert rule",
            (
                _CODE,
                _NAME,
                TypedField("measure", "Watches", "choice", options=_MEASURES, required=True),
                choice("profile", "Metric", metrics_of(view), "of usage and odd days"),
                choice("feature", "Feature", entries_of(view, "feature"), "of a limit's share"),
            ),
        ),
        FieldGroup(
            "Of whom: one of these, or the whole namespace",
            (
                choice("plan", "Customers on the plan", entries_of(view, "plan")),
                TypedField("account", "Customer", hint="its code", options=entries_of(view, "account")),
                TypedField("subscription", "Subscription", hint="its code", options=entries_of(view, "subscription")),
            ),
        ),
        FieldGroup(
            "Where it fires",
            (
                TypedField(
                    "thresholds", "Thresholds", "texts", "values, or percentages with %, with commas between", size=30
                ),
                TypedField("budget", "Percentages are of", hint="empty: of what is committed or granted", size=12),
                TypedField("currency", "Currency", hint="of a balance, and of spend without a plan", size=8),
                TypedField(
                    "interval", "Counted by", "choice", options=(("", "the billing period"), *INTERVALS)
                ),
                TypedField(
                    "direction", "It fires", "choice",
                    options=(
                        ("", "by default: above, a balance below"), ("rising", "at it or above"),
                        ("falling", "at it or below"),
                    ),
                ),
            ),
        ),
    )  # fmt: skip
