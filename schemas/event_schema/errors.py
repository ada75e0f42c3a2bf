"""Why a schema of an event type is refused."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.errors import WeirError


@dataclass(frozen=True, slots=True)
class SchemaFault:
    """A fault of the schema; ``path`` begins below the schema: ``.fields[2].type``."""

    path: str
    detail: str


class SchemaError(WeirError, ValueError):
    """A schema that is refused, with all its faults."""

    def __init__(self, faults: tuple[SchemaFault, ...]) -> None:
        super().__init__("; ".join(f"schema{fault.path}: {fault.detail}" for fault in faults))
        self.faults = faults
