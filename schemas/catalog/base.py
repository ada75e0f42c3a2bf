"""What all catalog models share: their base, and the types of names."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationInfo

Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Identifier = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$")]


STORED: Final = {"stored": True}
"""Validation context of an entry that the catalog accepted once: it always loads, whatever a library has forgotten
since."""


def is_stored(info: ValidationInfo) -> bool:
    """Whether an entry is read back rather than published. What depends on a library's data is then not judged
    again."""
    return isinstance(info.context, dict) and bool(info.context.get("stored"))


class Model(BaseModel):
    """Base of all catalog models: immutable, strict about field names. A string under a field says what it means, in
    documents and in REFERENCE.md."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
