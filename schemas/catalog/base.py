"""Base class of all catalog models, and the types of codes and names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationInfo

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
ProfileAddress = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)?$")]
BillingInterval = Literal["day", "week", "month", "quarter", "year"]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]


STORED: Final = {"stored": True}
"""Validation context for entries read from the catalog. They always load, even if a library's data (time zones,
currencies) no longer contains what they refer to."""


def is_stored(info: ValidationInfo) -> bool:
    """Whether an entry is being read from the catalog rather than published; checks that depend on a library's data
    are then skipped."""
    return isinstance(info.context, dict) and bool(info.context.get("stored"))


def doubled(codes: Sequence[str]) -> str | None:
    """The first, in the order of their characters, that stands twice or more; None: each stands once."""
    return min((code for code, count in Counter(codes).items() if count > 1), default=None)


class Model(BaseModel):
    """Base of all catalog models: immutable, unknown fields are refused. The string below a field is its
    description in the OpenAPI documents and in REFERENCE.md."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
