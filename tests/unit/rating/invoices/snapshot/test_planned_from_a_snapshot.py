"""A close plans the same from a snapshot, which has the ends of chains and what is not quiet, as from all invoices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rating.invoices.amounts.account_balances import counterparts, draws
from rating.invoices.ledger import StandingInvoices
from rating.invoicing.run_plan import make_plan
from schemas.ledgers.invoice_record import Invoice
from schemas.values.instants import DAY
from tests.unit.rating.invoices.snapshot.builders import Log, followed
from tests.unit.rating.invoicing.builders import APRIL, FEBRUARY, MARCH, Books, catalog, used
from tests.unit.rating.invoicing.histories.history_builders import START, History

PLAIN = (2, 5, 11, 17, 95)
"""Seeds; without discounts and fees in advance, so that most invoices are quiet."""


class Compared(History):
    """Plans every close from a snapshot as well."""

    def __init__(self, seed: int, in_advance: bool, **options: Any) -> None:
        self.SEAT_IN_ADVANCE = in_advance
        super().__init__(seed, **options)
        self.log = Log()
        self.store = followed(self.log)

    def _write(self, record: Invoice | None, claim: str) -> None:
        super()._write(record, claim)
        if record is not None:
            newest = self.standing.invoice("air", record.invoice_id)
            assert newest is not None
            self.log.add([newest])

    def close(self, today: int) -> None:
        as_of = START + today * DAY
        self.store.follow_to_end(self.log)
        late = {agreed.code: item for agreed in self.agreements if (item := self._late(agreed, today))}
        with self.store.as_it_stands():
            standing = StandingInvoices.of_store(self.store, "air")
            assert standing.count("air") == self.standing.count("air")
            for subscription in late:  # as find_late does
                standing.expand("air", subscription)
            view = self.shelf.view()
            assert make_plan(view, standing, as_of, late) == make_plan(view, self.standing, as_of, late)
            standing.expand_account("air", "acme")
            invoices = sorted(standing.invoices("air"), key=lambda invoice: invoice.invoice_id)
            assert invoices == sorted(self.standing.invoices("air"), key=lambda invoice: invoice.invoice_id)
            assert list(counterparts(standing.invoices("air"), as_of)) == list(
                counterparts(self.standing.invoices("air"), as_of)
            )
            assert draws(standing.invoices("air"), as_of) == draws(self.standing.invoices("air"), as_of)
        super().close(today)


@pytest.mark.parametrize("seed", PLAIN)
def test_without_terms_and_fees_in_advance(seed: int) -> None:
    Compared(seed, False, terms=False, notes=bool(seed % 3)).run()


@pytest.mark.parametrize("seed", PLAIN)
def test_with_terms_fees_in_advance_notes_and_grants(seed: int) -> None:
    Compared(seed, bool(seed % 2), subscriptions=2, notes=True, grants=True).run()


class Stored(Books):
    """Closes from a snapshot alone."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.log = Log()

    def close(self, as_of_us: int) -> list[Invoice]:
        store = followed(self.log)
        late = any(self.closes + 1 in (event.close, event.voided) for event in self.events)
        with store.as_it_stands():
            self.standing = StandingInvoices.of_store(store, "air")
            if late:
                self.standing.expand("air", "s")
            invoices = super().close(as_of_us)
        self.log.add(invoices)
        store.close()
        return invoices


MATRIX = {"model": "matrix", "dimensions": ["model"], "cells": [{"values": ["a"], "unit_amount": "2"}]}


def closes(books: Books) -> list[Sequence[Invoice]]:
    return [books.close(at) for at in (FEBRUARY, MARCH, APRIL, APRIL + 30 * DAY)]


def test_of_quiet_invoices_only_the_last_is_read() -> None:
    books = Stored(catalog(MATRIX), [used(day, 1, "a") for day in range(110)])
    closes(books)
    store = followed(books.log)
    standing = StandingInvoices.of_store(store, "air")
    assert (standing.count("air"), len(standing.invoices("air"))) == (4, 1)
    assert standing.head("air", "s") == store.chain("air", "s")[-1]
    standing.expand("air", "s")
    assert standing.chain("air", "s") == store.chain("air", "s")
    assert len(standing.invoices("air")) == 4


@given(
    st.lists(
        st.builds(used, st.integers(0, 110), st.integers(1, 9), st.sampled_from("ab"), close=st.integers(0, 4)),
        max_size=12,
    )
)
def test_late_usage_and_usage_without_a_price(events: list[Any]) -> None:
    assert closes(Stored(catalog(MATRIX), events)) == closes(Books(catalog(MATRIX), events))
