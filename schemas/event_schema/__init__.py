"""Event schemas: Avro record schemas applied to an event's properties in plain JSON.

``nodes``: the parsed schema; ``parse``: parses JSON and locates every fault; ``check``: compiled predicates, the
fast path; ``explain``: what is wrong with a value and where, the slow path; ``compatibility``: whether one schema
reads what another accepted.
"""

from schemas.event_schema.check import compile_schema
from schemas.event_schema.compatibility import incompatibilities
from schemas.event_schema.explain import Mismatch, mismatch
from schemas.event_schema.nodes import Schema
from schemas.event_schema.parse import SchemaError, parse_schema
from schemas.event_schema.scalars import Check

__all__ = [
    "Check", "Mismatch", "Schema", "SchemaError", "compile_schema", "incompatibilities", "mismatch", "parse_schema",
]  # fmt: skip
