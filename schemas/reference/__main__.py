"""``python -m schemas.reference``: write schemas/REFERENCE.md and deploy/guides/settings.md."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from schemas.reference.page import page
from schemas.reference.settings_page import settings_page

PLACE: Final = Path(__file__).parents[1] / "REFERENCE.md"
SETTINGS_PLACE: Final = Path(__file__).parents[2] / "deploy/guides/settings.md"

if __name__ == "__main__":
    PLACE.write_text(page(), encoding="utf-8")
    SETTINGS_PLACE.write_text(settings_page(), encoding="utf-8")
