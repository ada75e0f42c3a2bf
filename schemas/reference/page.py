"""Renders the reference page as Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic_core import PydanticUndefined

from schemas import prices
from schemas.catalog import meters, models, terms
from schemas.catalog.alerts import AlertRule
from schemas.catalog.bounds import NamespaceBounds
from schemas.catalog.entitlements import features
from schemas.catalog.entitlements.credit_floors import CreditFloor
from schemas.catalog.keys import KeyLimits
from schemas.catalog.parties.invoice_parties import Buyer, Seller
from schemas.catalog.prepaid.top_ups import TopUp
from schemas.catalog.prepaid.units import ExchangeRate, Unit
from schemas.catalog.webhook_setting import NamedWebhook, Webhook
from schemas.reference.examples import EXAMPLES, example_of
from schemas.values.json_text import JsonObject


@dataclass(frozen=True, slots=True)
class PageHeading:
    """A section: its heading, introduction, and models, each with a table."""

    heading: str
    text: str
    models: tuple[type[BaseModel], ...]


PARTS: Final = (
    PageHeading(
        "Prices",
        "A price is an object with a `model`. Decimals are written as text, which keeps every digit; JSON numbers "
        "are read exactly, too. Amounts are in major"
        " units of the plan's currency. `weir price` and `POST /v1/price` say what a quantity costs. The fields of "
        "the first table stand beside those of each model.",
        (
            prices.FlatPrice, prices.PerUnitPrice, prices.TieredPrice, prices.VolumePrice, prices.Tier,
            prices.PackagePrice, prices.PercentagePrice,
            prices.TieredPercentagePrice, prices.PercentageTier, prices.MatrixPrice, prices.Cell,
        ),
    ),
    PageHeading(
        "Meters",
        "A meter says which events count, its profiles what is made of them: `meter.profile` is a metric. "
        "Aggregations: `sum`, `max`, `min` and `latest` of the"
        " property's numbers, `count` of events, `count_unique` of the property's values.",
        (meters.Meter, meters.Profile, meters.Filter),
    ),
    PageHeading("Event types", "Events need no type; one documents a name, and its schema refuses what does "
        "not fit.", (meters.EventType,)),
    PageHeading("Products and plans", "A plan bills products, each at "
        "a price.", (models.Product, models.Plan, models.Charge, terms.Discount)),
    PageHeading("Accounts and "
        "subscriptions", "An account pays for what its "
            "subscriptions say.", (models.Account, Buyer, models.Subscription, terms.PriceOverride)),
    PageHeading("Prepaid credits", "Invoices draw on grants in order of priority, expiry, effect "
        "and code.", (terms.CreditGrant, TopUp)),
    PageHeading("Own units", "What plans are priced in and credit is granted in, besides money: "
        "[own units](../rating/BILLING.md#own-units).", (Unit, ExchangeRate)),
    PageHeading(
        "Features",
        "What an account is entitled to: a feature is granted by a plan or a subscription, and has a static value, or "
        "use that a profile meters and limits bound. "
        "[What a check says](../rating/BILLING.md#entitlements).",
        (features.Feature, features.FeatureLimit, features.FeatureGrant, CreditFloor),
    ),
    PageHeading("Alert rules", "What is watched, and at which thresholds an alert fires: "
        "[alerts](../rating/ALERTS.md).", (AlertRule,)),
    PageHeading("Namespaces", "Everything else stands in a namespace; nothing of one is seen from "
        "another.", (models.Namespace, Seller, Webhook, NamedWebhook, NamespaceBounds)),
    PageHeading("Keys", "`POST /v1/api-keys` and `weir key create` take `name`, `scopes`, `expires_at` and "
        "`limits`.", (KeyLimits,)),
)  # fmt: skip
_COMMON: Final = ("currency", "included_units", "minimum_amount", "maximum_amount")
_HEAD: Final = "| field | type | default | meaning | example |\n| --- | --- | --- | --- | --- |"


def page() -> str:
    """The complete document."""
    head = (
        "# Reference\n\nWritten by `make reference` from the models that publishing checks against: do not edit it. "
        "A catalog document"
        " (`weir apply -f`, `POST /v1/catalog/apply`) has lists of these entries: `event_types`, `meters`, "
        "`features`, `units`, `products`, `plans`, `accounts`,"
        " `subscriptions`, `credit_grants`, `alert_rules`, and `namespace`. A field without default must be there. "
        "Unknown fields are refused."
    )
    return "\n\n".join([head, *(text for part in PARTS for text in _part(part))]) + "\n"


def described() -> Iterator[tuple[type[BaseModel], str]]:
    """All (model, field name) pairs on the page."""
    for part in PARTS:
        for model in part.models:
            for name, schema in _fields(model).items():
                if not schema.get("readOnly") and name not in _left_out(part, model):
                    yield model, name


def _part(part: PageHeading) -> Iterator[str]:
    yield f"## {part.heading}"
    yield part.text
    if part.heading == "Prices":
        yield _table(prices.PerUnitPrice, only=_COMMON)
    for model in part.models:
        yield f"### {_title(model)}"
        yield _sentence(model.__doc__ or "")
        yield _table(model, leave_out=_left_out(part, model))
        yield "```json\n" + json.dumps(EXAMPLES[model][0], ensure_ascii=False) + "\n```"


def _left_out(part: PageHeading, model: type[BaseModel]) -> tuple[str, ...]:
    """Fields that the common table of all prices already contains."""
    return _COMMON if part.heading == "Prices" and "model" in _fields(model) else ()


def _title(model: type[BaseModel]) -> str:
    fields = _fields(model)
    if "model" in fields and "const" in fields["model"]:
        return f"Price `{fields['model']['const']}`"
    return model.__name__


def _sentence(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


@cache
def _fields(model: type[BaseModel]) -> Mapping[str, JsonObject]:
    schema = TypeAdapter(model).json_schema(ref_template="{model}")
    if "$ref" in schema:  # a model that may hold one of its own kind stands among the definitions
        schema = schema["$defs"][schema["$ref"]]
    properties: dict[str, JsonObject] = schema["properties"]
    return properties


def _table(model: type[BaseModel], only: tuple[str, ...] = (), leave_out: tuple[str, ...] = ()) -> str:
    required = set(TypeAdapter(model).json_schema().get("required", ()))
    rows = [_HEAD]
    for name, schema in _fields(model).items():
        if schema.get("readOnly") or (only and name not in only) or name in leave_out:
            continue
        default = "" if name in required else _default(model, name)
        meaning = "which model it is" if name == "model" and "const" in schema else schema.get("description", "")
        cells = [f"`{name}`", type_text(schema), default, _sentence(meaning), f"`{_short(example_of(model, name))}`"]
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows)


def _default(model: type[BaseModel], name: str) -> str:
    field = next(field for key, field in model.model_fields.items() if (field.alias or key) == name)
    value = field.default
    if value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel):
        return "`{}`"
    return f"`{_short(TypeAdapter(Any).dump_python(value, mode='json'))}`"


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 110 else text[:107] + "…"


def type_text(schema: Mapping[str, Any]) -> str:
    """A JSON schema's type in a few words."""
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "$ref" in schema:
        return str(schema["$ref"])
    for union in ("anyOf", "oneOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(type_text(part) for part in schema[union]))
    kind = schema.get("type")
    if kind == "array":
        return f"list of {type_text(schema.get('items', {}))}"
    if kind == ["string", "number"]:
        return "decimal"
    names = {
        "string": "text",
        "integer": "whole number",
        "boolean": "true or false",
        "null": "null",
        "object": "object",
        "number": "number",
    }
    name = {"date-time": "instant", "date": "date"}.get(schema.get("format", "")) or names.get(
        str(kind), "any JSON value"
    )
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    return f"{name} {', '.join(bounds)}".strip()
