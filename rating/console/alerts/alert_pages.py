"""Routes of the console's pages of alerts and anomalies."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response

from rating.alerts.alert_store import AlertCriteria
from rating.api.alerts import alert_page, place_of
from rating.console.alerts import alert_list, anomaly_list
from rating.console.login.visit import Visiting
from rating.console.page_answers import page_of
from schemas.values.instants import micros

router = APIRouter(include_in_schema=False)

_ALERTS_SHOWN: Final = 100
_ANOMALIES_SHOWN: Final = 20


@router.get("/alerts")
async def alerts(
    visit: Visiting,
    rule: str = "",
    account_id: str = "",
    state: str = "",
    open_only: Annotated[bool, Query(alias="open")] = False,
    cursor: str | None = None,
) -> Response:
    after = None if cursor is None else place_of(cursor)
    criteria = AlertCriteria(
        visit.view.namespace,
        account_id=account_id or None,
        rule=rule or None,
        state=state if state in ("fired", "recovered") else None,
        open_only=open_only,
        now_us=micros(visit.rating.now_of(visit.view)),
        after=after,
        limit=_ALERTS_SHOWN + 1,
    )
    page, following = await alert_page(visit.rating, criteria)
    return page_of(alert_list.alert_page(visit.frame, criteria, page, following))


@router.get("/anomalies")
async def anomalies(visit: Visiting, cursor: str | None = None) -> Response:
    after = None if cursor is None else place_of(cursor)
    criteria = AlertCriteria(visit.view.namespace, measure="anomaly", after=after, limit=_ANOMALIES_SHOWN + 1)
    page, following = await alert_page(visit.rating, criteria)
    return page_of(anomaly_list.anomalies(visit.frame, page, visit.view.time_zone, following))
