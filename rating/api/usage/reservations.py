"""/v1/accounts/{id}/entitlements/{feature}/reservations: so much of a feature is set apart for work of unknown cost,
then finalised with what was used, or released."""

from __future__ import annotations

import uuid
from decimal import Decimal
from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import Field, StringConstraints

from rating.api.context import Authorized, Rating, View
from rating.api.entitlements.answer import reservation_json
from rating.api.entitlements.checks import FeatureCheck, MeasuredCheck, ReservedBeside, measured_checks
from rating.api.rating_problems import RatingProblem
from rating.api.usage.entitlements import account_entitlements, granted_now, knowing, known_account, known_feature
from rating.entitlements.decision import RESERVABLE, EntitlementDecision
from rating.entitlements.reservations.reservation_requests import (
    ClosingRequest,
    HeldBeside,
    ReservationRefused,
    ReserveRequest,
    reason_of_decision,
)
from schemas.catalog.base import Model
from schemas.catalog.state import NamespaceView
from schemas.http.problems import Problem
from schemas.ledgers.reservations.valid_reservations import LONGEST_US, ReservationState, Standing
from schemas.prices.decimals import NotNegative, Positive
from schemas.values.instants import SECOND, micros
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["entitlements"])

PATH: Final = "/v1/accounts/{account_id:path}/entitlements/{feature}/reservations"
_LONGEST_SECONDS: Final = LONGEST_US // SECOND
IdempotencyKey = Annotated[
    str | None,
    StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f-\x9f]+$"),
    Field(description="the same again gets the same answer, for an hour after the reservation is closed; null: none"),
]


class NewReservation(Model):
    """Set so much of a feature apart."""

    quantity: Annotated[Positive, Field(description="the most that the work may use")]
    expires_in: Annotated[
        int, Field(ge=1, le=_LONGEST_SECONDS, description="seconds after which it holds nothing, whoever has crashed")
    ] = 300
    idempotency_key: IdempotencyKey = None


class Finalising(Model):
    """The work is done."""

    quantity: Annotated[
        NotNegative, Field(description="what it used, as its events say; it may be more than was reserved")
    ]
    idempotency_key: IdempotencyKey = None


class Releasing(Model):
    """The work was not done."""

    idempotency_key: IdempotencyKey = None


@router.post(PATH, status_code=201, summary="Reserve so much of a feature for work of unknown cost")
async def reserve(rating: Authorized, view: View, account_id: str, feature: str, body: NewReservation) -> JsonObject:
    """What is reserved is left neither for checks nor for other reservations, until it is finalised, released or
    expires; reservations made at once never hold more than a hard limit grants. 409: `limit_reached`, `not_granted`,
    `unpaid`, `undecided`, or `too_many_reservations` of the account are open. Without an answer ask again with the same
    `idempotency_key`."""
    view = await knowing(rating, view, account_id, feature)
    real_us = micros(rating.now())
    now_us = view.settings.now_us(real_us)
    granted = await granted_now(rating, view, account_id, now_us)
    check = FeatureCheck(account_id, feature, body.quantity)
    [measured_check], as_of = await measured_checks(rating.usage_keeper, view, [check], {account_id: granted}, now_us)
    for profile in measured_check.profiles:
        if profile.aggregation not in RESERVABLE:
            raise _not_reservable(f"feature {feature} is metered by the {profile.aggregation} of {profile.profile_id}")
    if as_of is None:
        decision = measured_check.decision(ReservedBeside())
        if decision.allowed:
            raise _not_reservable(f"feature {feature} is not metered")
        raise _refused(ReservationRefused(reason_of_decision(decision), decision.detail))
    request = ReserveRequest(
        view.namespace, account_id, feature, body.quantity, real_us + body.expires_in * SECOND,
        body.idempotency_key or uuid.uuid4().hex, lambda held: judged(measured_check, held), as_of, view.before,
        tuple(measured_check.balances.values()), view.settings.ahead_us,
    )  # fmt: skip
    return await _put(rating, view, request)


@router.post(PATH + "/{reservation_id}/finalise", summary="Finalise a reservation with what was used")
async def finalise(
    rating: Authorized, view: View, account_id: str, feature: str, reservation_id: str, body: Finalising
) -> JsonObject:
    """Send the events of the work first, and finalise once they are accepted: from then on its usage counts in place of
    the reservation, and in no moment neither does. 409: it was finalised, released or has expired already; the same
    `idempotency_key` with the same quantity gets the same answer."""
    key = body.idempotency_key or uuid.uuid4().hex
    address = view.namespace, account_id, feature, reservation_id
    request = ClosingRequest(*address, "finalised", body.quantity, key, view.settings.ahead_us)
    return await _put(rating, view, request)


