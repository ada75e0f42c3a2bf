"""A row of a fold in its file."""

from __future__ import annotations

from typing import TypeAlias

Row: TypeAlias = tuple[str, bytes, bytes]
"""Part of the fold, key, value."""
