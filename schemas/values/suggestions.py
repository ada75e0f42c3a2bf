"""Suggests similar names for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

NAMES: Final = 3


def similar(candidates: Iterable[str], names: Iterable[str]) -> tuple[str, ...]:
    """At most three candidates that differ only in case and punctuation, or by a few letters."""
    folded: dict[str, list[str]] = {}
    for candidate in candidates:
        folded.setdefault("".join(filter(str.isalnum, candidate.casefold())), []).append(candidate)
    suggestions: dict[str, None] = {}
    for name in names:
        near = "".join(filter(str.isalnum, name.casefold()))
        for match in difflib.get_close_matches(near, list(folded), n=NAMES, cutoff=0.75):
            suggestions |= dict.fromkeys(folded[match])
    return tuple(suggestions)[:NAMES]
