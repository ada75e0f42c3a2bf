"""What ``weir status`` says beside processes and lag: which rules hold, and what needs somebody's eye."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from schemas.settings import Settings

_MACHINE: Final = Path("/usr/share/zoneinfo/tzdata.zi")


def time_zones(settings: Settings) -> dict[str, str]:
    """IANA releases: ``weir``, the one that periods are made by; ``clickhouse`` and ``machine``, which nothing of Weir's asks; "" where
    one does not tell."""
    from schemas.clickhouse import connect
    from schemas.time_zones import VERSION

    client = connect(settings)
    try:
        rows = client.query("SELECT value FROM system.build_options WHERE name = 'TZDATA_VERSION'").result_rows
    finally:
        client.close()
    return {"weir": VERSION, "clickhouse": str(rows[0][0]) if rows else "", "machine": _machine()}


def _machine() -> str:
    try:
        with _MACHINE.open(encoding="utf-8") as file:
            return file.readline().removeprefix("# version").strip()
    except OSError:
        return ""


def time_zone_line(found: dict[str, Any]) -> str:
    """For people."""
    others = [
        f"{name} has {found[key]}"
        for key, name in (("clickhouse", "ClickHouse"), ("machine", "this machine"))
        if found[key]
    ]
    beside = f" ({', '.join(others)}; no period and no query depends on those)" if others else ""
    return f"time zones: IANA {found['weir']}, of the tzdata package{beside}"
