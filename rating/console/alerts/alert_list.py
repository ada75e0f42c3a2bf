"""The console's lists of alerts: those that are open, on the overview, and a page of all. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rating.alerts.alert_store import AlertCriteria, StoredAlert
from rating.console.frame import Frame
from rating.console.html import Child, Html, join, table, tag
from rating.console.text import grouped
from schemas.values.instants import rfc3339

OPEN_SHOWN: Final = 10


def open_alerts(frame: Frame, alerts: Sequence[StoredAlert]) -> Html | None:
    """The newest OPEN_SHOWN of ``alerts``; nothing where there are none."""
    if not alerts:
        return None
    further = " Only the latest are shown." if len(alerts) > OPEN_SHOWN else ""
    listed = frame.link("All alerts", "alerts")
    return join(
        tag("h2", "Open alerts"),
        tag("p", f"Fired and not recovered.{further} ", listed, class_="soft"),
        table(
            ("Rule", "Customer", "Of", "Threshold", "Value", "Since"),
            _rows(frame, alerts[:OPEN_SHOWN]),
            frozenset({3, 4}),
        ),
    )


def _rows(frame: Frame, alerts: Sequence[StoredAlert]) -> list[tuple[Child, ...]]:
    return [
        (
            frame.link(stored.alert.key.rule, "alerts", rule=stored.alert.key.rule),
            frame.account(stored.alert.key.account_id),
            f"{stored.alert.measure} {stored.alert.metric}",
            stored.alert.key.threshold,
            grouped(stored.alert.value or None),
            rfc3339(stored.appended_us),
        )
        for stored in alerts
    ]


def alert_page(frame: Frame, criteria: AlertCriteria, alerts: Sequence[StoredAlert], cursor: str | None) -> Html:
    """The alerts that ``criteria`` name, the newest first, with a form to name others. ``cursor``: of the next page,
    None: there is none."""
    rows = [
        (*row, stored.alert.state, stored.alert.episode, stored.alert.key.subscription, _period(stored))
        for row, stored in zip(_rows(frame, alerts), alerts, strict=True)
    ]
    columns = (
        "Rule",
        "Customer",
        "Of",
        "Threshold",
        "Value",
        "Said",
        "State",
        "Episode",
        "Subscription",
        "Period from",
    )
    filters = {"rule": criteria.rule, "account_id": criteria.account_id, "state": criteria.state}
    query = filters | {"open": "true" if criteria.open_only else None}
    paging = [frame.link("Earlier alerts", "alerts", cursor=cursor, **query)] if cursor else []
    return frame.page(
        "alerts",
        "Alerts",
        tag("h1", "Alerts"),
        _form(frame, filters, criteria.open_only),
        table(columns, rows, frozenset({3, 4, 7})) if rows else tag("p", "none", class_="soft"),
        tag("p", paging),
    )


def _period(stored: StoredAlert) -> str:
    return rfc3339(stored.alert.key.period_start_us) if stored.alert.period_end_us else ""


def _form(frame: Frame, filters: Mapping[str, str | None], open_only: bool) -> Html:
    states = [
        tag("option", name or "fired or recovered", value=name, selected=name == (filters["state"] or ""))
        for name in ("", "fired", "recovered")
    ]
    return frame.form(
        tag("label", "Rule", tag("input", name="rule", value=filters["rule"] or "", size=16)),
        tag("label", "Account", tag("input", name="account_id", value=filters["account_id"] or "", size=16)),
        tag("label", "State", tag("select", states, name="state")),
        tag("label", "Open ones alone", tag("input", type="checkbox", name="open", value="true", checked=open_only)),
        tag("button", "Show", class_="first"),
        path=("alerts",),
    )
