"""Event schemas: Avro record schemas applied to an event's properties in plain JSON.

``nodes``: the parsed schema; ``parse_schema``: parses JSON and locates every fault; ``check``: compiled predicates, the
fast path; ``mismatches``: what is wrong with a value and where, the slow path; ``compatibility``: whether one schema
reads what another accepted.
"""

from schemas.event_schema.check import compile_schema
from schemas.event_schema.compatibility import incompatibilities
from schemas.event_schema.errors import SchemaError
from schemas.event_schema.mismatches import Mismatch, mismatch
from schemas.event_schema.nodes import Schema
from schemas.event_schema.parse_schema import parse_schema
from schemas.event_schema.scalars import ScalarCheck

__all__ = [
    "Mismatch", "ScalarCheck", "Schema", "SchemaError", "compile_schema", "incompatibilities", "mismatch",
    "parse_schema",
]  # fmt: skip
