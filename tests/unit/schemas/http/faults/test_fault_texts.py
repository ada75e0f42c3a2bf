"""What is said of a wrong field of a request: what stands there, and what to write."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, ValidationError

from schemas.http.faults.fault_texts import fault_text


class Limit(BaseModel):
    most: int = 1
    least: int = 0


class Request(BaseModel, extra="forbid"):
    quantity: str
    expires_in: Annotated[int, Field(ge=1, le=86_400)] = 300
    share: Annotated[int, Field(gt=0, lt=100)] = 1
    key: Annotated[str, Field(min_length=1, max_length=3)] = "k"
    state: Literal["fired", "recovered"] = "fired"
    hard: bool = True
    since: datetime | None = None
    limits: tuple[Limit, ...] = ()
    codes: list[str] = []
    recurrence: Limit | None = None


TEXT = "is no text; write one, in quotes where it reads as something else"
LIST = "is no list; write one, in brackets, also of a single item"
NO_FIELD = "no such field; there are codes, expires_in, hard, key, limits, quantity, recurrence, share, since, state"
INSTANT = "is no date and no instant; write a date such as 2026-01-31, or an instant such as 2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("expires_in", 0, "is 0; write 1 or more"),
        ("expires_in", 10**12, "is 1000000000000; write at most 86400"),
        ("share", 0, "is 0; write more than 0"),
        ("share", 100, "is 100; write less than 100"),
        ("expires_in", "soon", "'soon' is no whole number; write one such as 60"),
        ("expires_in", 1.5, "1.5 is no whole number; write one such as 60"),
        ("expires_in", [1], "[1] is no whole number; write one such as 60"),
        ("expires_in", "9" * 5000, f"'{'9' * 38}… is no whole number; write one such as 60"),
        ("key", "", "has 0 characters; write at least 1"),
        ("key", "long", "has 4 characters; write at most 3"),
        ("state", "odd", "'odd' cannot stand here; write one of fired, recovered"),
        ("state", "Fired", "'Fired' cannot stand here; did you mean fired? There are fired, recovered"),
        ("state", 5, "5 cannot stand here; write one of fired, recovered"),
        ("hard", "maybe", "'maybe' is neither true nor false; write one of them"),
        ("since", "yesterday", f"'yesterday' {INSTANT}"),
        ("quantity", None, f"null {TEXT}"),
        ("quantity", 5, f"5 {TEXT}"),
        ("quantity", True, f"true {TEXT}"),
        ("hard", None, "null is neither true nor false; write one of them"),
        ("limits", {"most": 1}, f"{{'most': 1}} {LIST}"),
        ("limits", "5", f"'5' {LIST}"),
        ("codes", "a", f"'a' {LIST}"),
        ("limits", [5], "5 is no object; write its fields, of least, most"),
        ("recurrence", "month", "'month' is no object; write its fields, of least, most"),
        ("other", 1, NO_FIELD),
    ],
)
def test_what_stands_there_and_what_to_write(field: str, value: Any, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Request.model_validate({"quantity": "1", field: value})
    assert [fault_text(problem, Request) for problem in caught.value.errors()] == [text]


def test_what_is_missing() -> None:
    with pytest.raises(ValidationError) as caught:
        Request.model_validate({})
    assert [(problem["loc"], fault_text(problem)) for problem in caught.value.errors()] == [
        (("quantity",), "is missing; write it")
    ]


def test_a_request_that_is_no_object_is_told_how_to_send_one_and_what_is_in_it_is_not() -> None:
    def told(location: tuple[str | int, ...]) -> str:
        problem: Any = {"type": "model_attributes_type", "loc": location, "msg": "", "input": 5}
        return fault_text(problem)

    assert told(("body",)) == "is no JSON object; send one, with Content-Type: application/json"
    assert told(("body", "checks", 0)) == "5 is no object; write its fields"
