"""Locates faults inside prices and event schemas, for which pydantic reports only the entry as a whole. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingest.catalog.document import Fault
from schemas.event_schema import SchemaError, parse_schema
from schemas.prices import PriceError, parse_price
from schemas.values.json_text import JsonObject, path_text


def placed_faults(kind: str, value: Any, path: str) -> Iterator[Fault]:
    """The faults of a raw entry's prices or schema, each with its JSON path."""
    if not isinstance(value, dict):
        return
    if kind == "plan":
        yield from _prices(value, path)
    elif kind == "event_type" and value.get("schema") is not None:
        try:
            parse_schema(value["schema"])
        except SchemaError as error:
            for fault in error.faults:
                yield Fault(f"{path}.schema{fault.path}", fault.detail)


def _prices(plan: JsonObject, path: str) -> Iterator[Fault]:
    charges = plan.get("charges")
    for number, charge in enumerate(charges if isinstance(charges, list) else []):
        price = charge.get("price") if isinstance(charge, dict) else None
        if not isinstance(price, dict):
            continue
        currency = plan.get("currency")
        try:
            parse_price(price, currency if isinstance(currency, str) else None)
        except PriceError as error:
            for problem in error.problems:
                field_path, _, detail = problem.partition(": ")
                if field_path == "currency":
                    yield Fault(f"{path}.currency", detail)
                else:
                    parts = [int(part) if part.isdigit() else part for part in field_path.split(".")]
                    yield Fault(f"{path}.charges[{number}]{path_text(parts)}", detail)
