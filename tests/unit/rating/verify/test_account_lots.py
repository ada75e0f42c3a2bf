"""Invoices account by account: whole accounts and whole chains, each invoice once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from rating.verify.invoices.account_lots import account_lots
from rating.verify.invoices.side_by_side import aligned
from rating.verify.scope import Scope

INVOICES = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("wxyz"), st.sampled_from("stuvé")), min_size=0, max_size=25
)
"""(namespace, account, subscription) of each."""


class Rows:
    """A scope whose ClickHouse has these rows."""

    namespace, since_us, of_namespace = None, None, "1"

    def __init__(self, invoices: Sequence[tuple[str, str, str]]) -> None:
        self.heads = [
            [
                namespace, f"inv_{number}", 2, "", f"{namespace}{subscription}", 0, account, 0, 1, 1, 0, "finalized",
                "USD", "{}", "3.00", 7, "UTC",
            ]
            for number, (namespace, account, subscription) in enumerate(invoices)
        ]  # fmt: skip
        line = ["usage", "m.p", [1], 0, 1, "4", 2, "{}", "1.50", "1.5", "c", "p", ""]
        self.lines = [[*head[:2], version, 1, *line] for head in self.heads for version in (1, 2)]

    @contextmanager
    def stream(self, sql: str) -> Iterator[Iterator[Any]]:
        yield iter(self.lines if "FROM invoice_lines" in sql else self.heads)


@settings(deadline=None)
@given(INVOICES, st.integers(1, 30))
def test_lots_part_no_account_and_no_chain_and_hold_each_invoice_once(
    invoices: list[tuple[str, str, str]], at_once: int
) -> None:
    rows = Rows(invoices)
    lots = list(account_lots(cast(Scope, rows), at_once))
    held = [head.invoice_id for lot in lots for head in lot.heads]
    assert sorted(held) == sorted(head[1] for head in rows.heads)
    for of in ("account_id", "subscription"):
        owners = [{(lot.namespace, getattr(head, of)) for head in lot.heads} for lot in lots]
        assert sum(map(len, owners)) == len(set[Any]().union(*owners))
    for lot in lots:
        assert {head.namespace for head in lot.heads} <= {lot.namespace}
        assert lot.of == len(invoices)
        for head in lot.heads:
            (line,) = lot.lines[head.namespace, head.invoice_id, 2]
            assert (line.amount, line.quantity, line.profile_versions) == (Decimal("1.50"), Decimal(4), (1,))


def test_a_lot_is_as_large_as_it_may_be() -> None:
    rows = Rows([("a", account, account) for account in "wwwxxyz"])
    lots = list(account_lots(cast(Scope, rows), 4))
    assert [len(lot.heads) for lot in lots] == [3, 4]


@given(st.sets(st.text("aé\U0001f600z", max_size=3)), st.sets(st.text("aé\U0001f600z", max_size=3)))
def test_side_by_side_pairs_what_both_have(left: set[str], right: set[str]) -> None:
    pairs = list(aligned(sorted(left, key=str.encode), sorted(right, key=str.encode), str.encode, str.encode))
    assert {original for original, _ in pairs if original is not None} == left
    assert {copy for _, copy in pairs if copy is not None} == right
    assert sorted(original for original, copy in pairs if original is not None and copy is not None) == sorted(
        left & right
    )
    assert all(original in (copy, None) or copy is None for original, copy in pairs)
