"""A part of the state of the claims (``first_valid.ClaimState``) in a file: keys are looked up when they are asked for,
so that going on from a long log costs what is new."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any, Final

import msgspec

from schemas.ledgers.folds.fold_file import DamagedFile

ABSENT: Final = object()


class StoredClaimState(ABC):
    """What the file has, and what came since. ``changed``: what the file does not have yet."""

    def __init__(self) -> None:
        self.changed: dict[Hashable, Any] = {}

    @abstractmethod
    def stored(self, key: Hashable) -> Any:
        """The value in the file; ABSENT if there is none."""

    def get(self, key: Hashable, otherwise: Any = None, /) -> Any:
        """The value of a key, or ``otherwise``."""
        value = self.changed[key] if key in self.changed else self.stored(key)
        return otherwise if value is ABSENT else value

    def __contains__(self, key: Hashable, /) -> bool:
        return self.get(key, ABSENT) is not ABSENT

    def __setitem__(self, key: Hashable, value: Any, /) -> None:
        self.changed[key] = value


def decoded_state(encoded: bytes, part: str, key: Hashable) -> Any:
    """The value of a part's key from JSON, which has no word for the tuples of claims. Raises DamagedFile."""
    try:
        return _tuples(msgspec.json.decode(encoded))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DamagedFile(f"the {part} of {key!r} cannot be read: {error}") from error


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
