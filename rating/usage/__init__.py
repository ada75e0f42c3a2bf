"""Totals of usage: a query is a value, rendered to SQL in one place and read from ClickHouse.

Console, API, entitlements and invoices all come through here, so no two of them can tell different numbers.
"""

from rating.usage.carry import looking_back
from rating.usage.execute import stream_groups, stream_rows, usage_of_steps, usage_totals, usage_with_total
from rating.usage.measured_profile import Measured, measured, valid_versions
from rating.usage.query import AccountInterval, Usage, UsageGroup, UsageQuery, no_usage, of_account_intervals
from rating.usage.render import Rendered, render

__all__ = [
    "AccountInterval",
    "Measured",
    "Rendered",
    "Usage",
    "UsageGroup",
    "UsageQuery",
    "looking_back",
    "measured",
    "no_usage",
    "of_account_intervals",
    "render",
    "stream_groups",
    "stream_rows",
    "usage_of_steps",
    "usage_totals",
    "usage_with_total",
    "valid_versions",
]
