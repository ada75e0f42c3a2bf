"""Routes of the pages of events."""

from __future__ import annotations

from typing import Final

from clickhouse_connect.driver.client import Client
from fastapi import APIRouter
from fastapi.responses import Response

from rating.api.events.rejection_list import place_of, place_text
from rating.console.events.event_list import event_list, refused_list
from rating.console.events.read_events import EventFilter, MeteredEvent, recent_events, refused_since
from rating.console.login.visit import Visiting
from rating.console.page_answers import page_of
from schemas.catalog.profiles import profile_versions
from schemas.clickhouse.stored_rejections import RejectionCriteria, matching_rejections
from schemas.values.instants import DAY, micros

router = APIRouter(include_in_schema=False)

_LONGEST: Final = 256
_REFUSED_SHOWN: Final = 50


@router.get("/events")
async def events(visit: Visiting, account_id: str = "", name: str = "") -> Response:
    criteria = EventFilter(account_id.strip()[:_LONGEST], name.strip()[:_LONGEST])
    namespace, now_us = visit.view.namespace, micros(visit.rating.now())

    def question(client: Client) -> tuple[list[MeteredEvent], int]:
        return recent_events(client, namespace, criteria, now_us), refused_since(client, namespace, now_us - DAY)

    came, refused = await visit.rating.ask(question)
    names = sorted({version.event_name for version in profile_versions(visit.view)})
    return page_of(event_list(visit.frame, criteria, names, came, refused, visit.view.time_zone))


@router.get("/events/refused")
async def refused_events(visit: Visiting, reason: str = "", cursor: str | None = None) -> Response:
    criteria = RejectionCriteria(
        visit.view.namespace,
        reason=reason.strip()[:_LONGEST],
        limit=_REFUSED_SHOWN + 1,
        of_nobody=visit.access.namespace is None,
        after=None if cursor is None else place_of(cursor),
    )
    rejections = await visit.rating.ask(lambda client: matching_rejections(client, criteria))
    shown = rejections[:_REFUSED_SHOWN]
    following = place_text(shown[-1].place) if len(rejections) > _REFUSED_SHOWN else None
    return page_of(refused_list(visit.frame, criteria.reason, shown, following, visit.frame.may_change))
