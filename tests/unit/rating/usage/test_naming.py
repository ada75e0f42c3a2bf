"""Dimensions called like a time step, a column or with a comma are told apart in queries and exports."""

from __future__ import annotations

import pytest

from rating.api.usage.parameters import ask
from rating.usage import naming
from schemas.catalog.state import NamespaceView
from schemas.http.problems import Problem
from tests.unit.rating.builders import Shelf

DIMENSIONS = ["hour", "account", "x,y", "model", "dimension:z", "quantity"]


def view() -> NamespaceView:
    found = Shelf()
    profile = {"code": "in", "aggregation": "sum", "property": "n", "dimensions": DIMENSIONS}
    found.add("meter", {"code": "tok", "profiles": [profile]})
    return found.view()


@pytest.mark.parametrize(
    ("asked", "dimensions", "hours", "by_account"),
    [
        (["hour"], (), True, False),
        (["dimension:hour"], ("hour",), False, False),
        (["hour", "dimension:hour"], ("hour",), True, False),
        (["account,dimension:account,model"], ("account", "model"), False, True),
        (["x,y"], ("x,y",), False, False),
        (["dimension:x,y", "model"], ("x,y", "model"), False, False),
        (["dimension:z"], ("dimension:z",), False, False),
        (["model,hour"], ("model",), True, False),
    ],
)
def test_what_is_grouped_by(asked: list[str], dimensions: tuple[str, ...], hours: bool, by_account: bool) -> None:
    query = ask(view(), "tok", None, "2026-01-15", None, None, asked).query
    assert (query.dimensions, bool(query.buckets_us), query.by_account) == (dimensions, hours, by_account)


def test_what_is_named_twice_or_unknown_is_refused_with_what_can_be_chosen() -> None:
    with pytest.raises(Problem, match="names something twice"):
        ask(view(), "tok", None, "2026-01-15", None, None, ["model", "dimension:model"])
    with pytest.raises(Problem) as caught:
        ask(view(), "tok", None, "2026-01-15", None, None, ["modle"])
    assert "dimension:hour" in caught.value.detail


def test_columns() -> None:
    assert naming.columns(DIMENSIONS, ("account", "from", "quantity")) == (
        "hour", "dimension:account", "x,y", "model", "dimension:z", "dimension:quantity",
    )  # fmt: skip
