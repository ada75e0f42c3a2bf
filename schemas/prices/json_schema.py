"""The JSON Schema of a price (the union of all models by ``model``), for fields that store a price as the JSON it
was written as."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypeAliasType

from schemas.prices.models import Price
from schemas.values.json_text import JsonObject

_NAMED: Any = TypeAliasType("Price", Price)  # a type for pydantic, and none for mypy
_PRICE: TypeAdapter[Any] = TypeAdapter(_NAMED)


class _AsPrice:
    """Describes a JSON object as a price."""

    def __get_pydantic_json_schema__(self, _schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(_PRICE.core_schema)


PriceJson = Annotated[JsonObject, _AsPrice()]
"""A price as it was written; ``price_in`` parses it."""
