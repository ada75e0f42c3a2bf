"""What all models of prices share, and what a close writes into the price of a line: the part of a period that it
covers, and its position among the lines of a charge whose price changed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from schemas.prices.decimals import NotNegative, Positive, WorkedOut, WorkedOutUnits, plain
from schemas.values.json_text import JsonObject

ZERO = Decimal(0)

PriceProblem = tuple[str, str]  # (place below the field or model, text with the remedy)


def refuse(problems: list[PriceProblem]) -> None:
    """Raise one pydantic error that carries all ``problems`` with their places; nothing if there are none."""
    if problems:
        text = "; ".join(f"{path}: {what}" if path else what for path, what in problems)
        raise PydanticCustomError("price", "{text}", {"text": text, "problems": problems})


class PricePart(BaseModel):
    """Frozen model that refuses unknown fields; null for an optional amount means the same as omitting it."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
    optional: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}
        return data

    @model_serializer(mode="wrap")
    def _canonical(self, handler: SerializerFunctionWrapHandler) -> JsonObject:
        """Omit fields that have their default value, so that writing a default does not change the text."""
        fields = type(self).model_fields
        written: JsonObject = handler(self)
        return {
            key: value
            for key, value in written.items()
            if key not in self.optional or getattr(self, key) != fields[key].default
        }


class Proration(PricePart):
    """The part of a full period that a line covers. Lengths are those of local periods, so a month with a clock
    shift is an hour longer or shorter."""

    part_seconds: NotNegative
    whole_seconds: Positive

    @model_validator(mode="after")
    def _part_of_whole(self) -> Self:
        if self.part_seconds > self.whole_seconds:
            text = f"{plain(self.part_seconds)} is above whole_seconds {plain(self.whole_seconds)}; lower it"
            refuse([("part_seconds", text)])
        return self


class Split(PricePart):
    """The position of a line among the lines of one charge in one period that was split by a change of price. A
    line without it is not split.

    ``of`` is equal on all lines of a group. ``included_before`` and ``free_before``: allowance units used by
    earlier parts; null: the allowance starts anew. ``priced_before``: quantity priced by earlier parts, from which
    tiers continue; null: tiers start anew. With it: ``package_left``: units left in a package that an earlier part
    started; ``amount_before``: amount of earlier parts, which counts towards the maximum and an unprorated minimum.
    ``priced_after``: quantity priced by later parts (volume tiers only).
    """

    optional: ClassVar[frozenset[str]] = frozenset(
        {"included_before", "free_before", "priced_before", "package_left", "amount_before", "priced_after"}
    )

    of: str
    included_before: WorkedOutUnits | None = None
    free_before: WorkedOutUnits = ZERO
    priced_before: WorkedOutUnits | None = None
    package_left: WorkedOutUnits = ZERO
    amount_before: WorkedOut = ZERO
    priced_after: WorkedOutUnits = ZERO
