"""What ``weir status`` says beside processes and lag: which time zone rules hold, and which events count for
nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from schemas.settings import Settings
    from schemas.values.json_text import JsonObject

_DAYS: Final = 1
_SHOWN: Final = 10
_MACHINE: Final = Path("/usr/share/zoneinfo/tzdata.zi")


def time_zones(settings: Settings) -> dict[str, str]:
    """IANA releases: ``weir``, the one that periods are made by; ``clickhouse`` and ``machine``, which nothing of
    Weir's asks; "" where one does not tell."""
    from schemas.clickhouse.client import connect
    from schemas.values.time_zones import VERSION

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


def time_zone_line(releases: dict[str, str]) -> str:
    """Which release of time zone rules holds, for people."""
    others = [
        f"{name} has {releases[key]}"
        for key, name in (("clickhouse", "ClickHouse"), ("machine", "this machine"))
        if releases[key]
    ]
    beside = f" ({', '.join(others)}; no period and no query depends on those)" if others else ""
    return f"time zones: IANA {releases['weir']}, of the tzdata package{beside}"


def unmeterable(settings: Settings) -> list[JsonObject]:
    """Events of the last day that count for nothing with a profile: ``namespace``, ``profile``, ``reason``, ``events``,
    the most first. Properties that an event type lets be left out are not among them."""
    from rating.close.checklist.optional_properties import left_out
    from schemas.catalog.follower import read_catalog
    from schemas.clickhouse.client import connect
    from schemas.values.quantity import MISSING

    client = connect(settings)
    try:
        rows = client.query(_UNMETERABLE).result_rows
    finally:
        client.close()
    counts: list[JsonObject] = [
        {"namespace": str(namespace), "profile": str(profile), "reason": str(reason), "events": int(events)}
        for namespace, profile, reason, events, _, _ in rows
    ]
    if any(count["reason"] == MISSING for count in counts):
        catalog = read_catalog(settings)
        counts = [
            count
            for count, (*_, first_us, last_us) in zip(counts, rows, strict=True)
            if not left_out(
                catalog.view(count["namespace"]), count["profile"], count["reason"], int(first_us), int(last_us) + 1
            )
        ]
    return counts[:_SHOWN]


_UNMETERABLE: Final = f"""
SELECT namespace, profile, reason, uniqExact(generation, partition, offset, `index`) AS events,
    toUnixTimestamp64Micro(min(timestamp)), toUnixTimestamp64Micro(max(timestamp))
FROM usage_events ARRAY JOIN unmeterable_profile_ids AS profile, unmeterable_reasons AS reason
WHERE append_time > now64(3, 'UTC') - INTERVAL {_DAYS} DAY AND notEmpty(unmeterable_profile_ids)
GROUP BY namespace, profile, reason ORDER BY events DESC, namespace, profile LIMIT 100"""


def unmeterable_lines(counts: list[JsonObject]) -> list[str]:
    """What ``unmeterable`` found, a line each, for people."""
    return [
        f"{count['events']:,} events of the last day count for nothing with {count['profile']} of {count['namespace']}:"
        f" {count['reason']}; `weir doctor ACCOUNT {count['profile']} -n {count['namespace']}` shows them"
        for count in counts
    ]
