"""The console's lists of alerts: those that are open, on the overview, and a page of all. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rating.alerts.alert_store import AlertCriteria, StoredAlert
from rating.console.html import Child, Html, join, link, page, table, tag
from rating.console.text import grouped
from rating.console.views import header
from schemas.values.instants import rfc3339

OPEN_SHOWN: Final = 10


def open_alerts(namespace: str, alerts: Sequence[StoredAlert]) -> Html | None:
    """The newest OPEN_SHOWN of ``alerts``; nothing where there are none."""
    if not alerts:
        return None
    further = " Only the latest are shown." if len(alerts) > OPEN_SHOWN else ""
    listed = link("All alerts", "alerts", namespace=namespace)
    return join(
        tag("h2", "Open alerts"),
        tag("p", f"Fired and not recovered.{further} ", listed, class_="soft"),
        table(
            ("Rule", "Account", "Of", "Threshold", "Value", "Since"),
            _rows(namespace, alerts[:OPEN_SHOWN]),
            frozenset({3, 4}),
        ),
    )


def _rows(namespace: str, alerts: Sequence[StoredAlert]) -> list[tuple[Child, ...]]:
    return [
        (
            link(stored.alert.key.rule, "alerts", namespace=namespace, rule=stored.alert.key.rule),
            link(stored.alert.key.account_id, "accounts", stored.alert.key.account_id, namespace=namespace),
            f"{stored.alert.measure} {stored.alert.metric}",
            stored.alert.key.threshold,
            grouped(stored.alert.value),
            rfc3339(stored.appended_us),
        )
        for stored in alerts
    ]


def alert_page(criteria: AlertCriteria, alerts: Sequence[StoredAlert], cursor: str | None) -> Html:
    """The alerts that ``criteria`` name, the newest first, with a form to name others. ``cursor``: of the next page,
    None: there is none."""
    namespace = criteria.namespace
    rows = [
        (*row, stored.alert.state, stored.alert.episode, stored.alert.key.subscription, _period(stored))
        for row, stored in zip(_rows(namespace, alerts), alerts, strict=True)
    ]
    columns = ("Rule", "Account", "Of", "Threshold", "Value", "Said", "State", "Episode", "Subscription", "Period from")
    filters = {"rule": criteria.rule, "account_id": criteria.account_id, "state": criteria.state}
    asked = filters | {"open": "true" if criteria.open_only else None}
    paging = [link("Earlier alerts", "alerts", namespace=namespace, cursor=cursor, **asked)] if cursor else []
    return page(
        "Alerts",
        header(namespace),
        tag("h1", "Alerts"),
        _form(namespace, filters, criteria.open_only),
        table(columns, rows, frozenset({3, 4, 7})) if rows else tag("p", "none", class_="soft"),
        tag("p", paging),
    )


def _period(stored: StoredAlert) -> str:
    return rfc3339(stored.alert.key.period_start_us) if stored.alert.period_end_us else ""


def _form(namespace: str, filters: Mapping[str, str | None], open_only: bool) -> Html:
    states = [
        tag("option", name or "fired or recovered", value=name, selected=name == (filters["state"] or ""))
        for name in ("", "fired", "recovered")
    ]
    return tag(
        "form",
        tag("input", type="hidden", name="namespace", value=namespace),
        tag("label", "Rule", tag("input", name="rule", value=filters["rule"] or "", size=16)),
        tag("label", "Account", tag("input", name="account_id", value=filters["account_id"] or "", size=16)),
        tag("label", "State", tag("select", states, name="state")),
        tag("label", "Open ones alone", tag("input", type="checkbox", name="open", value="true", checked=open_only)),
        tag("button", "Show", class_="first"),
        method="get",
        class_="line",
    )
