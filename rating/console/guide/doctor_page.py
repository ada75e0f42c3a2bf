"""The page "No usage showing?": what became of an account's events for a metric, findings first. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rating.console.frame import Frame
from rating.console.html import Child, Html, join, table, tag
from rating.console.text import local, rounded
from rating.console.usage.usage_panel import metric_options
from rating.doctor.diagnosis import Diagnosis, Group
from rating.doctor.findings import findings_of
from schemas.values.instants import micros


@dataclass(frozen=True, slots=True)
class DoctorForm:
    """What is asked; ``metrics``: those that may be chosen, ``period``: as ``weir doctor`` takes it, "" for this
    month."""

    metrics: Sequence[str]
    account_id: str = ""
    metric: str = ""
    period: str = ""


def doctor_page(frame: Frame, form: DoctorForm, diagnosis: Diagnosis | None, zone: str, problem: str = "") -> Html:
    """``diagnosis`` None: nothing was asked yet, or ``problem`` says why there is none. ``zone``: of the account."""
    title = "No usage showing?"
    text = "Say whose usage of which metric is missing: what came, what counted, and what to do about the rest."
    return frame.page(
        "doctor",
        title,
        tag("h1", title),
        None if diagnosis else tag("p", text, class_="soft"),
        _form(frame, form),
        tag("p", problem, class_="bad", role="alert") if problem else None,
        None if diagnosis is None else _told(frame, diagnosis, zone),
    )


def _form(frame: Frame, form: DoctorForm) -> Html:
    account = tag("input", name="account_id", value=form.account_id, required=True, size=20)
    period = tag("input", name="period", value=form.period, size=24, placeholder="2026-11 or 2026-11-01..2026-11-08")
    return frame.form(
        tag("label", "Customer, as events name it", account),
        tag("label", "Metric", tag("select", metric_options(frame, form.metrics, form.metric), name="metric")),
        tag("label", "Time (this month where empty)", period),
        tag("button", "Look", class_="first"),
        path=("doctor",),
    )


def _told(frame: Frame, diagnosis: Diagnosis, zone: str) -> Html:
    edges = [local(micros(edge), zone) for edge in (diagnosis.interval.start, diagnosis.interval.end)]
    names = " or ".join(diagnosis.event_names)
    facts = f"{diagnosis.profile_id} counts events named {names}; {edges[0]} to {edges[1]} (not included), {zone}"
    return join(
        tag("p", frame.account(diagnosis.account_id)),
        tag("p", facts, class_="soft"),
        tag("h2", "What is the matter"),
        tag("ol", [tag("li", finding) for finding in findings_of(diagnosis)], class_="findings"),
        tag("h2", "What became of the events"),
        table(("Fate", "Why", "Events", "For example"), list(_rows(diagnosis, zone)), frozenset({2})),
        tag("p", "In all: ", rounded(diagnosis.quantity), class_="soft"),
        _billed(diagnosis),
    )


def _rows(diagnosis: Diagnosis, zone: str) -> Iterator[tuple[Child, ...]]:
    yield "received", "of these names, in this time, each counted once", rounded(diagnosis.received), ""
    yield "counted", f"stand in the {diagnosis.aggregation}", rounded(diagnosis.matched), ""
    for fate, groups in (
        ("voided", diagnosis.voided),
        ("refused by a filter", diagnosis.filtered),
        ("no value to measure", diagnosis.unmeterable),
        ("no version was valid", diagnosis.not_valid),
        ("came before the metric was published", diagnosis.too_early),
        ("rounded to 12 decimals", diagnosis.rounded),
    ):
        for group in groups:
            yield fate, group.why, rounded(group.events), _example(group)
    if diagnosis.unexamined:
        yield "not looked at one by one", "there are very many", rounded(diagnosis.unexamined), ""
    yield "dropped as copies", "their first copy is among the received", rounded(diagnosis.duplicates), ""
    for refused in diagnosis.rejections:
        yield f"refused by {refused.stage}", refused.reason, rounded(refused.events), refused.detail
    outside = diagnosis.outside
    if outside.before:
        yield "before this time", f"the last at {outside.nearest_before}", rounded(outside.before), ""
    if outside.after:
        yield "after this time", f"the first at {outside.nearest_after}", rounded(outside.after), ""
    if diagnosis.waiting:
        yield "not metered yet", "packed batches of all accounts", rounded(diagnosis.waiting), ""


def _example(group: Group) -> Child:
    if not group.examples:
        return ""
    example = group.examples[0]
    value = f" has {example.value}" if example.value else ""
    return tag("span", f"{example.idempotency_key} of {example.timestamp}{value}")


def _billed(diagnosis: Diagnosis) -> Html | None:
    if not diagnosis.billing.charges:
        return None
    return tag("p", f"Billed by {', '.join(diagnosis.billing.charges)}.")
