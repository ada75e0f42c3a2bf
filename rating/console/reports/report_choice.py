"""Which usage a report shows, as its address says it: with the names that GET /v1/usage has for the same. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from rating.periods import boundary_date
from rating.usage import Usage, UsageGroup, naming
from rating.usage.usage_parameters import GRANULARITIES, UsageParameters, UsageQuestion
from schemas.values.instants import instant

ACCOUNT: Final = "account"
MOST_ROWS: Final = 2_000
"""Groups that a page reads; a document has all."""


@dataclass(frozen=True, slots=True)
class ReportChoice:
    """``metric`` of ``metrics`` in [``start``, ``end``), each as GET /v1/usage takes it; of ``account_ids``, or of all.
    ``step``: a granularity, "" for none; ``groups``: ACCOUNT and ``dimension:NAME``; ``dimensions``: those that the
    metric has."""

    metrics: Sequence[str]
    metric: str
    account_ids: tuple[str, ...] = ()
    start: str = ""
    end: str = ""
    time_zone: str = ""
    step: str = ""
    groups: tuple[str, ...] = ()
    dimensions: Sequence[str] = ()

    @property
    def group_by(self) -> tuple[str, ...]:
        """All that it is grouped by."""
        return (*self.groups, *([self.step] if self.step else []))

    def parameters(self) -> UsageParameters:
        """The request that asks the same of the API."""
        return UsageParameters(
            self.metric,
            self.account_ids,
            self.start or None,
            self.end or None,
            self.time_zone or None,
            self.group_by,
        )

    def query(self) -> dict[str, str | Sequence[str] | None]:
        """The query of the report's own address. A grouping by nothing is said, too: without any the address is of a
        first visit."""
        return {
            "metric": self.metric,
            "account_id": self.account_ids or None,
            "from": self.start or None,
            "to": self.end or None,
            "time_zone": self.time_zone or None,
            "group_by": self.group_by or "",
        }


@dataclass(frozen=True, slots=True)
class UsageReport:
    """The answer to a choice. ``rows``: its groups, where ``complete`` all of them, else the greatest; ``by_time``:
    the same by time alone, where it is by time and by something else and not complete. ``question`` None:
    ``problem`` says why there is no answer. ``notes``: what of the choice could not be kept."""

    choice: ReportChoice
    question: UsageQuestion | None = None
    rows: Sequence[UsageGroup] = ()
    total: Usage | None = None
    complete: bool = True
    by_time: Sequence[UsageGroup] = ()
    problem: str = ""
    notes: Sequence[str] = field(default=())


def grouping_of(group_by: Sequence[str], dimensions: Sequence[str]) -> tuple[str, tuple[str, ...], list[str]]:
    """(step, groups, what is none of ``dimensions``) of what an address names; of several steps the last."""
    step, groups, unknown = "", dict[str, None](), list[str]()
    for name in naming.groups(group_by, dimensions, (*GRANULARITIES, ACCOUNT)):
        if name in GRANULARITIES:
            step = name
        elif name == ACCOUNT:
            groups[ACCOUNT] = None
        elif (dimension := naming.dimension_of(name)) in dimensions:
            groups[naming.PREFIX + dimension] = None
        else:
            unknown.append(dimension)
    return step, tuple(groups), unknown


def common_spans(now: datetime, zone: ZoneInfo) -> list[tuple[str, str, str]]:
    """(what it is called, from, to) of times that people look at, as local dates."""
    today = now.astimezone(zone).date()
    tomorrow, month = today + timedelta(days=1), today.replace(day=1)
    spans = (
        ("Today", today, tomorrow),
        ("Last 7 days", tomorrow - timedelta(days=7), tomorrow),
        ("Last 30 days", tomorrow - timedelta(days=30), tomorrow),
        ("This month", month, boundary_date("month", month, 1)),
        ("Month before", boundary_date("month", month, -1), month),
        ("This year", today.replace(month=1, day=1), today.replace(year=today.year + 1, month=1, day=1)),
    )
    return [(name, start.isoformat(), end.isoformat()) for name, start, end in spans]


def bucket_text(us: int, zone: ZoneInfo, step: str) -> str:
    """A piece of time, named by its start, as the zone's people say it."""
    local = instant(us).astimezone(zone)
    if step == "quarter":
        return f"{local:%Y}-Q{(local.month + 2) // 3}"
    forms = {"hour": "%Y-%m-%d %H:%M", "month": "%Y-%m", "year": "%Y"}
    return local.strftime(forms.get(step, "%Y-%m-%d"))
