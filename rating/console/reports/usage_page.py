"""The page Reports → Usage: what is chosen, the total, the chart, the table, the documents. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final
from urllib.parse import urlencode

from rating.console.chart import bars
from rating.console.frame import Frame
from rating.console.html import Child, Html, join, table, tag
from rating.console.reports.line_chart import MOST_LINES, lines
from rating.console.reports.report_choice import ACCOUNT, ReportChoice, UsageReport, bucket_text, common_spans
from rating.console.text import local_days, rounded
from rating.console.usage.usage_choice import span_after, span_before
from rating.console.usage.usage_panel import MOST_BARS, metric_options
from rating.pricing.exact import exact_sum
from rating.usage import Usage, UsageGroup, UsageQuery, naming
from rating.usage.usage_parameters import GRANULARITIES, UsageQuestion
from schemas.catalog.meters import ZERO_WITHOUT_USAGE
from schemas.values.record_copy import replace

PATH: Final = ("reports", "usage")
ROWS_SHOWN: Final = 300
MOST_COLUMNS: Final = 31
_ADDS_UP: Final = ("sum", "count")


def usage_page(frame: Frame, report: UsageReport, now: datetime) -> Html:
    """``now``: of which the spans to choose from are counted."""
    choice = report.choice
    return frame.page(
        "reports",
        "Usage report",
        tag("h1", "Usage"),
        _form(frame, report),
        [tag("p", note, class_="soft") for note in report.notes],
        tag("p", report.problem, class_="bad", role="alert") if report.problem else None,
        None if report.question is None else _answer(frame, report, report.question, now),
        None if choice.metrics else tag("p", "There is no metric in this namespace yet."),
    )


def choose_page(frame: Frame, choice: ReportChoice, text: str, near: Sequence[str]) -> Html:
    """Several customers, or none, are meant by ``text``: ``near`` are those to choose from."""
    links = [
        tag("li", tag("a", frame.name_of("account", code) or code, href=_address(frame, _with(choice, code))))
        for code in near
    ]
    told = f"Which customer is {text!r}?" if near else f"No customer has {text!r} in its code or name."
    query = tag("a", "Look at events of this name all the same", href=_address(frame, _with(choice, text)))
    return frame.page("reports", "Usage report", tag("h1", "Usage"), tag("p", told), tag("ul", links), tag("p", query))


def _with(choice: ReportChoice, account_id: str) -> ReportChoice:
    return replace(choice, account_ids=tuple(dict.fromkeys((*choice.account_ids, account_id))))


def _address(frame: Frame, choice: ReportChoice, *path: str) -> str:
    return frame.address(*(path or PATH), **choice.query())


def _form(frame: Frame, report: UsageReport) -> Html:
    choice = report.choice
    steps = [tag("option", "nothing", value="", selected=not choice.step)]
    steps += [tag("option", step, value=step, selected=step == choice.step) for step in GRANULARITIES]
    zone = choice.time_zone or (report.question.zone.key if report.question else "")
    kept = [
        _check("account_id", code, frame.name_of("account", code) or code, checked=True) for code in choice.account_ids
    ]
    columns = [_check("group_by", ACCOUNT, "customer", checked=ACCOUNT in choice.groups)]
    columns += [
        _check("group_by", naming.PREFIX + name, name, checked=naming.PREFIX + name in choice.groups)
        for name in choice.dimensions
    ]
    return frame.form(
        tag("label", "Metric", tag("select", metric_options(frame, choice.metrics, choice.metric), name="metric")),
        tag("label", "Customer (all where none)", tag("input", name="customer", size=18, placeholder="code or name")),
        tag("label", "From (local date)", tag("input", name="from", value=choice.start, size=12)),
        tag("label", "To (not included)", tag("input", name="to", value=choice.end, size=12)),
        tag("label", "Time zone", tag("input", name="time_zone", value=zone, size=18)),
        tag("label", "By time", tag("select", steps, name="group_by")),
        tag("fieldset", tag("legend", "And by"), columns),
        tag("fieldset", tag("legend", "Only these customers"), kept) if kept else None,
        tag("button", "Show", class_="first"),
        path=PATH,
    )


def _check(name: str, value: str, text: str, checked: bool) -> Html:
    return tag("label", tag("input", type="checkbox", name=name, value=value, checked=checked), text, class_="check")


def _answer(frame: Frame, report: UsageReport, question: UsageQuestion, now: datetime) -> Html:
    choice, query, zone = report.choice, question.query, question.zone
    total = report.total or Usage(None, 0)
    unit = query.profile.unit
    span = local_days(query.start_us, query.end_us, zone.key)
    cards = (
        (rounded(total.quantity, unit), f"{query.profile.aggregation} in all"),
        (rounded(total.events), "events"),
    )
    name = frame.name_of("metric", question.metric) or question.metric
    whose = ", ".join(frame.name_of("account", code) or code for code in choice.account_ids) or "all customers"
    return join(
        _spans(frame, choice, question, now),
        tag("h2", f"{name}, {whose}"),
        tag("p", f"{span}, {zone.key}", class_="soft"),
        tag("div", [tag("div", tag("b", number), tag("span", text), class_="card") for number, text in cards],
            class_="cards"),
        _chart(frame, report, query, question),
        _table(frame, report, query, question),
        _documents(frame, choice),
    )  # fmt: skip


def _spans(frame: Frame, choice: ReportChoice, question: UsageQuestion, now: datetime) -> Html:
    edges = (question.query.start_us, question.query.end_us)
    spans = [("← Before", *span_before(*edges, question.zone)), ("After →", *span_after(*edges, question.zone))]
    spans += common_spans(now, question.zone)
    links = [
        tag("a", text, href=_address(frame, replace(choice, start=start, end=end)),
            class_="here" if (start, end) == (choice.start, choice.end) else None)
        for text, start, end in spans
    ]  # fmt: skip
    return tag("p", links, class_="chips")


def _chart(frame: Frame, report: UsageReport, query: UsageQuery, question: UsageQuestion) -> Html | None:
    starts, step, unit = query.buckets_us, report.choice.step, query.profile.unit
    if not starts:
        return None
    if len(starts) > MOST_BARS:
        return tag("p", f"More than {MOST_BARS} points: choose longer steps, or a shorter time.", class_="soft")
    by_time = report.rows if not report.choice.groups else report.by_time
    if not report.choice.groups or not report.complete:
        values = [(bucket_text(row.bucket_us or 0, question.zone, step), row.usage.quantity) for row in by_time]
        drawn = bars(values, unit)
        chart: Html = tag("div", drawn, class_="chart", tabindex=0, role="group", aria_label="Chart")
        more = None if report.complete else tag("p", "All together: there are too many to draw each.", class_="soft")
        return join(chart, more)
    ordered = _by_size(report.rows, query)
    series = [(_plain_name(frame, key), _values(rows, query)) for key, rows in ordered[:MOST_LINES]]
    of_all = f"The {MOST_LINES} greatest of {len(ordered)}." if len(ordered) > MOST_LINES else ""
    labels = [bucket_text(start, question.zone, step) for start in starts]
    return join(lines(series, labels, unit), tag("p", of_all, class_="soft") if of_all else None)


Key = tuple[str | None, tuple[str | None, ...], tuple[str, ...]]


def _by_size(rows: Sequence[UsageGroup], query: UsageQuery) -> list[tuple[Key, list[UsageGroup]]]:
    """The rows of each group in order of time, the greatest group first: by its sum where quantities add up, else by
    its highest."""
    groups: dict[Key, list[UsageGroup]] = {}
    for row in rows:
        groups.setdefault((row.account_id, row.dimensions, row.json_values), []).append(row)

    def size(of_group: Sequence[UsageGroup]) -> Decimal:
        quantities = [row.usage.quantity or Decimal(0) for row in of_group]
        return exact_sum(quantities) if query.profile.aggregation in _ADDS_UP else max(quantities)

    return sorted(
        ((key, sorted(of_group, key=lambda row: row.bucket_us or 0)) for key, of_group in groups.items()),
        key=lambda item: size(item[1]),
        reverse=True,
    )


def _values(rows: Sequence[UsageGroup], query: UsageQuery) -> list[Decimal | None]:
    """A group's quantity of every bucket; without usage 0 where that is its total, else none."""
    empty = Decimal(0) if query.profile.aggregation in ZERO_WITHOUT_USAGE else None
    by_start = {row.bucket_us: row.usage.quantity for row in rows}
    return [by_start.get(start, empty) for start in query.buckets_us]


