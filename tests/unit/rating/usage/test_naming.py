"""Dimensions called like a time step, a column or with a comma are told apart in queries and exports."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from rating.usage import UsageQuery, naming
from rating.usage.usage_parameters import UsageParameterError, UsageParameters, read_parameters
from schemas.catalog.state import NamespaceView
from tests.unit.rating.builders import Shelf

DIMENSIONS = ["hour", "account", "x,y", "model", "dimension:z", "quantity"]


def view() -> NamespaceView:
    shelf = Shelf()
    profile = {"code": "in", "aggregation": "sum", "property": "n", "dimensions": DIMENSIONS}
    shelf.add("meter", {"code": "tok", "profiles": [profile]})
    return shelf.view()


def query_of(*groups: str) -> UsageQuery:
    parameters = UsageParameters("tok", start="2026-01-15", group_by=groups)
    return read_parameters(view(), parameters, datetime(2026, 2, 1, tzinfo=UTC)).query


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
    query = query_of(*asked)
    assert (query.dimensions, bool(query.buckets_us), query.by_account) == (dimensions, hours, by_account)


def test_what_is_named_twice_or_unknown_is_refused_with_what_can_be_chosen() -> None:
    with pytest.raises(UsageParameterError, match="names something twice"):
        query_of("model", "dimension:model")
    with pytest.raises(UsageParameterError, match=r"did you mean model\? choose of hour, .*dimension:hour") as caught:
        query_of("modle")
    assert caught.value.parameter == "group_by"


def test_columns() -> None:
    assert naming.columns(DIMENSIONS, ("account", "from", "quantity")) == (
        "hour", "dimension:account", "x,y", "model", "dimension:z", "dimension:quantity",
    )  # fmt: skip
