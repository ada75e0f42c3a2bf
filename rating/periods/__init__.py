"""Calendar arithmetic, pure: billing periods, date ranges, and pieces of them for histories.

Every result is half-open ``[start, end)`` of UTC instants that come from local dates of an account's time zone.
"""

from rating.periods.billing import (
    BillingInterval,
    boundary_count,
    boundary_date,
    first_period,
    next_period,
    period_containing,
    periods_between,
    successive_periods,
)
from rating.periods.interval import Interval
from rating.periods.ranges import parse_range
from rating.periods.split import Granularity, split
from schemas.values.local_time import local_midnight, parse_zone

__all__ = [
    "BillingInterval",
    "Granularity",
    "Interval",
    "boundary_count",
    "boundary_date",
    "first_period",
    "local_midnight",
    "next_period",
    "parse_range",
    "parse_zone",
    "period_containing",
    "periods_between",
    "split",
    "successive_periods",
]
