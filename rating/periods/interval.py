"""A span of time: half-open, of UTC instants."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Interval:
    """``[start, end)``, both aware datetimes in UTC, start before end. Raises ValueError for anything else."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for instant in (self.start, self.end):
            if instant.utcoffset() != timedelta(0):
                raise ValueError(f"{instant.isoformat()} is not in UTC; convert it with astimezone(UTC)")
        if self.start >= self.end:
            raise ValueError(f"{self} is empty; its end must be after its start")

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end

    def __str__(self) -> str:
        return f"[{self.start.isoformat()}, {self.end.isoformat()})"

    @property
    def duration(self) -> timedelta:
        """The time from start to end; a local day may have 23 or 25 hours."""
        return self.end - self.start
