"""Replays as `usage_folds` counts them: whoever holds what was measured asks whether rows were written again."""

from __future__ import annotations

from typing import Final

REPLAYS: Final = "(replays)"
"""In place of a namespace, which has no parentheses: ``number`` is how many replays there were."""
ANOTHER_REPLAY_SQL: Final = (
    f"INSERT INTO usage_folds SELECT '{REPLAYS}', toUInt32(max(number) + 1), 0 FROM usage_folds"
    f" WHERE namespace = '{REPLAYS}'"
)
