"""POST /v1/price: what a quantity costs, as `weir price` says it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, Request

from rating.api.context import Authorized
from rating.api.rating_problems import RatingProblem
from rating.pricing import PriceError, price_json
from schemas.http.openapi import REFERENCE
from schemas.values.json_text import JsonObject

router = APIRouter(tags=["prices"])

MAX_BYTES: Final = 1 << 20
_REQUEST: Final = {"$ref": REFERENCE.format(model="PriceRequest")}
_EXAMPLE: Final = {"price": {"model": "per_unit", "unit_amount": "0.01"}, "quantity": "22"}
_BODY: Final[JsonObject] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [_REQUEST, {"type": "array", "items": _REQUEST}]},
                "example": _EXAMPLE,
            }
        },
    }
}


@router.post("/v1/price", summary="Price quantities, each step explained; nothing is stored", openapi_extra=_BODY)
async def price(rating: Authorized, request: Request) -> Any:
    """One object `{"price", "quantity", …}`, a list of them, or one a line; answered alike: an object, or a list."""
    body = await _read(request)
    try:
        text = body.decode()
        results = await rating.compute(lambda: price_json(text))
    except UnicodeDecodeError as error:
        raise RatingProblem(HTTPStatus.BAD_REQUEST, f"the body is not UTF-8: {error}") from None
    except PriceError as error:
        errors = [(path, detail) for path, _, detail in (problem.partition(": ") for problem in error.problems)]
        malformed = error.problems[0].startswith("this is not JSON")
        status = HTTPStatus.BAD_REQUEST if malformed else HTTPStatus.UNPROCESSABLE_ENTITY
        raise RatingProblem(status, str(error), [] if malformed else errors) from None
    alone = text.lstrip()[:1] == "{" and len(results) == 1
    return results[0] if alone else results


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_BYTES:
            raise RatingProblem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {MAX_BYTES} bytes; price in parts"
            )
    return bytes(body)
