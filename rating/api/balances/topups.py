"""Top-ups of an account's prepaid credit: listed, and answered by whoever takes payments."""

from __future__ import annotations

import re
from functools import partial
from http import HTTPStatus
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, StringConstraints

from rating.api.context import Authorized, Rating, View
from rating.api.rating_problems import RatingProblem, missing, unavailable, unknown_account, wrong
from rating.topups.topup_answers import TopupAnswer, TopupConflict
from rating.topups.topup_grants import ungranted
from rating.topups.topup_store import StoredTopup, TopupCriteria, TopupPlace, list_topups
from schemas.catalog.prepaid.topup_record import Topup
from schemas.catalog.state import NamespaceView
from schemas.ledgers.errors import LedgerUnavailable
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["invoices"])

_CURSOR: Final = re.compile(r"(\d{1,18})_(top_[0-9a-f]{24})", re.ASCII)
Reference = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class TopupPaid(BaseModel):
    """``reference``: of the payment; another one for a top-up that is paid is refused."""

    model_config = ConfigDict(extra="forbid")

    reference: Reference = ""


class TopupRefused(BaseModel):
    """``reason``: why nothing was paid."""

    model_config = ConfigDict(extra="forbid")

    reason: Reference = ""


@router.get("/v1/accounts/{account_id:path}/topups", summary="Top-ups of prepaid credit, newest first, by pages")
async def topups(
    rating: Authorized,
    view: View,
    account_id: str,
    state: Annotated[
        Literal["requested", "paid", "refused", "withdrawn"] | None, Query(description="only those in this state")
    ] = None,
    cursor: Annotated[str | None, Query(description="next_cursor of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> JsonObject:
    """Requests that were made when the balance was at its floor, each as it stands now. It shows here some seconds
    after its event."""
    return await account_topups(rating, view, account_id, state, cursor, limit)


async def account_topups(
    rating: Rating, view: NamespaceView, account_id: str, state: str | None, cursor: str | None, limit: int
) -> JsonObject:
    """A page of the account's top-ups, as the route answers. Raises Problem."""
    if not view.history("account", account_id):
        raise unknown_account(view.namespace, account_id)
    after = None if cursor is None else _place(cursor)
    criteria = TopupCriteria(view.namespace, account_id, state, after, limit + 1)
    page = await rating.ask(partial(list_topups, criteria=criteria))
    following = None
    if len(page) > limit:
        as_of_us, topup_id = page[limit - 1].place
        following = f"{as_of_us}_{topup_id}"
    return {
        "account_id": account_id, "topups": [topup.to_json() for topup in page[:limit]], "next_cursor": following
    }  # fmt: skip


@router.post(
    "/v1/accounts/{account_id:path}/topups/{topup_id}/paid",
    summary="A top-up was paid: it becomes a credit grant, once, however often this is sent",
)
async def paid(rating: Authorized, view: View, account_id: str, topup_id: str, body: TopupPaid) -> JsonObject:
    """The top-up as it then stands; its credit grant has its id, and draws at once. Also one that was refused or
    withdrawn can be paid: money that came is credited. 409: it is paid already, by another reference."""
    return await _answered(rating, view, account_id, topup_id, TopupAnswer("paid", body.reference))


@router.post(
    "/v1/accounts/{account_id:path}/topups/{topup_id}/refused",
    summary="A top-up was not paid: the next one is requested after a while",
)
async def refused(rating: Authorized, view: View, account_id: str, topup_id: str, body: TopupRefused) -> JsonObject:
    """The top-up as it then stands. Where the balance is at its floor still, another one is requested after an hour,
    and after twice as long for each refusal in a row, at most a day. 409: it is paid."""
    return await _answered(rating, view, account_id, topup_id, TopupAnswer("refused", body.reason))


async def _answered(
    rating: Rating, view: NamespaceView, account_id: str, topup_id: str, answer: TopupAnswer
) -> JsonObject:
    if not view.history("account", account_id):
        raise unknown_account(view.namespace, account_id)

    def write() -> Topup:
        return rating.topups.answer(view.namespace, account_id, topup_id, answer)

    try:
        topup = await rating.change(write)
        if ungranted(view, topup.record):
            await rating.change(lambda: rating.topups.grant(topup.record))
    except LookupError as error:
        raise missing(f"{error}; GET /v1/accounts/{account_id[:64]}/topups lists them") from None
    except TopupConflict as error:
        raise RatingProblem(HTTPStatus.CONFLICT, str(error)) from None
    except LedgerUnavailable as error:
        raise unavailable(str(error), "send it again") from None
    return StoredTopup(topup.record, topup.changed_us).to_json()


def _place(cursor: str) -> TopupPlace:
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise wrong("cursor", f"{cursor[:60]!r} is no cursor of this list; take next_cursor of the page before")
    return int(match[1]), match[2]
