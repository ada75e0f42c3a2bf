"""IANA time zones from one version of the rules for all processes: the pinned ``tzdata`` package.

``zoneinfo`` prefers the machine's own data, which may lag behind by months and differ between machines, so that the
same month would end at different instants. Here only the package is used, whatever the machine or PYTHONTZPATH
provides. Only names unknown to the package (stored by old releases) are looked up on the machine.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final
from zoneinfo import ZoneInfo

import tzdata

VERSION: Final[str] = tzdata.IANA_VERSION
"""The IANA release of the rules, such as ``2026f``."""
_PACKAGE: Final = files("tzdata")
NAMES: Final = frozenset(_PACKAGE.joinpath("zones").read_text(encoding="utf-8").split())


@cache
def _packaged(name: str) -> ZoneInfo:
    with _PACKAGE.joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def parse_zone(name: str) -> ZoneInfo:
    """The IANA time zone ``name``. Raises ValueError with the remedy in its text."""
    if name in NAMES:
        return _packaged(name)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: a folder of the zone database, such as "America"
        raise ValueError(f"{name[:60]!r} is no IANA time zone; write e.g. America/New_York or UTC") from None
