"""Asks what a page shows of a metric: by the functions that answer GET /v1/usage, so that no two numbers differ."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from rating.api.context import Rating
from rating.api.usage.totals import answer_usage, read_question
from rating.console.usage.usage_choice import ShownUsage, UsageChoice, edge_text, span_before, step_of
from rating.console.usage.usage_panel import MOST_BARS, PARTS_SHOWN
from rating.usage import naming
from rating.usage.usage_parameters import UsageParameters
from schemas.catalog.profiles import dimension_names, profile_versions, resolve
from schemas.catalog.state import NamespaceView
from schemas.http.problems import Problem
from schemas.values.json_text import JsonObject
from schemas.values.record_copy import replace

MOST_METRICS: Final = 12
"""Metrics whose totals a page shows side by side."""


def metrics_of(view: NamespaceView) -> list[str]:
    """All metrics, sorted."""
    return sorted({version.profile_id for version in profile_versions(view)})


def used_metric(totals: Sequence[JsonObject], metrics: Sequence[str]) -> str:
    """The first metric that has usage in its totals, else the first of ``metrics``, "" where there is none."""
    used = next((total["metric"] for total in totals if total["total"]["events"]), None)
    return used or next(iter(metrics), "")


async def metric_totals(
    rating: Rating, view: NamespaceView, account_id: str | None, start: str, end: str, metrics: Sequence[str]
) -> list[JsonObject]:
    """The totals of the first MOST_METRICS of ``metrics``, of an account or of all, each as GET /v1/usage answers.
    Raises Problem."""
    accounts = () if account_id is None else (account_id,)
    questions = [
        read_question(rating, view, UsageParameters(metric, accounts, start or None, end or None))
        for metric in metrics[:MOST_METRICS]
    ]
    return list(await asyncio.gather(*(answer_usage(rating, question, None) for question in questions)))


async def shown_usage(
    rating: Rating,
    view: NamespaceView,
    choice: UsageChoice,
    step: str,
    accounts: tuple[str, ...] = (),
    time_zone: str | None = None,
) -> ShownUsage:
    """What a choice shows; ``step``: as it was asked for, "" for one that fits. Problems are told in it."""
    if not choice.metric:
        return ShownUsage(choice, problem="there is no metric in this namespace yet; `weir apply` publishes one")
    parameters = UsageParameters(choice.metric, accounts, choice.start or None, choice.end or None, time_zone)
    try:
        whole = read_question(rating, view, parameters)
        zone, span = whole.zone, (whole.query.start_us, whole.query.end_us)
        versions = resolve(view, choice.metric)
        choice = replace(
            choice,
            metric=whole.metric,
            step=step_of(step, *span),
            start=edge_text(span[0], zone),
            end=edge_text(span[1], zone),
            dimensions=tuple(dimension_names(versions)),
        )
        stepped = replace(parameters, start=choice.start, end=choice.end, group_by=(choice.step,))
        usage = read_question(rating, view, stepped)
        if len(usage.query.buckets_us) > MOST_BARS:
            stepped = replace(stepped, group_by=("day",))
            choice = replace(choice, step="day")
            usage = read_question(rating, view, stepped)
        past = span_before(*span, zone)
        before = read_question(rating, view, replace(stepped, start=past[0], end=past[1]))
        questions = [answer_usage(rating, usage, None), answer_usage(rating, before, None)]
        if choice.split_by in choice.dimensions:
            grouped = replace(stepped, group_by=(naming.PREFIX + choice.split_by,))
            parts = read_question(rating, view, grouped)
            if not parts.query.profile.carry_over:
                parts = replace(parts, query=replace(parts.query, top=PARTS_SHOWN))
            questions.append(answer_usage(rating, parts, None))
        answers = await asyncio.gather(*questions)
    except Problem as problem:
        return ShownUsage(choice, problem=problem.detail)
    return ShownUsage(choice, answers[0], answers[1], answers[2] if len(answers) > 2 else None)
