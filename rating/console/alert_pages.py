"""Routes of the console's pages of alerts and anomalies."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response

from rating.alerts.alert_store import AlertCriteria
from rating.api.alerts import alert_page, place_of
from rating.console import alert_list, anomaly_list
from rating.console.pages import LoggedIn, failed, page_of
from schemas.http.problems import Problem
from schemas.values.instants import micros

router = APIRouter(include_in_schema=False)

_ALERTS_SHOWN: Final = 100
_ANOMALIES_SHOWN: Final = 20


@router.get("/alerts")
async def alerts(
    rating: LoggedIn,
    namespace: str | None = None,
    rule: str = "",
    account_id: str = "",
    state: str = "",
    open_only: Annotated[bool, Query(alias="open")] = False,
    cursor: str | None = None,
) -> Response:
    try:
        view = rating.view(namespace)
        after = None if cursor is None else place_of(cursor)
    except Problem as problem:
        return failed(problem)
    criteria = AlertCriteria(
        view.namespace,
        account_id=account_id or None,
        rule=rule or None,
        state=state if state in ("fired", "recovered") else None,
        open_only=open_only,
        now_us=micros(rating.now()),
        after=after,
        limit=_ALERTS_SHOWN + 1,
    )
    page, following = await alert_page(rating, criteria)
    return page_of(alert_list.alert_page(criteria, page, following))


@router.get("/anomalies")
async def anomalies(rating: LoggedIn, namespace: str | None = None, cursor: str | None = None) -> Response:
    try:
        view = rating.view(namespace)
        after = None if cursor is None else place_of(cursor)
    except Problem as problem:
        return failed(problem)
    criteria = AlertCriteria(view.namespace, measure="anomaly", after=after, limit=_ANOMALIES_SHOWN + 1)
    page, following = await alert_page(rating, criteria)
    return page_of(anomaly_list.anomalies(view.namespace, page, view.time_zone, following))
