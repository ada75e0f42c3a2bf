"""Decisions on entitlements as JSON. Pure."""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache
from typing import Final

from rating.api.as_of import positions_of
from rating.entitlements.decision import EntitlementDecision, LimitUse
from rating.entitlements.held_usage import MeasuredAsOf
from rating.entitlements.prepaid_floors import FlooredCredit
from rating.pricing import money_text, plain
from schemas.catalog.state import NamespaceView
from schemas.ledgers.reservations.valid_reservations import Standing
from schemas.values.instants import SECOND, rfc3339
from schemas.values.json_text import JsonObject

_edge: Final = lru_cache(maxsize=4096)(rfc3339)
"""Where intervals begin and end: many accounts' are the same."""


def entitlement_json(account_id: str, feature: str, decision: EntitlementDecision) -> JsonObject:
    """One account's entitlement to one feature; what stands beside ``limits`` is of the decisive one."""
    grant, decisive = decision.grant, decision.decisive
    question = decisive.question if decisive is not None else None
    kind = None
    if grant is not None:
        kind = "metered" if grant.feature.profile else "static" if grant.value is not None else "boolean"
    return {
        "account_id": account_id,
        "feature": feature,
        "kind": kind,
        "allowed": decision.allowed,
        "reason": decision.reason,
        "detail": decision.detail,
        "value": grant.value if grant is not None else None,
        "subscription": grant.line.subscription if grant is not None else None,
        "plan": grant.segment.plan.code if grant is not None else None,
        "plan_version": grant.segment.plan_version if grant is not None else None,
        "metric": question.profile.profile_id if question is not None else None,
        **(_numbers(decisive) if decisive is not None else _NO_NUMBERS),
        "limits": [_limit_json(use) for use in decision.uses if use.question.limit is not None],
        "credit": _credit_json(decision.credit) if decision.credit is not None else None,
    }


_NO_NUMBERS = dict.fromkeys(("unit", "granted", "used", "reserved", "remaining", "overage", "resets_at"))


def _numbers(use: LimitUse) -> JsonObject:
    resets_us = use.question.interval.resets_us
    return {
        "unit": use.unit,
        "granted": _plain(use.granted),
        "used": _plain(use.used),
        "reserved": plain(use.reserved),
        "remaining": _plain(use.remaining),
        "overage": plain(use.overage),
        "resets_at": None if resets_us is None else _edge(resets_us),
    }


def _limit_json(use: LimitUse) -> JsonObject:
    limit, interval = use.question.limit, use.question.interval
    assert limit is not None, "entitlement_json leaves out what has none"
    return {
        "of": "quantity" if limit.amount is None else "amount",
        "hard": limit.hard,
        "block": limit.block,
        "reset": limit.reset,
        "rolling": limit.rolling,
        "step_seconds": interval.step_us // SECOND or None,
        "from": _edge(interval.start_us),
        "to": _edge(interval.end_us),
        "within": use.within,
        **_numbers(use),
    }


def _credit_json(credit: FlooredCredit) -> JsonObject:
    floor = credit.floor
    return {
        "currency": floor.currency,
        "balance": _money(credit.prepaid.left, floor.currency),
        "floor": money_text(floor.floor, floor.currency),
        "block": floor.block,
        "above": credit.above,
        "reserved": _money(credit.reserved, floor.currency),
        "cost": _money(credit.cost, floor.currency),
        "remaining": _money(credit.remaining, floor.currency),
        "within": credit.within,
        "at": rfc3339(credit.prepaid.at_us),
        "positions": _positions(credit.prepaid.as_of),
    }


def reservation_json(standing: Standing, now_us: int) -> JsonObject:
    """A reservation and what became of it, at ``now_us``, all by the namespace's clock."""
    reservation, closing, state = standing.reservation, standing.closing, standing.state_at(now_us)
    ahead_us = reservation.ahead_us if closing is None else closing.ahead_us
    closed_us = reservation.clock_expires_us if state == "expired" else standing.closed_us + ahead_us
    return {
        "reservation_id": reservation.reservation_id,
        "account_id": reservation.account_id,
        "feature": reservation.feature,
        "state": state,
        "quantity": plain(reservation.quantity),
        "used": plain(closing.quantity) if closing is not None else None,
        "idempotency_key": reservation.idempotency_key,
        "reserved_at": rfc3339(standing.made_us + reservation.ahead_us),
        "expires_at": rfc3339(reservation.clock_expires_us),
        "closed_at": None if state == "open" else rfc3339(closed_us),
    }


def as_of_json(view: NamespaceView, as_of: MeasuredAsOf | None, now_us: int, checkpoint: int | None) -> JsonObject:
    """What an answer is as of: usage at ``at`` of the namespace's clock, with all that the log had below ``positions``;
    the catalog below ``catalog_offset``. ``checkpoint``: the last one, to which the live tail was added; None: there is
    none."""
    return {
        "at": rfc3339(now_us if as_of is None else as_of.now_us),
        "positions": _positions(as_of),
        "last_checkpoint": checkpoint,
        "catalog_offset": view.before,
    }


def _positions(as_of: MeasuredAsOf | None) -> list[JsonObject]:
    return [] if as_of is None else positions_of(as_of.offsets)


def _money(amount: Decimal | None, currency: str) -> str | None:
    return None if amount is None else money_text(amount, currency)


def _plain(number: Decimal | None) -> str | None:
    return None if number is None else plain(number)
