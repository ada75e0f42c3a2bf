"""The claims of a namespace whose chains are read at once decide as those that are looked up one by one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rating.invoices.ledger import StandingInvoices
from schemas.ledgers.invoice_record import Invoice
from tests.unit.rating.invoices.snapshot.builders import Log, followed, invoice, paid

OFFERED = (
    invoice(3, "s"), invoice(3, "s"), invoice(2, "s"), paid(invoice(2, "s")), invoice(1, "new"), invoice(2, "new"),
    invoice(1, "t"), invoice(2, "t", body='{"after": "another run"}'), invoice(2, "t"),
    invoice(2, "s", namespace="sea"), invoice(1, "t", namespace="sea", invoice_id="other"),
)  # fmt: skip


@pytest.mark.parametrize(
    "known", [(), (invoice(1, "s"), invoice(2, "s"), invoice(1, "t"), invoice(1, "s", namespace="sea"))]
)
def test_one_by_one_and_at_once(known: Sequence[Invoice]) -> None:
    log = Log()
    log.add(known)
    store = followed(log)
    apart, together = store.claims(), store.claims("air")
    expected = [apart.valid.offer(record) for record in OFFERED]
    assert [together.valid.offer(record) for record in OFFERED] == expected
    assert expected[0] == bool(known)
    with store.as_it_stands():
        standing = StandingInvoices.of_store(store, "air")
        of_air = [record.namespace == "air" for record in OFFERED]
        assert [standing.apply(record) for record in OFFERED if record.namespace == "air"] == [
            valid for valid, ours in zip(expected, of_air, strict=True) if ours
        ]
    log.add(OFFERED)
    again = followed(log)
    store.follow_to_end(log)
    assert list(store.contents()) == list(again.contents())