@router.post(PATH + "/{reservation_id}/release", summary="Release a reservation: nothing of it was used")
async def release(
    rating: Authorized,
    view: View,
    account_id: str,
    feature: str,
    reservation_id: str,
    body: Releasing | None = None,
) -> JsonObject:
    """What it held is free at once. One that was released already stays as it is. 409: it was finalised, or has
    expired."""
    key = (body.idempotency_key if body is not None else None) or uuid.uuid4().hex
    address = view.namespace, account_id, feature, reservation_id
    request = ClosingRequest(*address, "released", Decimal(0), key, view.settings.ahead_us)
    return await _put(rating, view, request)


@router.get(PATH, summary="The reservations of a feature, the last one first")
async def reservations(
    rating: Authorized,
    view: View,
    account_id: str,
    feature: str,
    state: Annotated[ReservationState, Query(description="only those that are in it")] = "open",
    cursor: Annotated[int | None, Query(description="next_cursor of the page before", ge=0, lt=2**62)] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> JsonObject:
    """Those that are closed are listed for an hour."""
    known_account(view, account_id)
    known_feature(view, feature)
    now_us = micros(rating.now_of(view))
    standing = [
        reservation
        for reservation in _in_state(rating, view, account_id, feature, state, now_us)
        if cursor is None or reservation.offset < cursor
    ]
    page = standing[:limit]
    return {
        "account_id": account_id,
        "feature": feature,
        "reservations": [reservation_json(reservation, now_us) for reservation in page],
        "next_cursor": page[-1].offset if len(standing) > len(page) else None,
    }


async def account_limits(rating: Rating, view: NamespaceView, account_id: str, most: int) -> JsonObject:
    """What the account may use of its first ``most`` features, as GET …/entitlements says, with the last ``most`` open
    ``reservations`` of each. Raises Problem."""
    limits = await account_entitlements(rating, view, account_id, None, most)
    features = [item["feature"] for item in limits["entitlements"] if item["kind"] == "metered"]
    now_us = micros(rating.now_of(view))
    standing = [_in_state(rating, view, account_id, feature, "open", now_us)[:most] for feature in features]
    return limits | {"reservations": [reservation_json(reservation, now_us) for of in standing for reservation in of]}


def _in_state(
    rating: Rating, view: NamespaceView, account_id: str, feature: str, state: ReservationState, now_us: int
) -> list[Standing]:
    """The last one first."""
    listed = rating.reservations.listed(view.namespace, account_id, feature)
    return [standing for standing in listed if standing.state_at(now_us) == state]


def judged(measured_check: MeasuredCheck, held: HeldBeside) -> EntitlementDecision:
    """The decision with so much held by others; undecided where a hard limit in money, or a floor of credit that
    blocks, cannot foresee a price."""
    decision = measured_check.decision(measured_check.reserved(held))
    if not decision.allowed:
        return decision
    blind = [
        f"a hard limit in {use.unit}"
        for use in decision.uses
        if not use.foreseen and use.question.limit is not None and use.question.limit.hard
    ]
    credit = decision.credit
    if credit is not None and credit.floor.block and not credit.foreseen:
        blind.append(f"a floor of credit in {credit.floor.currency}")
    if not blind:
        return decision
    detail = f"{blind[0]} is priced by values that are not known before; limit it in quantity"
    return EntitlementDecision(False, "undecided", detail, decision.grant)


async def _put(rating: Rating, view: NamespaceView, request: ReserveRequest | ClosingRequest) -> JsonObject:
    try:
        standing = await rating.reservations.put(request)
    except ReservationRefused as refused:
        raise _refused(refused) from None
    return reservation_json(standing, micros(rating.now_of(view)))


def _refused(refused: ReservationRefused) -> Problem:
    status = HTTPStatus.NOT_FOUND if refused.reason == "unknown_reservation" else HTTPStatus.CONFLICT
    return Problem(status, refused.reason, str(refused))


def _not_reservable(detail: str) -> RatingProblem:
    """What is reserved has to add up."""
    return RatingProblem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{detail}; reserve a feature that is metered by a sum, a count or a unique count",
        [("path.feature", detail)],
    )
