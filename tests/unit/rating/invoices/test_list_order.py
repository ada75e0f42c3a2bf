"""The order of invoices in lists: latest period first, and of one subscription as its chain goes on, backwards."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.invoices.lists import BadCursor, cursor_before, cursor_behind, in_list_order, list_invoices
from rating.invoices.stored_invoice import StoredInvoiceHead

CODES = st.text("-_09AZaz", min_size=1, max_size=4)


def head(subscription: str, sequence: int, start: int = 0, name: str = "inv_1") -> StoredInvoiceHead:
    return StoredInvoiceHead(
        "n", name, 1, "", subscription, sequence, "acme", "basic", 1, start, start + 1, "UTC", "run_1", 1, 7, 9,
        "finalized", "EUR", "1.00", "1.00",
    )  # fmt: skip


class Asked:
    """A ClickHouse that notes what it is asked, and has nothing."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def query(self, _sql: str, parameters: dict[str, Any]) -> Any:
        self.parameters = parameters
        return type("Answer", (), {"result_rows": []})


def place_behind(cursor: str) -> tuple[int, str]:
    client: Any = Asked()
    list_invoices(client, "n", cursor=cursor)
    return client.parameters["after_us"], client.parameters["after_place"]


def test_interim_void_and_issued_anew_stand_together_the_last_one_first() -> None:
    heads = [head("b", 0, name="inv_9"), head("a", 0), head("b", 10), head("b", 2), head("a", 0, start=5)]
    ordered = [(item.period_start_us, item.subscription, item.sequence) for item in in_list_order(heads)]
    assert ordered == [(5, "a", 0), (0, "b", 10), (0, "b", 2), (0, "b", 0), (0, "a", 0)]


@given(st.lists(st.builds(head, CODES, st.integers(0, 2**32 - 1), st.integers(-2, 2)), max_size=8))
def test_the_places_of_cursors_sort_as_the_invoices_do(heads: list[StoredInvoiceHead]) -> None:
    places = [place_behind(cursor_behind(item)) for item in in_list_order(heads)]
    assert places == sorted(places, reverse=True)
    assert all(place > place_behind(cursor_before(place[0])) for place in places)


@pytest.mark.parametrize("cursor", ["", "7", "7_1", "7_1_", "7_inv_ab", "x_1_s", "7_-1_s", "7_12345678901_s", "7_²_s"])
def test_what_is_no_cursor_is_refused_with_the_remedy(cursor: str) -> None:
    with pytest.raises(BadCursor, match="take next_cursor"):
        place_behind(cursor)
