"""What the columns of a flush say, row by row, against the events that went in."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from schemas.ledgers.invoice_record import from_fields
from schemas.matching.rule_columns import RuleFailures, RuleMatches
from schemas.values.quantity import LIMIT, UNIT, unscaled
from stream_processors.metering.flush_tables import flush_table, quantities
from stream_processors.metering.meter_records import FlushEvents
from stream_processors.projections.invoice_copy import invoice_tables
from tests.unit.stream_processors.metering.builders import log_of


@given(st.lists(st.integers(-LIMIT + 1, LIMIT - 1), max_size=50))
def test_quantities_are_exact(units):
    small = [unit for unit in units if abs(unit) < 1 << 63]
    columns = [units, np.array(small, np.int64), [], np.array([-1], np.int64)]
    assert quantities(columns).to_pylist() == [unscaled(item) for item in [*units, *small, -1]]


def test_rows_keep_their_matches_apart():
    [record] = log_of([[(1, 0), (2, 2), (3, 0)]], [1])
    events = FlushEvents()
    assert events.add(record, np.array([1])) == 0
    events.matches.matched += [
        RuleMatches("m.a", 1, np.array([0]), np.array([5 * UNIT])),
        RuleMatches("m.b", 3, np.array([0]), [-1], ['"x"'], ['{"o":"JFK"}']),
    ]
    events.matches.failed.append(RuleFailures("m.c", np.array([2]), ["missing"]))
    rows = flush_table(events).to_pylist()
    assert [row["idempotency_key"] for row in rows] == ["1", "3"]
    assert rows[0]["match_profile_ids"] == ["m.a", "m.b"]
    assert rows[0]["match_quantities"] == [Decimal(5), Decimal("-0.000000000001")]
    assert rows[0]["match_unique_values"] == ["", '"x"']
    assert rows[0]["match_dimensions"] == ["", '{"o":"JFK"}']
    assert rows[0]["unmeterable_profile_ids"] == []
    assert rows[1]["match_profile_ids"] == []
    assert (rows[1]["unmeterable_profile_ids"], rows[1]["unmeterable_reasons"]) == (["m.c"], ["missing"])
    assert [(row["offset"], row["index"]) for row in rows] == [(0, 0), (0, 2)]
    assert rows[0]["identity"] == record.batch.identity(0)
    assert rows[1]["content_hash"] == record.batch.content_hash(2)
    assert [row["account_id"] for row in rows] == ["acct", "acct"]
    assert [row["properties"] for row in rows] == [record.batch.properties[0], record.batch.properties[2]]
    assert int(rows[0]["timestamp"].timestamp() * 1_000_000) == record.batch.timestamps_us[0]


def test_an_invoice_becomes_one_row_and_one_a_line():
    line = {
        "number": 1, "kind": "usage", "charge": "c", "product": "p", "description": "d", "profile_id": "m.a",
        "profile_versions": [1, 2], "period_start": 0, "period_end": 1, "quantity": "12345678901234567890.000000000001",
        "events": "3", "unit": "u", "price": "{}", "amount": "-0.50", "unrounded": "-0.5", "steps": "[]", "note": "",
        "adjusts": "",
    }  # fmt: skip
    invoice = {
        "namespace": "n", "invoice_id": "i", "version": 1, "predecessor": "", "subscription": "s", "sequence": 0,
        "account_id": "a", "plan": "p", "plan_version": 1, "period_start": 0, "period_end": 1, "time_zone": "UTC",
        "run_id": "r", "checkpoint": 1, "catalog_offset": 2, "as_of": 3, "state": "finalized", "currency": "USD",
        "total": "-0.50", "lines": [line, line | {"number": 2, "kind": "flat", "quantity": "", "events": ""}],
        "body": "{}", "claim_id": "x",
    }  # fmt: skip
    invoices, lines = invoice_tables([from_fields(invoice)])
    assert invoices.to_pylist()[0]["total"] == Decimal("-0.50")
    first_to_pylist, second = lines.to_pylist()
    assert (first_to_pylist["invoice_id"], first_to_pylist["quantity"], first_to_pylist["events"]) == (
        "i",
        Decimal(line["quantity"]),
        3,
    )
    assert (second["number"], second["quantity"], second["events"]) == (2, None, None)