def _plain_name(frame: Frame, key: Key) -> str:
    account, dimensions, _ = key
    names = [] if account is None else [frame.name_of("account", account) or account]
    return " · ".join([*names, *("none" if value is None else value for value in dimensions)])


def _table(frame: Frame, report: UsageReport, query: UsageQuery, question: UsageQuestion) -> Html | None:
    if not report.choice.group_by:
        return None
    rows: Sequence[UsageGroup] = report.rows
    if report.choice.groups and query.buckets_us and report.complete:
        rows = [row for _, of_group in _by_size(rows, query) for row in of_group]
        if len(query.buckets_us) <= MOST_COLUMNS:
            return join(tag("h3", "Table"), _side_by_side(frame, report, query, question))
    head: list[Child] = ["Customer"] if query.by_account else []
    head += query.dimensions
    head += [report.choice.step.capitalize()] if query.buckets_us else []
    unit = query.profile.unit
    first_number = len(head)
    head += [f"Quantity ({unit})" if unit else "Quantity", "Events"]
    parts = bool(report.choice.groups) and not query.buckets_us and query.profile.aggregation in _ADDS_UP
    total = (report.total and report.total.quantity) or Decimal(0)
    cells = [
        (*_named(frame, row, query, question, report.choice.step), rounded(row.usage.quantity),
         rounded(row.usage.events), *([_part(row.usage.quantity or Decimal(0), total)] if parts else []))
        for row in rows[:ROWS_SHOWN]
    ]  # fmt: skip
    if not cells:
        return tag("p", "No usage in this time.", _why_none(frame, report.choice))
    numbers = frozenset({first_number, first_number + 1})
    shown = table([*head, *(["Part"] if parts else [])], cells, numbers)
    return join(tag("h3", "Table"), shown, _cut_note(report, len(rows)))


