"""Which usage a page shows: the metric, a span of local days, the step of the chart, a dimension; and the span directly
before. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from rating.periods import Granularity, boundary_date
from schemas.values.instants import instant, micros, rfc3339
from schemas.values.json_text import JsonObject

STEPS: Final[tuple[Granularity, ...]] = ("hour", "day", "week", "month")
_DAYS_BY_HOUR: Final = 3
_DAYS_BY_DAY: Final = 100


@dataclass(frozen=True, slots=True)
class UsageChoice:
    """``metric`` of ``metrics`` in [``start``, ``end``), dates or instants as GET /v1/usage takes them; ``split_by``:
    one of the metric's ``dimensions``, "" for none."""

    metrics: Sequence[str]
    metric: str
    start: str
    end: str
    step: Granularity = "day"
    split_by: str = ""
    dimensions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ShownUsage:
    """The answers of GET /v1/usage to a choice: ``usage`` by step, ``before`` the same of the span before, ``parts`` by
    dimension, the greatest first. None where ``problem`` says why there is none, and where it was not asked for."""

    choice: UsageChoice
    usage: JsonObject | None = None
    before: JsonObject | None = None
    parts: JsonObject | None = None
    problem: str = ""
    totals: Sequence[JsonObject] = field(default=())
    """of all metrics in the same span, without steps"""


def step_of(text: str, start_us: int, end_us: int) -> Granularity:
    """The step that was asked for; else one that gives a number of bars that can be looked at."""
    if text in STEPS:
        return next(step for step in STEPS if step == text)
    days = timedelta(microseconds=end_us - start_us) / timedelta(days=1)
    return "hour" if days <= _DAYS_BY_HOUR else "day" if days <= _DAYS_BY_DAY else "month"


def edge_text(us: int, zone: ZoneInfo) -> str:
    """An instant as `from` and `to` take it: the local date at local midnight, else RFC 3339."""
    local = instant(us).astimezone(zone)
    at_midnight = (local.hour, local.minute, local.second, local.microsecond) == (0, 0, 0, 0)
    return f"{local:%Y-%m-%d}" if at_midnight else rfc3339(us)


def span_before(start_us: int, end_us: int, zone: ZoneInfo) -> tuple[str, str]:
    """`from` and `to` of the span that ends where this one starts: as many months before where it is whole months, as
    many local days where it is days, else as long a time."""
    return _moved(start_us, end_us, zone, -1)


def span_after(start_us: int, end_us: int, zone: ZoneInfo) -> tuple[str, str]:
    """The same of the span that starts where this one ends."""
    return _moved(start_us, end_us, zone, 1)


def _moved(start_us: int, end_us: int, zone: ZoneInfo, by: int) -> tuple[str, str]:
    try:
        first, last = date.fromisoformat(edge_text(start_us, zone)), date.fromisoformat(edge_text(end_us, zone))
    except ValueError:  # not local days
        length = end_us - start_us
        return edge_text(start_us + by * length, zone), edge_text(end_us + by * length, zone)
    months = (last.year - first.year) * 12 + last.month - first.month
    if first.day == last.day and months:
        near = boundary_date("month", first if by < 0 else last, by * months)
    else:
        near = (first if by < 0 else last) + by * (last - first)
    edges = (near, first) if by < 0 else (last, near)
    return edges[0].isoformat(), edges[1].isoformat()


def local_label(text: str, zone: ZoneInfo, step: Granularity) -> str:
    """The label of a step that starts at an RFC 3339 instant."""
    form = {"hour": "%m-%d %H:%M", "month": "%Y-%m"}.get(step, "%m-%d")
    return datetime.fromisoformat(text).astimezone(zone).strftime(form)


def micros_of(text: str) -> int:
    """Microseconds of an RFC 3339 instant that a service of ours wrote."""
    return micros(datetime.fromisoformat(text))
