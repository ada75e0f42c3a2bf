"""What flows through the stages of rating: a line with its quantity, and the steps that explain its amount."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final, Literal

from rating.pricing.exact import exactly, money_text
from schemas.prices import plain

ZERO: Final = Decimal(0)

StepKind = Literal[
    "negative_quantity",
    "included_units",
    "free_units",
    "flat",
    "per_unit",
    "tier",
    "package",
    "percentage",
    "fixed_amount",
    "cell",
    "proration",
    "maximum",
    "minimum",
    "discount",
    "commitment",
    "credit",
    "rounding",
