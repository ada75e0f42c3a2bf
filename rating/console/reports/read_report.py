"""Asks what a report shows, by the query that answers GET /v1/usage."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from clickhouse_connect.driver.client import Client

from rating.api.context import Rating
from rating.api.usage.totals import read_question, rolled_up
from rating.console.reports.report_choice import MOST_ROWS, ReportChoice, UsageReport, grouping_of
from rating.console.usage.usage_choice import edge_text
from rating.usage import Usage, UsageGroup, UsageQuery, stream_rows, usage_totals, usage_with_total
from rating.usage.usage_document import with_empty_buckets
from schemas.catalog.profiles import dimension_names, resolve
from schemas.catalog.state import NamespaceView
from schemas.http.problems import Problem
from schemas.values.record_copy import replace


def known_choice(view: NamespaceView, choice: ReportChoice, group_by: Sequence[str]) -> tuple[ReportChoice, list[str]]:
    """The choice with the dimensions of its metric and what of ``group_by`` these are; and notes of the rest. Raises
    LookupError for an unknown metric."""
    versions = resolve(view, choice.metric)
    dimensions = tuple(dimension_names(versions))
    step, groups, unknown = grouping_of(group_by, dimensions)
    kept = replace(choice, metric=versions[-1].profile_id, step=step, groups=groups, dimensions=dimensions)
    return kept, [f"{name[:64]!r} is no dimension of {kept.metric}, and is left out" for name in unknown]


async def usage_report(
    rating: Rating, view: NamespaceView, choice: ReportChoice, group_by: Sequence[str]
) -> UsageReport:
    """The answer; what is wrong with the choice is told in it. Raises Problem for what is no fault of it."""
    try:
        choice, notes = known_choice(view, choice, group_by)
    except LookupError as error:
        return UsageReport(choice, problem=str(error.args[0]))
    try:
        question = read_question(rating, view, choice.parameters())
    except Problem as problem:
        return UsageReport(choice, problem=problem.detail, notes=notes)
    edges = (question.query.start_us, question.query.end_us)
    start, end = (edge_text(us, question.zone) for us in edges)
    report = UsageReport(replace(choice, start=start, end=end), question, notes=notes)

    def asked(client: Client) -> UsageReport:
        planned = question.as_of(None, rolled_up(rating, client)).query
        rows, total, complete = _groups(client, planned)
        by_time: Sequence[UsageGroup] = ()
        if planned.buckets_us and not complete:
            alone = replace(planned, by_account=False, dimensions=())
            by_time = with_empty_buckets(alone, usage_totals(client, alone))
        return replace(report, rows=rows, total=total, complete=complete, by_time=by_time)

    try:
        return await rating.ask(asked)
    except Problem as problem:  # too much is asked
        return replace(report, question=None, problem=problem.detail)


def _groups(client: Client, query: UsageQuery) -> tuple[Sequence[UsageGroup], Usage, bool]:
    """At most MOST_ROWS groups, the greatest where there are more, the total of all, and whether these are all."""
    if not (query.by_account or query.dimensions):
        rows, total = usage_with_total(client, query)
        return with_empty_buckets(query, rows), total, True
    if not query.profile.carry_over:
        rows, total = usage_with_total(client, replace(query, top=MOST_ROWS + 1))
    else:
        rows = list(islice(stream_rows(client, query), MOST_ROWS + 1))
        (whole,) = usage_totals(client, replace(query, by_account=False, dimensions=(), buckets_us=()))
        total = whole.usage
    return rows[:MOST_ROWS], total, len(rows) <= MOST_ROWS