def _side_by_side(frame: Frame, report: UsageReport, query: UsageQuery, question: UsageQuestion) -> Html:
    """A row a group, a column a piece of time."""
    groups = _by_size(report.rows, query)
    head: list[Child] = [*(["Customer"] if query.by_account else []), *query.dimensions]
    names = len(head)
    head += [bucket_text(start, question.zone, report.choice.step) for start in query.buckets_us]
    adds_up = query.profile.aggregation in _ADDS_UP
    rows: list[list[Child]] = []
    for _, of_group in groups[:ROWS_SHOWN]:
        row = _named(frame, of_group[0], query, question, "")
        quantities = _values(of_group, query)
        row += [rounded(quantity) for quantity in quantities]
        rows.append(
            [*row, *([rounded(exact_sum(quantity or Decimal(0) for quantity in quantities))] if adds_up else [])]
        )
    numbers = frozenset(range(names, names + len(query.buckets_us) + 1))
    shown = table([*head, *(["In all"] if adds_up else [])], rows, numbers)
    return join(shown, _cut_note(report, len(groups)))


def _why_none(frame: Frame, choice: ReportChoice) -> Html:
    """Where to look when nothing is there."""
    query = {"account_id": choice.account_ids[0] if choice.account_ids else None, "metric": choice.metric}
    return join(" ", frame.link("Why is there none?", "doctor", **query))


def _cut_note(report: UsageReport, rows: int) -> Html | None:
    if not report.complete:
        return tag("p", f"The {ROWS_SHOWN} greatest; the documents below have all rows.", class_="soft")
    if rows > ROWS_SHOWN:
        return tag("p", f"{ROWS_SHOWN} of {rows} rows; the documents below have all.", class_="soft")
    return None


def _named(frame: Frame, row: UsageGroup, query: UsageQuery, question: UsageQuestion, step: str) -> list[Child]:
    cells: list[Child] = [frame.account(row.account_id or "")] if query.by_account else []
    cells += ["none" if value is None else value for value in row.dimensions]
    if step and row.bucket_us is not None:
        cells.append(tag("span", bucket_text(row.bucket_us, question.zone, step), class_="days"))
    return cells


def _part(quantity: Decimal, total: Decimal) -> Html:
    """A part of the total as a bar with its percents."""
    if total <= 0:
        return join("–")
    percent = f"{quantity * 100 / total:.1f} %"
    share = max(quantity, Decimal(0)) / total
    return join(tag("meter", value=f"{share:.4f}", min=0, max=1, aria_label=percent), " ", percent)


def _documents(frame: Frame, choice: ReportChoice) -> Html:
    query = urlencode(choice.parameters().to_query(), doseq=True)
    return join(
        tag("h3", "All rows"),
        tag(
            "p",
            tag("a", "CSV", href=_address(frame, choice, "reports", "usage.csv"), class_="button"), " ",
            tag("a", "Parquet", href=_address(frame, choice, "reports", "usage.parquet"), class_="button"),
        ),
        tag("p", "The same over HTTP: ", tag("code", f"GET /v1/usage?{query}"), class_="soft request"),
    )  # fmt: skip
