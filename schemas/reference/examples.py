"""Examples of catalog entries; each parses, and together they contain every field. The gateway's OpenAPI document
uses the first of each kind."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

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
from schemas.values.json_text import JsonObject

Example = JsonObject

_FILTER: Final = {"property": ["to", "country"], "operator": "not_in", "value": ["US", "CA"]}
_PROFILE: Final = {
    "code": "abroad", "name": "Calls abroad", "unit": "second", "aggregation": "sum", "property": ["seconds"],
    "filters": [_FILTER],
    "dimensions": [["to", "country"]],
}  # fmt: skip
_UNIQUE: Final = {"code": "callers", "aggregation": "count_unique", "property": ["from", "number"], "compare": "text"}
_LATEST: Final = {"code": "seats", "aggregation": "latest", "property": ["seats"], "carry_over": True}
_PER_UNIT: Final = {
    "model": "per_unit", "currency": "USD", "unit_amount": "0.015", "included_units": "60", "minimum_amount": "5",
    "maximum_amount": "500",
}  # fmt: skip
_TIERS: Final[list[Example]] = [
    {"up_to": "1000", "unit_amount": "0.02", "flat_amount": "5"},
    {"up_to": None, "unit_amount": "0.01"},
]
_PERCENTAGE_TIERS: Final[list[Example]] = [
    {"up_to": "1000", "rate": "2.9", "flat_amount": "1"},
    {"up_to": None, "rate": "2.5"},
]
_CELL: Final = {"values": ["CA"], "unit_amount": "0.01"}
_PERCENT: Final = {
    "code": "launch", "name": "Launch discount", "percent": "10", "product": "abroad", "start": "2026-01-01",
    "end": "2027-01-01", "periods": 3,
}  # fmt: skip
_AMOUNT: Final = {"code": "loyal", "amount": "5"}
_OVERRIDE: Final = {"charge": "abroad", "price": {"model": "flat", "amount": "9"}}
_LIMIT: Final = {"quantity": "6000", "hard": False, "reset": "month"}
_NAMED_WEBHOOK: Final = {
    "code": "alerts", "url": "https://ops.example.com/weir", "enabled": True,
    "events": ["usage.alert.fired", "usage.alert.recovered"], "rotation": 1,
}  # fmt: skip
_WEBHOOK: Final = {
    "url": "https://billing.example.com/weir", "enabled": True, "events": ["invoice.finalized", "invoice.paid"],
    "rotation": 2,
}  # fmt: skip
_BOUNDS: Final = {
    "entries": 1_000_000, "catalog_bytes": 536_870_912, "event_types": 50_000, "profiles": 20_000,
    "profiles_per_event_name": 512,
    "filters": 200, "filter_values": 20_000, "dimensions": 20, "price_cells": 20_000,
    "subscriptions_per_account": 20_000, "api_keys": 2_000,
    "document_nodes": 2_000_000, "requests_per_second": 5_000, "events_per_second": 100_000,
    "bytes_per_second": 100_000_000,
}  # fmt: skip
_EXCHANGE: Final = {"currency": "USD", "rate": "0.00002"}
_TOP_UP: Final = {"currency": "USD", "floor": "10", "target": "50", "daily_limit": "200"}
_BUYER: Final = {
    "name": "Acme Incorporated",
    "address": ["1 Main Street", "Springfield, IL 62701", "USA"],
    "tax_id": "EIN 12-3456789",
    "email": "invoices@acme.example",
}
_SELLER: Final = {
    "name": "Shop GmbH", "address": ["Hauptstraße 1", "10115 Berlin", "Germany"], "tax_id": "VAT DE123456789",
    "email": "billing@shop.example", "notes": "Please pay to IBAN DE02 1203 0000 0000 2020 51",
    "logo": "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=",
}  # fmt: skip
_FLOOR: Final = {"currency": "USD", "floor": "5", "block": True}
_SCHEMA: Final = {
    "type": "record",
    "name": "call",
    "fields": [{"name": "seconds", "type": "double"}, {"name": "network", "type": "string", "default": "own"}],
}

EXAMPLES: Final[dict[type[BaseModel], tuple[Example, ...]]] = {
    prices.FlatPrice: ({"model": "flat", "amount": "20"},),
    prices.PerUnitPrice: (_PER_UNIT,),
    prices.TieredPrice: ({"model": "tiered", "tiers": _TIERS},),
    prices.VolumePrice: ({"model": "volume", "tiers": _TIERS},),
    prices.Tier: tuple(_TIERS),
    prices.PackagePrice: ({"model": "package", "package_size": "100", "package_amount": "4", "free_units": "50"},),
    prices.PercentagePrice: ({"model": "percentage", "rate": "2.9", "fixed_amount": "0.30", "free_units": "1000"},),
    prices.TieredPercentagePrice: ({"model": "tiered_percentage", "tiers": _PERCENTAGE_TIERS},),
    prices.PercentageTier: tuple(_PERCENTAGE_TIERS),
    prices.MatrixPrice: (
        {
            "model": "matrix", "dimensions": ["to.country"], "cells": [_CELL], "default_unit_amount": "0.02",
            "included_units": "60",
            "included_order": "cheapest_first",
        },
    ),
    prices.Cell: (_CELL,),
    meters.Meter: (
        {
            "code": "calls", "name": "Calls", "unit": "second", "event_name": "call",
            "filters": [{"property": ["state"], "operator": "eq", "value": "ended"}], "window": "hour",
            "start": "2026-01-01T00:00:00Z",
            "profiles": [_PROFILE, _UNIQUE],
        },
    ),
    meters.Profile: (_PROFILE, _UNIQUE, _LATEST),
    meters.Filter: (_FILTER,),
    meters.EventType: (
        {
            "code": "call", "name": "Call ended", "description": "one event a call, when "
                "it ends", "compatibility": "backward", "schema": _SCHEMA,
            "fill_defaults": True,
        },
    ),
    features.Feature: (
        {
            "code": "seconds-abroad", "name": "Seconds abroad", "profile": "calls.abroad",
            "limits": [_LIMIT, {"quantity": "600", "rolling": "5 hours"}],
        },
        {"code": "minutes", "profile": "calls.abroad", "limit": "6000", "reset": "month"},
        {"code": "support", "value": "by phone"},
    ),
    features.FeatureLimit: (
        {"quantity": "100", "reset": "day", "hard": False, "block": True},
        _LIMIT, {"quantity": "600", "rolling": "5 hours"}, {"amount": "50", "reset": "billing_period"},
    ),
    features.FeatureGrant: (
        {"feature": "seconds-abroad", "limits": [_LIMIT]}, {"feature": "support", "value": "by mail"},
        {"feature": "export", "granted": False},
        {"feature": "seconds-abroad", "limits": [], "block": True, "credit_floor": _FLOOR},
    ),
    CreditFloor: (_FLOOR, {"currency": "token", "floor": "1000", "block": False}),
    models.Product: (
        {"code": "abroad", "name": "Calls abroad", "unit": "second", "kind": "metered", "profile": "calls.abroad"},
        {"code": "fee", "name": "Base fee", "kind": "flat"},
    ),
    models.Plan: (
        {
            "code": "basic", "name": "Basic", "currency": "USD", "interval": "month", "grace_seconds": 3600,
            "trial_days": 14,
            "charges": [{"product": "abroad", "price": {"model": "per_unit", "unit_amount": "0.015"}}],
            "discounts": [_PERCENT],
            "minimum_commitment": "100", "invoice_threshold": "500",
            "features": [{"feature": "support"}, {"feature": "seconds-abroad", "limits": [_LIMIT]}],
            "payment_terms_days": 14, "approval": "required", "top_ups": [_TOP_UP],
        },
        {
            "code": "tokens", "currency": "token", "overage": _EXCHANGE,
            "charges": [{"product": "abroad", "price": {"model": "per_unit", "unit_amount": "2"}}],
        },
    ),
    models.Charge: (
        {"code": "calls-abroad", "product": "abroad", "price": _PER_UNIT, "prorated": False, "included": "shared",
        "tiers": "continue"},
        {"product": "fee", "price": {"model": "flat", "amount": "20"}, "in_advance": True},
    ),
    terms.Discount: (_PERCENT, _AMOUNT),
    models.Account: (
        {
            "code": "acme", "name": "Acme Inc.", "time_zone": "America/New_York", "buyer": _BUYER,
            "top_ups": [_TOP_UP],
        },
    ),
    Buyer: (_BUYER,),
    Seller: (_SELLER,),
    models.Subscription: (
        {
            "code": "acme-basic", "account": "acme", "plan": "basic", "plan_version": 2, "start": "2026-01-01",
            "end": "2027-01-01T05:00:00Z",
            "billing_anchor": "2026-01-15", "change_at": "2026-02-15", "trial_end": "2026-01-15",
            "overrides": [_OVERRIDE],
            "discounts": [_AMOUNT], "minimum_commitment": "0", "invoice_threshold": "250",
            "features": [{"feature": "support", "value": "by mail"}], "top_ups": [_TOP_UP],
        },
    ),
    TopUp: (_TOP_UP, _TOP_UP | {"currency": "token", "cost": _EXCHANGE}),
    Unit: ({"code": "token", "name": "Tokens"}, {"code": "credit.2"}),
    ExchangeRate: (_EXCHANGE,),
    terms.PriceOverride: (_OVERRIDE,),
    terms.CreditGrant: (
        {
            "code": "prepaid", "name": "Prepaid", "account": "acme", "amount": "50", "currency": "USD", "priority": 1,
            "effective": "2026-01-01",
            "expires": "2027-01-01",
        },
        {"code": "gift", "subscription": "acme-basic", "amount": "5", "currency": "USD", "source": "promotional"},
        {
            "code": "monthly", "account": "acme", "amount": "50", "currency": "USD", "effective": "2026-01-01",
            "cost_basis": "40", "products": ["calls"], "recurrence": {"every": "month", "rollover": "20"},
        },
        {
            "code": "tokens", "account": "acme", "amount": "1000000", "currency": "token", "cost_basis": "20",
            "cost_currency": "USD",
        },
    ),
    AlertRule: (
        {
            "code": "budget", "name": "Monthly budget", "measure": "spend", "plan": "basic", "budget": "500",
            "thresholds": ["50%", "80%", "100%"],
        },
        {
            "code": "calls-a-day", "measure": "usage", "profile": "calls.abroad", "account": "acme",
            "interval": "day", "thresholds": ["6000"], "direction": "rising",
        },
        {"code": "low", "measure": "balance", "currency": "USD", "thresholds": ["20%", "0"]},
        {"code": "quota", "measure": "entitlement", "feature": "calls", "plan": "basic", "thresholds": ["80%", "100%"]},
        {"code": "odd", "measure": "anomaly", "profile": "calls.abroad"},
        {"code": "one", "measure": "spend", "subscription": "acme-basic", "thresholds": ["250"]},
    ),
    models.Namespace: (
        {
            "code": "shop", "name": "Shop", "sandbox": True, "clock_ahead_seconds": 86400,
            "max_event_age_seconds": 3024000,
            "max_event_skew_seconds": 3600,
            "account_paths": [["account_id"]], "unknown_events": "reject", "inbox": True,
            "invoice_prefix": "SHOP-{year}-", "credit_note_prefix": "SHOP-CN-{year}-", "lock_date": "2026-01-01",
            "seller": _SELLER, "portal_origins": ["https://app.shop.example"],
            "webhook": _WEBHOOK, "webhooks": [_NAMED_WEBHOOK], "bounds": _BOUNDS,
        },
    ),
    Webhook: (_WEBHOOK,),
    NamedWebhook: (_NAMED_WEBHOOK,),
    NamespaceBounds: (_BOUNDS,),
    KeyLimits: ({"requests_per_second": 100, "events_per_second": 10_000, "bytes_per_second": 10_000_000},),
}  # fmt: skip


def example_of(model: type[BaseModel], field: str) -> Any:
    """The field's value in the first example that has it. Raises LookupError."""
    for example in EXAMPLES[model]:
        if field in example:
            return example[field]
    raise LookupError(f"no example of {model.__name__} has the field {field}; add one to schemas/reference/examples.py")
