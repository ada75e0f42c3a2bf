"""What the forms of plans, subscriptions and accounts ask for beside prices: discounts, granted features with their
limits, top-ups. Pure."""

from __future__ import annotations

from typing import Final

from rating.console.catalog.choices import choice, entries_of
from rating.console.catalog.form_nodes import FieldGroup, FieldObject, FieldRows, FormNode, TypedField
from schemas.catalog.state import NamespaceView

DAY: Final = "a date, or an instant with its zone"
_RESETS: Final = (
    ("", "never, or by the rolling window"),
    ("billing_period", "with the billing period"),
    *((name, f"each {name}") for name in ("minute", "hour", "day", "week", "month", "quarter", "year")),
)
LIMITS: Final[tuple[FormNode, ...]] = (
    TypedField("quantity", "Quantity", hint="of the metric; either this or an amount", size=12),
    TypedField("amount", "Amount", hint="of money, by the plan's prices", size=12),
    TypedField("reset", "Starts again", "choice", options=_RESETS),
    TypedField("rolling", "Rolling window", hint="in place of that, e.g. 5 hours", size=12),
    TypedField(
        "hard", "Beyond it", "truth",
        options=(("true", "use is refused"), ("false", "use is allowed and shown as overage")),
    ),
    TypedField(
        "block", "While an interim invoice is unpaid", "truth",
        options=(("false", "use beyond it is allowed"), ("true", "use beyond it is refused")),
    ),
)  # fmt: skip
"""One limit of a feature."""


def discounts(view: NamespaceView) -> FieldGroup:
    """The discounts of a plan or subscription."""
    nodes = (
        TypedField("code", "Code", required=False),
        TypedField("name", "Name", hint="shown on invoices"),
        TypedField("percent", "Percent", hint="either this or an amount", size=8),
        TypedField("amount", "Amount a period", size=12),
        choice("product", "Off the product", entries_of(view, "product"), "none: off the whole invoice"),
        TypedField("start", "From", hint=DAY),
        TypedField("end", "Until (not included)", hint="empty: no end"),
        TypedField("periods", "First periods alone", "integer", "how many; empty: all", size=6),
    )
    return FieldGroup("Discounts", (FieldRows("discounts", "Discounts", "Discount", nodes),), closed=True)


def granted_features(view: NamespaceView, *, may_take_away: bool) -> FieldGroup:
    """The features of a plan or subscription. ``may_take_away``: a subscription may be without one of its plan's."""
    granted = TypedField(
        "granted", "The customer", "truth", options=(("true", "has it"), ("false", "does not have it"))
    )
    floor = (
        TypedField("currency", "Currency", hint="or unit, of the balance", size=8),
        TypedField("floor", "Balance has to be above", hint="empty: 0", size=12),
        TypedField(
            "block", "At it or below", "truth",
            options=(("true", "use is refused"), ("false", "a check only says what is left")),
        ),
    )  # fmt: skip
    nodes: tuple[FormNode, ...] = (
        choice("feature", "Feature", entries_of(view, "feature")),
        *((granted,) if may_take_away else ()),
        TypedField("value", "Value", "operand", "in place of the feature's own; \"5\" in quotes is text"),
        TypedField(
            "block", "While an interim invoice is unpaid", "truth",
            options=(("false", "it may be used"), ("true", "it may not be used")),
        ),
        FieldRows(
            "limits", "Limits", "Limit", LIMITS, "In place of all limits of the feature; empty: its own hold.",
            "Without any limit",
        ),
        FieldObject("credit_floor", floor, optional=True, label="Prepaid credit that has to be left"),
    )  # fmt: skip
    return FieldGroup("Features and limits", (FieldRows("features", "Features", "Feature", nodes),), closed=True)


def top_ups() -> FieldGroup:
    """When prepaid credit is bought anew, of a plan, subscription or account."""
    cost = (
        TypedField("currency", "Currency of the price", hint="of a unit of your own alone, e.g. USD", size=8),
        TypedField("rate", "Price of one", size=12),
    )
    nodes = (
        TypedField("currency", "Currency", hint="or unit, of the balance", size=8),
        TypedField("floor", "Bought once the balance is at most", size=12),
        TypedField("target", "Up to", size=12),
        TypedField("daily_limit", "At most in 24 hours", size=12),
        FieldObject("cost", cost, optional=True),
    )
    return FieldGroup("Automatic top-ups", (FieldRows("top_ups", "Top-ups", "Top-up", nodes),), closed=True)
