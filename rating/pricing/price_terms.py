"""The part of ``weir price`` that comes after the price: discounts, commitment and credits on a bill of one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from rating.pricing.exact import exactly, money_text
from rating.pricing.priced_line import ZERO, Rated, Step
from rating.pricing.reduction_lines import Balance, commitment_lines, credit_lines, discount_lines, total_of
from schemas.catalog.base import Model
from schemas.catalog.terms import CreditGrant, Discount, in_force
from schemas.prices import PriceError, exact_decimal, plain
from schemas.values.instants import micros, parse_rfc3339
from schemas.values.json_text import JsonObject

TERMS: Final = ("discounts", "commitment", "credits", "at")

M = TypeVar("M", bound=Model)


def apply_terms(rated: Rated, item: Mapping[str, Any]) -> JsonObject:
    """``rated`` as JSON, after the item's terms where it has any.

    ``discounts``: ``[{"percent": "10"}, {"amount": "5"}]``; ``commitment``: an amount; ``credits``: amounts, or credit
    grants as in the catalog; ``at``: an instant or a date (UTC), at which discounts and credits must be in force. Then
    a step ``rounding`` stands between the line's steps and theirs, so that all of them sum to the amount, and
    ``unrounded`` equals it; ``credits`` tells what is left of each. Raises PriceError.
    """
    if all(item.get(name) is None for name in TERMS):
        return rated.as_json()
    currency = rated.currency
    moment = _moment(item.get("at"))
    discounts = list(_entries(item, "discounts", Discount, {}))
    grants = list(_entries(item, "credits", CreditGrant, {"account": "-", "currency": currency}))
    if len({grant.code for grant in grants}) < len(grants):
        raise PriceError("credits: a code stands twice; give each a code of its own")
    commitment = None if item.get("commitment") is None else _amount(item["commitment"])
    if moment is not None:
        discounts = [discount for discount in discounts if in_force(discount.start, discount.end, moment, "UTC")]
        grants = [grant for grant in grants if in_force(grant.effective, grant.expires, moment, "UTC")]
    # The one line is the discounts' product, whatever they name.
    reductions = discount_lines(
        [("", rated.amount)], [discount.model_copy(update={"product": None}) for discount in discounts], currency
    )
    with exactly():
        charged = rated.amount + total_of(reductions)
        reductions += commitment_lines(charged, commitment, currency)
        due = rated.amount + total_of(reductions)
        reductions += credit_lines(
            due, [_balance(grant, currency) for grant in sorted(grants, key=lambda grant: grant.order("UTC"))]
        )
        amount = rated.amount + total_of(reductions)
        rounding = rated.amount - rated.unrounded
        used = {part.code: -part.amount for part in reductions if part.kind == "credit"}
        left = [(grant.code, used.get(grant.code, ZERO), grant.amount - used.get(grant.code, ZERO)) for grant in grants]
    steps = list(rated.steps)
    if rounding:
        steps.append(Step("rounding", rounding, f"{plain(rated.unrounded)} rounded to {plain(rated.amount)}"))
    # What a reduction adds is its rounded amount; its text has the exact one.
    steps += [Step(part.kind, part.amount, part.step.text, part.step.quantity) for part in reductions]
    answer: JsonObject = {
        "amount": money_text(amount, currency),
        "unrounded": plain(amount),
        "steps": [step.as_json() for step in steps],
    }
    if left:
        answer["credits"] = [
            {"code": code, "used": plain(off), "left": plain(left_amount)} for code, off, left_amount in left
        ]
    return answer


def _balance(grant: CreditGrant, currency: str) -> Balance:
    if grant.currency != currency:
        raise PriceError(f"credits: {grant.code} is in {grant.currency}, the line in {currency}; use one currency")
    return Balance(grant.code, grant.amount, grant.amount)


def _entries(item: Mapping[str, Any], name: str, model: type[M], defaults: Mapping[str, Any]) -> Iterator[M]:
    values = item.get(name)
    if values is None:
        return
    if not isinstance(values, list):
        raise PriceError(f'{name}: not a list; write e.g. [{{"amount": "50"}}]')
    for number, value in enumerate(values):
        body = value if isinstance(value, Mapping) else {"amount": value}
        try:
            yield model.model_validate({"code": f"{name[:-1]}_{number}", **defaults, **body})
        except ValidationError as error:
            problems = error.errors(include_url=False)
            raise PriceError(
                *[
                    ".".join([name, str(number), *map(str, problem["loc"])])
                    + ": "
                    + problem["msg"].removeprefix("Value error, ")
                    for problem in problems
                ]
            ) from None


def _amount(value: object) -> Decimal:
    try:
        number = exact_decimal(value)
    except ValueError as error:
        raise PriceError(f"commitment: {error}") from None
    if number < 0:
        raise PriceError(f"commitment: {plain(number)} is negative; write 0 or more")
    return number


def _moment(value: object) -> int | None:
    if value is None:
        return None
    try:
        text = str(value)
        if "T" in text.upper():
            return micros(parse_rfc3339(text))
        return micros(datetime.combine(date.fromisoformat(text), time(), UTC))
    except ValueError as error:
        raise PriceError(f"at: {error}; write an instant such as 2026-01-31T00:00:00Z, or a date") from None
