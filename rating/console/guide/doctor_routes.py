"""The route of the page "No usage showing?"."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from rating.api.usage.account_diagnosis import diagnosed, interval_of
from rating.console.guide.doctor_page import DoctorForm, doctor_page
from rating.console.login.visit import Visiting
from rating.console.page_answers import page_of
from rating.console.usage.read_usage import metrics_of
from rating.periods import parse_zone

router = APIRouter(include_in_schema=False)


@router.get("/doctor")
async def doctor(
    request: Request, visit: Visiting, account_id: str = "", metric: str = "", period: str = ""
) -> Response:
    rating, view, account = visit.rating, visit.view, account_id.strip()
    form = DoctorForm(metrics_of(view), account, metric, period.strip())
    if not account or not metric:
        return page_of(doctor_page(visit.frame, form, None, "UTC"))
    zone = parse_zone(view.time_zone(account))
    try:
        interval = interval_of(rating.now_of(view), form.period, zone)
    except ValueError as error:
        return page_of(doctor_page(visit.frame, form, None, zone.key, str(error)), 422)

    try:
        diagnosis = await diagnosed(rating, request, view, account, metric, interval)
    except LookupError as error:
        return page_of(doctor_page(visit.frame, form, None, zone.key, str(error.args[0])), 404)
    return page_of(doctor_page(visit.frame, form, diagnosis, zone.key))
