"""Routes of the console's pages of anomalies."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from rating.alerts.alert_store import AlertCriteria
from rating.api.alerts import alert_page, place_of
from rating.console import anomaly_list
from rating.console.pages import LoggedIn, failed, page_of
from schemas.http.problems import Problem

router = APIRouter(include_in_schema=False)

_ANOMALIES_SHOWN = 20


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
