"""The places at ClickHouse of a keeper of usage (``usage_keeper``)."""

from __future__ import annotations

from typing import Final

from schemas.clickhouse.pool import ClickHousePool
from schemas.settings import Settings

_PLACES: Final = 4
_REMEASURING_PLACES: Final = 2
_REFRESH_SECONDS_AT_MOST: Final = 10
_BOUNDS: Final = {
    # More than this was appended only where nobody looked for long: it is then measured again as a whole.
    "max_result_rows": 500_000,
    "result_overflow_mode": "throw",
}


def bounded_pool(settings: Settings, seconds: int = 20, places: int = _PLACES, threads: int = 0) -> ClickHousePool:
    """Places at ClickHouse for the questions of a keeper, with bounds. ``threads`` of ClickHouse; 0: as it likes."""
    bounds = _BOUNDS | {"max_memory_usage": settings.rating_query_bytes, "max_execution_time": seconds}
    if threads:
        bounds["max_threads"] = threads
    return ClickHousePool(settings, places, bounds)


def remeasuring_pool(settings: Settings) -> ClickHousePool:
    """Places for what measures held usage again, of which nobody waits: few, and each on one core alone, which leaves
    checks another."""
    return bounded_pool(settings, places=_REMEASURING_PLACES, threads=1)


def refreshing_pool(settings: Settings) -> ClickHousePool:
    """Places for what brings held usage forward, so that nobody's slow question about one account has them."""
    return bounded_pool(settings, _REFRESH_SECONDS_AT_MOST)
