"""``python -m schemas.reference``: write schemas/REFERENCE.md."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from schemas.reference.page import page

PLACE: Final = Path(__file__).parents[1] / "REFERENCE.md"

if __name__ == "__main__":
    PLACE.write_text(page(), encoding="utf-8")
